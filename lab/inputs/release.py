"""A release: its operating system, its steps in teaching order, its capabilities. Files: lab/releases/NAME.yaml.

What several releases have in common is in a file of `base/` there, which they name as their `base`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from pydantic import Field

from lab.base import resources
from lab.base.errors import UsageError
from lab.base.models import Frozen
from lab.base.words import did_you_mean
from lab.inputs.layers import read_layers
from lab.inputs.validate import validate


class Chapter(Frozen):
    """An optional chapter: steps of its own among those of the core, or what it changes in these, or both."""

    title: str
    steps: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    """what the release is capable of with it: steps of the core ask for it (`when`, LAB_HAS_…)"""
    without: tuple[str, ...] = ()
    """steps of the core whose place it takes: what needs them needs the chapter's instead"""
    addresses: int = 0
    """how many of the provider network it uses"""


class Release(Frozen):
    """lab/releases/NAME.yaml. Scripts and modules never ask for its name, but for a capability."""

    name: str
    title: str = Field(pattern=r"\(20\d\d\.[12]\)$")
    """with the version at its end, as OpenStack Zed (2022.2)"""
    distribution: str
    """its name, as Debian"""
    suite: str
    """the distribution's, as bookworm"""
    archive: str = ""
    """what add-apt-repository calls the archive that has the release, where the distribution's own has not"""
    virtualenvs: str = Field(default="", pattern=r"^([a-z][a-z0-9-]*)?$")
    """of services that no archive has: the directory of boxes/ that says how packages are made of them"""
    box: str
    """what the boxes' names begin with, as compute-lab/zed"""
    series: str
    """the release's name on docs.openstack.org, as zed or 2025.1"""
    tested: bool = False
    """whether a lab of it has come up and passed its suite on virtual machines, as CI does by turns"""
    purpose: str = ""
    """what it is for, where that is something else than a lab of the Compute service as it is today"""
    ended: str = Field(default="", pattern=r"^(20\d\d)?$")
    """the year since which nobody repairs its security: a lab of it meets no network but its own"""
    guide: str = ""
    """URL of the release's install guide"""
    emulated_cpu_without: tuple[str, ...] = ()
    """features, by QEMU's names, that an emulated compute node must not have for its own KVM to boot guests"""
    edition: str = Field(default="", pattern=r"^([a-z][a-z-]*)?$")
    """of the guide, where its chapters have steps of their own: the folder of provision/ that has them"""
    steps: tuple[str, ...] = Field(min_length=1)
    """ids of the core's steps, in teaching order"""
    chapters: dict[str, Chapter] = {}
    capabilities: dict[str, bool]
    """NAME becomes LAB_HAS_NAME=1 or 0 in the scripts' environment"""
    secrets: tuple[str, ...]
    """names of the passwords, as NOVA_DBPASS"""

    @property
    def version(self) -> str:
        """The year and the half of it, as 2022.2: releases sort by it."""
        return self.title[-7:-1]

    @property
    def every_step(self) -> tuple[str, ...]:
        """The ids of all steps that the release names, in order."""
        return tuple(sorted({*self.steps, *(step for chapter in self.chapters.values() for step in chapter.steps)}))

    def steps_with(self, chapters: tuple[str, ...]) -> tuple[str, ...]:
        """List the ids of the steps of a lab with these chapters, in order: their numbers give it."""
        chosen = [self.chapters[name] for name in chapters]
        ids = {*self.steps, *(step for chapter in chosen for step in chapter.steps)}
        return tuple(sorted(ids.difference(*(chapter.without for chapter in chosen))))

    def capabilities_with(self, chapters: tuple[str, ...]) -> dict[str, bool]:
        """Give the capabilities that a lab with these chapters has."""
        added = {name for chapter in chapters for name in self.chapters[chapter].capabilities}
        return {name: has or name in added for name, has in self.capabilities.items()}


@lru_cache(maxsize=1)
def release_names() -> tuple[str, ...]:
    """Name the releases that the project has."""
    return tuple(sorted(path.stem for path in resources.RELEASES.glob("*.yaml")))


def default_release() -> str:
    """Name the newest release that is tested: what `lab init` proposes."""
    tested = [release for release in map(load_release, release_names()) if release.tested]
    return max(tested, key=lambda release: release.version).name


def load_release(name: str) -> Release:
    """Load a release by its name.

    Raises:
        UsageError: there is no such release.
        SpecError: its file is wrong.
    """
    name = canonical(name)
    if name not in release_names():
        expected = f"unknown release '{name}', expected one of: {', '.join(release_names())}"
        raise UsageError(expected, hint=release_hint(name))
    return _load(name)


def canonical(word: str) -> str:
    """Give the name of the release that is meant by a name, a version or both; another word as it is.

    OpenStack calls its releases by both: epoxy, Epoxy, 2025.1, Epoxy (2025.1), 2025.1 Epoxy.
    """
    if word in release_names() or not word.isprintable():
        return word
    asked = set(re.findall(r"[a-z0-9.]+", word.lower())) - {"openstack", "release"}
    fits = [r.name for r in map(_load, release_names()) if asked and asked <= {r.name, r.version, r.series.lower()}]
    return fits[0] if len(fits) == 1 else word


def release_hint(word: str) -> str:
    """Say which release may be meant by a word that is none; of a version, which there are."""
    if near := did_you_mean(word, release_names()):
        return near
    known = ", ".join(f"{release.name} is {release.version}" for release in map(_load, release_names()))
    return known if re.search(r"\d", word) else ""


@lru_cache(maxsize=16)
def _load(name: str) -> Release:
    document = read_layers(resources.RELEASES / f"{name}.yaml", top="a release")
    release, _ = validate(Release, document)
    document.raise_problems()
    assert release is not None
    return release
