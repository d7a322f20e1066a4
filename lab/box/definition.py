"""Box definitions: boxes/SUITE.yaml, and the wish for one box of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lab import resources
from lab.errors import Problem, SpecError, UsageError
from lab.models import Frozen
from lab.spec.steps import Role

if TYPE_CHECKING:
    from pathlib import Path

Flavour = Literal["installed", "preloaded"]

PREFIX = "compute-lab"
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")


class BoxDefinition(Frozen):
    """boxes/SUITE.yaml: what all boxes of a distribution have in common."""

    suite: str = Field(pattern=r"^[a-z]+$")
    archives: tuple[str, ...] = Field(min_length=1)
    """suites of the archive, as apt sources name them; the first one must be there"""
    components: tuple[str, ...] = ("main",)
    architecture: str = "amd64"
    keyring: str
    """file name in /usr/share/keyrings"""
    kernel: str
    disk_gib: int = Field(default=20, ge=4, le=1024)
    cmdline: str
    packages: tuple[str, ...]
    role_packages: dict[Role, tuple[str, ...]] = Field(default_factory=dict)
    initramfs_modules: tuple[str, ...] = ()
    enabled: tuple[str, ...]
    """units that stay enabled; a name with @ at its end stands for all instances"""
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

    suite: str
    release: str
    role: Role
    flavour: Flavour = "installed"
    packages: tuple[str, ...]
    """what the steps of the role name; the definition adds the base"""

    @property
    def name(self) -> str:
        """Vagrant's name for it, as compute-lab/zed-controller or compute-lab/zed-compute-preloaded."""
        tail = "-preloaded" if self.flavour == "preloaded" else ""
        return f"{PREFIX}/{self.release}-{self.role}{tail}"


def base_packages(definition: BoxDefinition, role: Role) -> tuple[str, ...]:
    """Packages of the bare system, sorted: what a preloaded box has installed."""
    return tuple(sorted({definition.kernel, *definition.packages, *definition.role_packages.get(role, ())}))


def all_packages(definition: BoxDefinition, spec: BoxSpec) -> tuple[str, ...]:
    """Every package that is asked for by name, sorted; their dependencies come along."""
    return tuple(sorted({*base_packages(definition, spec.role), *spec.packages}))


def built_suites(directory: Path = resources.BOXES) -> list[str]:
    """Name the distributions whose boxes are built here."""
    files = sorted(directory.glob("*.yaml"))
    return [file.stem for file in files if "upstream" not in YAML(typ="safe").load(file.read_text())]


def load_definition(suite: str, directory: Path = resources.BOXES) -> BoxDefinition:
    """Read boxes/SUITE.yaml.

    UsageError where there is none, or one that cannot be built; SpecError with all of its problems where it is wrong.
    """
    file = directory / f"{suite}.yaml"
    try:
        data = YAML(typ="safe").load(file.read_text())
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in directory.glob("*.yaml"))) or "none"
        raise UsageError(f"no box definition for {suite}", hint=f"known: {known}") from None
    except YAMLError as error:
        raise UsageError(f"{file}: not YAML", detail=str(error)) from error
    try:
        if isinstance(data, dict) and "upstream" in data:
            raise _not_built(UpstreamBox.model_validate(data))
        definition = BoxDefinition.model_validate(data)
    except ValidationError as error:
        raise SpecError(
            [
                Problem(str(file), 0, ".".join(map(str, e["loc"])), repr(e.get("input"))[:60], e["msg"])
                for e in error.errors()
            ]
        ) from error
    names = [*definition.packages, definition.kernel, *(n for ns in definition.role_packages.values() for n in ns)]
    wrong = [n for n in names if not _PACKAGE.fullmatch(n)]
    if wrong:
        raise SpecError([Problem(str(file), 0, "packages", repr(n), "the name of a Debian package") for n in wrong])
    return definition


def _not_built(box: UpstreamBox) -> UsageError:
    return UsageError(
        f"boxes of {box.suite} are not built here, and their checksum is yours to give",
        detail=f"Download the libvirt box {box.upstream} of Vagrant's catalog, or make one; compare its checksum\n"
        "(sha256sum FILE) with what its publisher says. Then, in the spec:\n"
        "  box: {url: FILE-OR-ADDRESS, sha256: 64 HEXADECIMAL DIGITS}",
        hint="a lab has no way out: a box that holds the packages already needs none",
    )
