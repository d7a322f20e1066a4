"""What the releases state, compared with the archives themselves: `make test-archive`. As root, with a network.

Packages are looked up in the indices of the mirrors that the host's own apt sources name. Units, files and options are
looked up in the boxes, which are built where they are missing (as `lab box build` does) and opened, not booted.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from archive.box import OpenBox, open_box
from archive.cases import Case, box_of
from lab.box import store
from lab.box.build import ensure_boxes, own_repository
from lab.box.definition import load_definition
from lab.box.pool import Pool
from lab.box.sources import choose, host_distribution, host_sources
from lab.box.tools import Tools

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.inputs.release import Release
    from lab.inputs.steps import Role


@pytest.fixture(scope="session", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to build boxes and to open them")


@pytest.fixture(scope="session")
def cache() -> Path:
    """Where boxes and packages are kept; asked before a test's clean environment forgets LAB_CACHE."""
    directory = store.cache_directory()
    (directory / "logs").mkdir(parents=True, exist_ok=True)
    return directory


@pytest.fixture(scope="session")
def pool(cache: Path) -> Callable[[Release], Pool]:
    """The archives of a release, with their indices of now, and with its own packages."""
    pools: dict[tuple[str, str], Pool] = {}

    def of(release: Release) -> Pool:
        key = (release.suite, release.virtualenvs)
        if key not in pools:
            definition, log = load_definition(release.suite), cache / "logs" / f"archive-{release.suite}.log"
            sources = choose(definition, host_sources(), None, host_distribution())
            own = None
            if release.virtualenvs:
                own = own_repository(release.virtualenvs, definition, sources, cache, Tools(), print)
            pools[key] = Pool(cache / "apt" / "-".join(filter(None, key)), definition, sources, log, own=own)
            with store.lock(cache, f"apt-{release.suite}"):
                pools[key].update()
        return pools[key]

    return of


@pytest.fixture(scope="session")
def opened(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case, Role], OpenBox]:
    """The box of a lab for a role, opened once."""
    boxes: dict[str, OpenBox] = {}

    def of(case: Case, role: Role) -> OpenBox:
        wanted = box_of(case, role)
        if wanted.name not in boxes:
            (built,) = ensure_boxes([wanted], cache)
            boxes[wanted.name] = open_box(built.image, tmp_path_factory.mktemp(f"{case.release.name}-{role}"))
        return boxes[wanted.name]

    return of
