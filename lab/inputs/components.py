"""The components that the guide names, and what became of each of them: lab/inputs/components.yaml."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from lab.base import resources
from lab.base.errors import UsageError
from lab.base.models import Frozen
from lab.base.words import did_you_mean
from lab.inputs.document import read_document
from lab.inputs.release import load_release, release_names
from lab.inputs.validate import validate

if TYPE_CHECKING:
    from lab.inputs.release import Release


class Component(Frozen):
    """A service, a client or a part of the environment."""

    name: str
    does: str
    here: dict[str, str | None]
    """by release: what it is there and in later releases, up to the next that is named; None: it is gone"""
    chapter: str = ""
    """the optional chapter that installs it, where a release has that"""
    deprecated: str = ""
    """version of its project, as nova 18.0.0 (Rocky)"""
    removed: str = ""
    instead: str = ""
    why: str = ""
    """the reason for the removal"""
    step: str = ""
    """id of the step whose chapter of the guide names it; empty: the Compute service's chapter"""

    def in_release(self, release: Release) -> str | None:
        """Say what it is in a release; None where it is gone."""
        before = [name for name in self.here if load_release(name).version <= release.version]
        return self.here[max(before, key=lambda name: load_release(name).version)]

    @property
    def history(self) -> tuple[str, ...]:
        """Say in a line each what was deprecated, what was removed, what replaces it, and why."""
        told = (
            ("deprecated", self.deprecated),
            ("removed", self.removed),
            ("instead", self.instead),
            ("why", self.why),
        )
        return tuple(f"{what}: {text}" for what, text in told if text)

    def gone(self, release: Release) -> str:
        """Say since when it is gone, and what replaces it; for a release that does not have it."""
        return f"{self.name} is not in {release.name}: removed in {self.removed}; instead: {self.instead}"


class _Components(Frozen):
    components: tuple[Component, ...]


@lru_cache(maxsize=1)
def load_components() -> tuple[Component, ...]:
    """Load the table.

    Raises:
        SpecError: the file is wrong.
    """
    document = read_document(resources.COMPONENTS, missing="", top="components")
    table, _ = validate(_Components, document)
    document.raise_problems()
    assert table is not None
    return table.components


def in_order() -> list[Release]:
    """Give all releases, oldest first."""
    return sorted((load_release(name) for name in release_names()), key=lambda release: release.version)


def find(name: str) -> Component | None:
    """Find a component by its name, or by that of the chapter that installs it."""
    return next((c for c in load_components() if name in (c.name, c.chapter)), None)


def require(name: str, release: Release) -> str:
    """Say what a component is in a release.

    Raises:
        UsageError: there is no such component, or the release does not have it any more.
    """
    component = find(name)
    if component is None:
        known = [c.name for c in load_components()]
        raise UsageError(
            f"unknown component '{name}', expected one of: {', '.join(known)}", hint=did_you_mean(name, known)
        )
    state = component.in_release(release)
    if state is None:
        raise UsageError(component.gone(release))
    return state
