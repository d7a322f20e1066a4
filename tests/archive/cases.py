"""The steps of the releases, as pytest's parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from lab.base import resources
from lab.box.definition import BoxSpec, built_suites
from lab.inputs.catalog import load_steps
from lab.inputs.model import Spec
from lab.inputs.release import load_release, release_names
from lab.machines.boxes import wanted_boxes
from lab.planning.plan import HostFacts
from lab.planning.resolve import choose_steps, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.inputs.blocks import ConfigOption
    from lab.inputs.catalog import LoadedStep
    from lab.inputs.release import Release
    from lab.inputs.steps import Role


@dataclass(frozen=True)
class Case:
    """A step as a lab of the release has it, and one of its options."""

    release: Release
    chapters: tuple[str, ...]
    """of the lab: none of them, or all"""
    step: LoadedStep
    option: ConfigOption | None = None

    def __str__(self) -> str:
        words = [self.release.name, *(["chapters"] if self.chapters else []), self.step.id]
        if self.option:
            words += [self.option.path.rpartition("/")[2], self.option.section, self.option.option]
        return "-".join(words)


def cases(wanted: Callable[[LoadedStep], Any]) -> list[Any]:
    """Every step of every release for which `wanted` says something; twice, where the chapters change it."""
    return [_param(case) for case in _cases() if wanted(case.step)]


def option_cases() -> list[Any]:
    """Every option that a step of a release sets, once; twice, where the chapters change the step."""
    found = {str(case): case for c in _cases() for o in c.step.options for case in [replace(c, option=o)]}
    return [_param(case) for case in found.values()]


def box_of(case: Case, role: Role) -> BoxSpec:
    """The box that the lab uses for a role."""
    steps = load_steps(case.release, resources.PROVISION)
    spec = Spec(name="archive", release=case.release.name, chapters=case.chapters)
    plan = resolve(spec, case.release, steps, HostFacts())
    return next(box for box in wanted_boxes(plan) if box.role == role)


def built(release: Release) -> bool:
    """Tell whether boxes of the release are made here, of its distribution's packages."""
    return release.suite in built_suites()


def _cases() -> Iterator[Case]:
    for release in map(load_release, release_names()):
        steps, chapters = load_steps(release, resources.PROVISION), tuple(release.chapters)
        core = choose_steps(release, steps, ())
        yield from (Case(release, (), step) for step in core.values())
        for step in choose_steps(release, steps, chapters).values():
            if step != core.get(step.id):
                yield Case(release, chapters, step)


def _param(case: Case) -> Any:
    reason = f"{case.release.suite} has no archive here, and its boxes are the user's (boxes/{case.release.suite}.yaml)"
    marks = [] if built(case.release) else [pytest.mark.skip(reason=reason)]
    return pytest.param(case, id=str(case), marks=marks)
