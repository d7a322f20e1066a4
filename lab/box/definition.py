"""Box definitions: boxes/SUITE.yaml with what it names as its base, and the wish for one box of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from lab.base import resources
from lab.base.errors import UsageError
from lab.base.models import Frozen
from lab.inputs.layers import read_layers
from lab.inputs.steps import Role
from lab.inputs.validate import validate
from lab.inputs.values import BOX_DISK_GIB

if TYPE_CHECKING:
    from lab.inputs.document import Document, Loc
    from lab.inputs.validate import ModelT

Flavour = Literal["installed", "preloaded"]

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")


class BoxDefinition(Frozen):
    """boxes/SUITE.yaml, its base included: what all boxes of a distribution have in common."""

    suite: str = Field(pattern=r"^[a-z]+$")
    archives: tuple[str, ...] = Field(min_length=1)
    """suites of the archive, as apt sources name them; the first one must be there"""
    components: tuple[str, ...] = ("main",)
    architecture: str = "amd64"
    keyring: str
    """file name in /usr/share/keyrings"""
    kernel: str
    disk_gib: int = Field(default=BOX_DISK_GIB, ge=4, le=1024)
    cmdline: str
    packages: tuple[str, ...]
    role_packages: dict[Role, tuple[str, ...]] = Field(default_factory=dict)
    initramfs_modules: tuple[str, ...] = ()
    enabled: tuple[str, ...]
    """units that stay enabled; a name with @ at its end means all instances"""
    masked: tuple[str, ...] = ()
    sshd: tuple[str, ...] = ()
    """lines of sshd_config that only this distribution's ssh server knows"""
    debconf: tuple[str, ...] = ()
    """lines for debconf-set-selections"""


class UpstreamBox(Frozen):
    """boxes/SUITE.yaml of a distribution whose boxes are not built here, but brought by the user."""

    suite: str
    upstream: str
    """name in Vagrant's catalog"""


class BoxSpec(Frozen):
    """The wish for one box: a role of a release, in a flavour."""

    name: str
    """Vagrant's name for it, as compute-lab/zed-controller or compute-lab/zed-controller-dashboard-preloaded"""
    suite: str
    release: str
    role: Role
    flavour: Flavour = "installed"
    packages: tuple[str, ...]
    """what the steps of the role name; the definition adds the base"""
    scripts: tuple[Path, ...] = ()
    """of the steps of the role, in order"""
    virtualenvs: str = ""
    """directory of boxes/ with the recipe of the release's own packages"""


def base_packages(definition: BoxDefinition, role: Role) -> tuple[str, ...]:
    """Packages of the bare system, sorted: what a preloaded box has installed."""
    return tuple(sorted({definition.kernel, *definition.packages, *definition.role_packages.get(role, ())}))


def all_packages(definition: BoxDefinition, spec: BoxSpec) -> tuple[str, ...]:
    """Every package that is asked for by name, sorted; their dependencies come along."""
    return tuple(sorted({*base_packages(definition, spec.role), *spec.packages}))


def built_suites(directory: Path = resources.BOXES) -> list[str]:
    """Name the distributions whose boxes are built here."""
    return [suite for suite in _suites(directory) if "upstream" not in _read(suite, directory).data]


def load_definition(suite: str, directory: Path = resources.BOXES) -> BoxDefinition:
    """Read boxes/SUITE.yaml, and the file of boxes/base that it names as its `base`.

    UsageError where there is none, or one that cannot be built; SpecError with all of its problems where it is wrong.
    """
    if suite not in (known := _suites(directory)):
        raise UsageError(f"no box definition for {suite}", hint=f"known: {', '.join(known) or 'none'}")
    document = _read(suite, directory)
    if "upstream" in document.data:
        raise _not_built(_valid(UpstreamBox, document))
    definition = _valid(BoxDefinition, document)
    _problems_of_lists(definition, document)
    document.raise_problems()
    return definition


def _suites(directory: Path) -> list[str]:
    """Name the distributions that have a file."""
    return sorted(file.stem for file in directory.glob("*.yaml"))


def _read(suite: str, directory: Path) -> Document:
    return read_layers(directory / f"{suite}.yaml", top="a box definition")


def _valid(model: type[ModelT], document: Document) -> ModelT:
    value, _ = validate(model, document)
    document.raise_problems()
    assert value is not None
    return value


def _problems_of_lists(definition: BoxDefinition, document: Document) -> None:
    """Keep what is wrong about the lists: names that no package can have, and entries that a list has twice."""
    named: list[tuple[Loc, str]] = [(("packages", index), name) for index, name in enumerate(definition.packages)]
    named += [(("kernel",), definition.kernel)]
    for role, names in definition.role_packages.items():
        named += [(("role_packages", role, index), name) for index, name in enumerate(names)]
    for loc, name in named:
        if not _PACKAGE.fullmatch(name):
            document.problem(loc, repr(name), "the name of a Debian package")
    for key, value in definition:
        if isinstance(value, tuple):
            for index, item in enumerate(value):
                if item in value[:index]:
                    document.problem((key, index), f"{item!r} twice", "each once, the base's own too")


def _not_built(box: UpstreamBox) -> UsageError:
    return UsageError(
        f"boxes of {box.suite} are not built here: provide one, with its checksum",
        detail=f"Download the libvirt box {box.upstream} of Vagrant's catalog, or make one; compare its checksum\n"
        "(sha256sum FILE) with what its publisher says. Then, in the spec:\n"
        "  box: {url: FILE-OR-ADDRESS, sha256: 64 HEXADECIMAL DIGITS}",
        hint="a lab has no access to the internet, so the box should already contain the packages",
    )
