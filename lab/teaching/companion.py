"""Where a student is in the course, and what of a chapter is right. Pure but for the handout that it reads.

A chapter is proven by its checks alone: whether a script or a person did its work makes no difference.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from lab.base.errors import UsageError
from lab.teaching.coverage import cover
from lab.teaching.looks import filled, look
from lab.verification.proven import is_verified

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.nodes.state import State
    from lab.planning.plan import Check, Plan, Step
    from lab.verification.report import Outcome, Report

Answer = Literal["right", "missing", "unknown"]
_ANSWERS: dict[Outcome, Answer] = {"passed": "right", "skipped": "right", "failed": "missing", "error": "unknown"}
_DIGEST = re.compile(r'(?:name="lab-plan" content="|edition\. Plan )([0-9a-f]{12})')


@dataclass(frozen=True)
class Place:
    """How far the course is done."""

    proven: tuple[Step, ...]
    """chapters whose checks all passed the last time"""
    next: Step | None
    """the first that is not proven; None if all are"""


@dataclass(frozen=True)
class Point:
    """One check of a chapter, as a student may know it: without the value that it expects."""

    what: str
    """kind and name"""
    node: str
    answer: Answer
    look: str
    """the command that shows it"""
    read: tuple[str, ...]
    """statements of the guide, or its section"""
    why: str = ""
    """the reason if it could not be judged"""


@dataclass(frozen=True)
class Graded:
    """A student's work on one chapter."""

    step: Step
    points: tuple[Point, ...]

    def of(self, answer: Answer) -> tuple[Point, ...]:
        """Give those with this answer."""
        return tuple(point for point in self.points if point.answer == answer)

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        counts = {answer: len(self.of(answer)) for answer in ("right", "missing", "unknown")}
        return {"step": self.step.id, "title": self.step.title, **counts, "points": [asdict(p) for p in self.points]}


def place_of(plan: Plan, state: State) -> Place:
    """Tell which chapters are proven, and which comes next."""
    proven = tuple(step for step in plan.steps if is_verified(plan, state, [step.id]))
    return Place(proven, next((step for step in plan.steps if step not in proven), None))


def graded(plan: Plan, step_id: str, report: Report) -> Graded:
    """Turn the suite's results for a chapter into what a student may know."""
    said = {check.id: check for check in report.checks}
    statements: dict[str, list[str]] = {}
    for statement in cover(plan).statements:
        for name in statement.checks:
            statements.setdefault(name, []).append(f"{statement.section}: {statement.instead or statement.text}")
    points = []
    for check in plan.checks:
        if check.step == step_id and check.id in said:
            answer = _ANSWERS[said[check.id].outcome]
            read = tuple(dict.fromkeys(statements.get(check.id) or _section(plan, check)))
            why = said[check.id].message if answer == "unknown" else ""
            points.append(Point(_name(check), check.node, answer, look(_filled(plan, check))[0], read, why))
    return Graded(next(step for step in plan.steps if step.id == step_id), tuple(points))


def _name(check: Check) -> str:
    name = check.id.removeprefix(f"{check.node}-{check.step}-{check.kind}-")
    return check.kind if name == check.kind else f"{check.kind} {name}"


def _filled(plan: Plan, check: Check) -> Check:
    """Put the node's addresses into a check; passwords stay names."""
    known = {**plan.node(check.node).env, **{name: name for name in plan.secrets}}
    return check.model_copy(update={"args": filled(check.args, known), "command": filled(check.command, known)})


def _section(plan: Plan, check: Check) -> Iterator[str]:
    command = _filled(plan, check).command
    yield f"{check.guide}: {command}" if command else check.guide


def plan_of_handout(path: Path) -> str:
    """Read the digest of the plan that a handout was made for.

    Raises:
        UsageError: the file is no handout, or has no digest.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint="`lab handout --output FILE` writes one") from None
    found = _DIGEST.search(text)
    if found is None:
        raise UsageError(f"{path} is no handout in HTML or Markdown", hint="`lab handout --output FILE` writes one")
    return found[1]
