"""Box definitions: boxes/SUITE.yaml with what it names as its base, and the wish for one box of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lab.base import resources
from lab.base.errors import Problem, SpecError, UsageError
from lab.base.models import Frozen
from lab.inputs.steps import Role
from lab.inputs.values import BOX_DISK_GIB

if TYPE_CHECKING:
    from pathlib import Path

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

    name: str
    """Vagrant's name for it, as compute-lab/zed-controller or compute-lab/zed-controller-dashboard-preloaded"""
    suite: str
    release: str
    role: Role
    flavour: Flavour = "installed"
    packages: tuple[str, ...]
    """what the steps of the role name; the definition adds the base"""


def base_packages(definition: BoxDefinition, role: Role) -> tuple[str, ...]:
    """Packages of the bare system, sorted: what a preloaded box has installed."""
    return tuple(sorted({definition.kernel, *definition.packages, *definition.role_packages.get(role, ())}))


def all_packages(definition: BoxDefinition, spec: BoxSpec) -> tuple[str, ...]:
    """Every package that is asked for by name, sorted; their dependencies come along."""
    return tuple(sorted({*base_packages(definition, spec.role), *spec.packages}))


def built_suites(directory: Path = resources.BOXES) -> list[str]:
    """Name the distributions whose boxes are built here."""
    return [suite for suite in _suites(directory) if "upstream" not in _read(directory / f"{suite}.yaml")]


def load_definition(suite: str, directory: Path = resources.BOXES) -> BoxDefinition:
    """Read boxes/SUITE.yaml, and the file that it names as its `base`.

    UsageError where there is none, or one that cannot be built; SpecError with all of its problems where it is wrong.
    """
    file = directory / f"{suite}.yaml"
    if not file.exists():
        known = ", ".join(_suites(directory)) or "none"
        raise UsageError(f"no box definition for {suite}", hint=f"known: {known}")
    data = _read(file)
    try:
        if "upstream" in data:
            raise _not_built(UpstreamBox.model_validate(data))
        base, base_file = _base_of(data, file)
        definition = BoxDefinition.model_validate(_merged(_without(data, "base"), base))
    except ValidationError as error:
        raise SpecError(
            [
                Problem(
                    str(base_file if e["loc"][0] in base and e["loc"][0] not in data else file),
                    0,
                    ".".join(map(str, e["loc"])),
                    repr(e.get("input"))[:60],
                    e["msg"],
                )
                for e in error.errors()
            ]
        ) from error
    problems = _problems_of_lists(definition, str(file))
    if problems:
        raise SpecError(problems)
    return definition


def _suites(directory: Path) -> list[str]:
    """Name the distributions that have a file; one without a suite is a base of others."""
    return [file.stem for file in sorted(directory.glob("*.yaml")) if "suite" in _read(file)]


def _read(file: Path) -> dict[str, Any]:
    try:
        data = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
    except YAMLError as error:
        raise UsageError(f"{file}: not YAML", detail=str(error)) from error
    if not isinstance(data, dict):
        raise SpecError([Problem(str(file), 0, "", repr(data)[:60], "keys and their values")])
    return data


def _base_of(data: dict[str, Any], file: Path) -> tuple[dict[str, Any], Path]:
    """Read what a definition's `base` names; without one, nothing.

    SpecError where there is no such file, or one that is no base.
    """
    if "base" not in data:
        return {}, file
    base_file = file.with_name(f"{data['base']}.yaml")
    if not base_file.exists():
        bases = {path.stem for path in file.parent.glob("*.yaml")} - {*_suites(file.parent)}
        expected = f"one of: {', '.join(sorted(bases)) or 'none is there'}"
        raise SpecError([Problem(str(file), 0, "base", repr(data["base"]), expected)])
    base = _read(base_file)
    wrong = [key for key in ("suite", "base", "upstream") if key in base]
    if wrong:
        expected = f"no such key in what {file.name} names as its base"
        raise SpecError([Problem(str(base_file), 0, key, repr(base[key]), expected) for key in wrong])
    return base, base_file


def _merged(own: Any, base: Any) -> Any:
    """Join a value with the base's: lists add up, sections are joined key by key, else its own one counts."""
    if isinstance(own, dict) and isinstance(base, dict):
        return base | {key: _merged(value, base[key]) if key in base else value for key, value in own.items()}
    if isinstance(own, list) and isinstance(base, list):
        return [*base, *own]
    return own


def _without(data: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != key}


def _problems_of_lists(definition: BoxDefinition, file: str) -> list[Problem]:
    names = [*definition.packages, definition.kernel, *(n for ns in definition.role_packages.values() for n in ns)]
    problems = [
        Problem(file, 0, "packages", repr(n), "the name of a Debian package")
        for n in names
        if not _PACKAGE.fullmatch(n)
    ]
    for key, value in definition:
        if isinstance(value, tuple):
            twice = dict.fromkeys(item for item in value if value.count(item) > 1)
            problems += [Problem(file, 0, key, f"{item!r} twice", "each once, the base's own too") for item in twice]
    return problems


def _not_built(box: UpstreamBox) -> UsageError:
    return UsageError(
        f"boxes of {box.suite} are not built here: provide one, with its checksum",
        detail=f"Download the libvirt box {box.upstream} of Vagrant's catalog, or make one; compare its checksum\n"
        "(sha256sum FILE) with what its publisher says. Then, in the spec:\n"
        "  box: {url: FILE-OR-ADDRESS, sha256: 64 HEXADECIMAL DIGITS}",
        hint="a lab has no access to the internet, so the box should already contain the packages",
    )
