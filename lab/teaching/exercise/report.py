"""The report on exercises as one HTML file, with a debrief of those that have ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

from lab.base.progress import clock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.teaching.exercise.results import Result

TEMPLATE = Path(__file__).with_name("report.html.j2")


@dataclass(frozen=True)
class Student:
    """One student's results."""

    name: str
    results: tuple[Result, ...]

    @property
    def won(self) -> int:
        """Points, of each exercise the best."""
        return sum(max(r.won for r in self.results if r.number == number) for number in self._numbers())

    @property
    def worth(self) -> int:
        """What the same exercises are worth."""
        return sum(max(r.worth for r in self.results if r.number == number) for number in self._numbers())

    def _numbers(self) -> set[int]:
        return {result.number for result in self.results}


def by_student(results: Iterable[Result]) -> list[Student]:
    """Sort results by student."""
    kept = tuple(results)
    names = dict.fromkeys(result.student for result in kept)
    return [Student(name, tuple(result for result in kept if result.student == name)) for name in names]


def html(lab: str, results: Iterable[Result]) -> str:
    """Write the report."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["clock"] = clock
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(lab=lab, students=by_student(results))
