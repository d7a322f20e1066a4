"""The steps of the releases, as pytest's parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from lab import resources
from lab.box.definition import BoxSpec, built_suites
from lab.boxes import wanted_boxes
from lab.plan import HostFacts
from lab.resolve import resolve
from lab.spec.catalog import load_steps
from lab.spec.model import Spec
from lab.spec.release import load_release, release_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.spec.blocks import ConfigOption
    from lab.spec.catalog import LoadedStep
    from lab.spec.release import Release
    from lab.spec.steps import Role


@dataclass(frozen=True)
class Case:
    """A step as a release has it, and one of its options."""

    release: Release
    step: LoadedStep
    option: ConfigOption | None = None

    def __str__(self) -> str:
        words = [self.release.name, self.step.id]
        if self.option:
            words += [self.option.path.rpartition("/")[2], self.option.section, self.option.option]
        return "-".join(words)


def cases(wanted: Callable[[LoadedStep], Any]) -> list[Any]:
    """Every step of every release for which `wanted` says something."""
    return [_param(Case(release, step)) for release, step in _steps() if wanted(step)]


def option_cases() -> list[Any]:
    """Every option that a step of a release sets, once."""
    found = {str(case): case for r, s in _steps() for o in s.options for case in [Case(r, s, o)]}
    return [_param(case) for case in found.values()]


def box_of(release: Release, role: Role) -> BoxSpec:
    """The box that a lab of the release uses for a role."""
    steps = load_steps(release, resources.PROVISION)
    spec = Spec(name="archive", release=release.name, chapters=tuple(release.chapters))
    plan = resolve(spec, release, steps, HostFacts())
    return next(box for box in wanted_boxes(plan) if box.role == role)


def built(release: Release) -> bool:
    """Tell whether boxes of the release are made here, of its distribution's packages."""
    return release.suite in built_suites()


def _steps() -> Iterator[tuple[Release, LoadedStep]]:
    for name in release_names():
        release = load_release(name)
        yield from ((release, step) for step in load_steps(release, resources.PROVISION).values())


def _param(case: Case) -> Any:
    reason = f"{case.release.suite} has no archive here, and its boxes are the user's (boxes/{case.release.suite}.yaml)"
    marks = [] if built(case.release) else [pytest.mark.skip(reason=reason)]
    return pytest.param(case, id=str(case), marks=marks)
