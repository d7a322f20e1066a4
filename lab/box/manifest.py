"""manifest.json beside a box: what it was made of, and why it would be made again."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from lab.base import resources
from lab.base.errors import HostError
from lab.base.models import Frozen
from lab.base.process import run
from lab.box.definition import BoxDefinition, BoxSpec, Flavour, all_packages
from lab.box.guests import GUEST_SCRIPTS
from lab.box.intact import FileFacts
from lab.box.own_digest import own_digest
from lab.box.schemas import schema_lines
from lab.inputs.steps import Role
from lab.inputs.virtualenvs import load_recipe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

RECIPE = 1
"""raised when the builder's Python part makes other boxes of the same inputs"""

SCRIPTS = ("prepare.sh", "schemas.sh", "finish.sh", "assemble.sh", *GUEST_SCRIPTS)
_TOOLS = {
    "mmdebstrap": (["mmdebstrap", "--version"], r"mmdebstrap (\S+)", "mmdebstrap"),
    "qemu-img": (["qemu-img", "--version"], r"version (\S+)", "qemu-utils"),
    "e2fsprogs": (["mke2fs", "-V"], r"mke2fs (\S+)", "e2fsprogs"),
    "grub": (["grub-mkimage", "--version"], r"GRUB\) (\S+)", "grub-pc-bin"),
}


class Inputs(Frozen):
    """All that decides what a box becomes, the archive's state aside."""

    suite: str
    requested: tuple[str, ...]
    """packages asked for by name, sorted"""
    definition: str
    """sha256 of the definition, its package lists left out"""
    scripts: dict[str, str]
    """file name to sha256"""
    schemas: str = ""
    """sha256 of the steps' lines that make the databases' schemas; empty: none of them"""
    own_packages: str = ""
    """sha256 of what the release's own packages are made of; empty: it has none"""
    tools: dict[str, str]
    """program to version"""
    key: str = ""
    """fingerprint of the key that it lets in; empty: the one that Vagrant publishes"""
    mirror: str = ""
    """the one that the user named; empty: the host's"""
    recipe: int = RECIPE


class BoxFacts(Frozen):
    """What is known of any box of the cache."""

    name: str
    version: str
    built: str
    """ISO time, UTC; of a ready-made box, when it came"""
    files: dict[str, FileFacts]
    """of the directory that Vagrant is shown, by name"""


class ReadyMade(BoxFacts):
    """A box that the user brought."""

    url: str
    sha256: str
    """of the file at the url"""


class Manifest(BoxFacts):
    """A built box."""

    release: str
    role: Role
    flavour: Flavour
    inputs: Inputs
    sources: tuple[str, ...]
    packages: dict[str, str]
    """every installed package and its version"""
    seconds: dict[str, float]
    """phase to time"""


def tool_versions() -> dict[str, str]:
    """Ask the builder's programs for their versions; HostError where one is missing."""
    versions = {}
    for name, (argv, pattern, package) in _TOOLS.items():
        try:
            done = run(argv, timeout_s=30, check=False)
        except HostError as error:
            raise HostError(f"boxes cannot be built: {error.message}", hint=f"apt-get install {package}") from error
        match = re.search(pattern, done.stdout + done.stderr)
        if match is None:
            raise HostError(f"{argv[0]} does not print its version", detail=str(done))
        versions[name] = match[1]
    return versions


def inputs_of(
    definition: BoxDefinition,
    spec: BoxSpec,
    tools: dict[str, str],
    mirror: str | None,
    *,
    key: str,
    boxes: Path = resources.BOXES,
) -> Inputs:
    """Gather what a box would be made of now."""
    dumped = definition.model_dump_json(exclude={"packages", "role_packages", "kernel"})
    return Inputs(
        suite=definition.suite,
        requested=all_packages(definition, spec),
        definition=_sha256(dumped.encode()),
        scripts={name: _sha256((boxes / name).read_bytes()) for name in SCRIPTS},
        schemas=_sha256(lines.encode()) if (lines := schema_lines(spec)) else "",
        own_packages=own_digest(load_recipe(spec.virtualenvs, boxes)) if spec.virtualenvs else "",
        tools=tools,
        key=key,
        mirror=mirror or "",
    )


def needs_rebuild(built: Inputs | None, wanted: Inputs, damage: str = "") -> str | None:
    """Say in a person's words why a box of `built` does not serve for `wanted`; None where it does.

    `damage`: what is wrong with the box, where there is one that does not count.
    """
    if built is None:
        return f"the one in the cache is damaged: {damage}" if damage else "no such box yet"
    if built.suite != wanted.suite:
        return f"suite changed: {built.suite} → {wanted.suite}"
    if built.requested != wanted.requested:
        return f"package list changed: {_difference(built.requested, wanted.requested)}"
    if built.definition != wanted.definition:
        return f"box definition of {wanted.suite} changed"
    for name in sorted({*built.scripts, *wanted.scripts}):
        if built.scripts.get(name) != wanted.scripts.get(name):
            return f"build script {name} changed"
    if built.schemas != wanted.schemas:
        return "the steps' commands for the databases' schemas changed"
    if built.own_packages != wanted.own_packages:
        return "the packages that are made of virtualenvs changed"
    for name in sorted({*built.tools, *wanted.tools}):
        old, new = built.tools.get(name, "none"), wanted.tools.get(name, "none")
        if old != new:
            return f"tool changed: {name} {old} → {new}"
    if built.key != wanted.key:
        return f"ssh key changed: {built.key or 'the one that Vagrant publishes'} → {wanted.key}"
    if wanted.mirror and built.mirror != wanted.mirror:
        return f"mirror changed: {built.mirror or 'of the host'} → {wanted.mirror}"
    if built.recipe != wanted.recipe:
        return f"the builder changed: recipe {built.recipe} → {wanted.recipe}"
    return None


def _difference(old: Sequence[str], new: Sequence[str]) -> str:
    words = [f"+ {n}" for n in new if n not in old] + [f"- {n}" for n in old if n not in new]
    shown = ", ".join(words[:8])
    return f"{shown}, and {len(words) - 8} more" if len(words) > 8 else shown


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
