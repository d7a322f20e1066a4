"""A checkout or a cache whose path has blanks, quotes or percent signs still makes boxes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from sample_build import sample_build

from lab.base import resources
from lab.box import make
from lab.box.tools import AT_A_PLAIN_PATH, CONTAINED, Tools

ODD = 'R&D 50%20 Bob\'s "$x" `y` ;#'


class Noted(Tools):
    """Notes the words of a program instead of running it."""

    words: list[str]

    def run(self, argv, *, log, timeout_s, env=None):  # type: ignore[no-untyped-def]
        self.words = [os.fspath(word) for word in argv]


def bootstrap(tmp_path: Path) -> list[str]:
    """The words that bootstrap a box, of a build in an odd place."""
    scratch, tools = tmp_path / ODD, Noted()
    scratch.mkdir(exist_ok=True)
    build = sample_build(tmp_path, tools, [])
    make._install(build, scratch / "tree", scratch / "repository", scratch)
    return tools.words


def test_the_hook_runs_from_an_odd_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = tmp_path / ODD
    shutil.copytree(resources.BOXES, checkout)
    (checkout / "prepare.sh").write_text('#!/bin/sh\nprintf %s "$1" >"$2"\n')
    (checkout / "prepare.sh").chmod(0o755)
    monkeypatch.setattr(resources, "BOXES", checkout)
    (hook,) = [word for word in bootstrap(tmp_path) if word.startswith("--essential-hook=")]
    line = hook.removeprefix("--essential-hook=")
    # mmdebstrap(1): the hook is run by `sh -c`, the tree is its first argument
    subprocess.run(["sh", "-c", f"{line} {tmp_path}/said", "sh", "the tree"], check=True, timeout=30)
    assert (tmp_path / "said").read_text() == "the tree"


def test_apt_and_mmdebstrap_see_plain_paths(tmp_path: Path) -> None:
    words = bootstrap(tmp_path)
    own = words[words.index("mmdebstrap") :]
    tree, source = own[-2:]
    place = Path(tree).parent
    assert str(place).startswith("/tmp/lab-box-")
    assert source == f"deb [trusted=yes] file://{place}/repository ./"
    assert not any(ODD in word for word in own)
    assert not place.exists()


def test_the_plain_path_is_the_odd_one(tmp_path: Path) -> None:
    odd, plain = tmp_path / ODD, tmp_path / "plain"
    odd.mkdir()
    plain.mkdir()
    wrapped = [*CONTAINED, *AT_A_PLAIN_PATH, str(odd), str(plain), "touch", f"{plain}/made"]
    ran = subprocess.run(wrapped, capture_output=True, text=True, timeout=60, check=False)
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    assert ran.returncode == 0, ran.stderr
    assert (odd / "made").exists()
    assert list(plain.iterdir()) == []
