"""How a student's place in the course, and the work on a chapter, look on a terminal."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from rich.text import Text

from lab.terminal.progress import console

if TYPE_CHECKING:
    from pathlib import Path

    from lab.planning.plan import Plan
    from lab.teaching.companion import Graded, Place, Point


def print_place(plan: Plan, place: Place, handout: Path | None, digest: str) -> None:
    """Print what is proven, what comes next, and where it is in the handout."""
    for step in place.proven:
        _line("proven  ", f"{step.id}: {step.title}", "green")
    following = place.next
    if following is None:
        console.print("all chapters of this lab are proven")
    else:
        _line("next    ", f"{following.id}: {following.title}, on {', '.join(following.nodes)}", "bold")
        _line("guide   ", f"{following.guide} {following.url}".strip(), "dim")
        section = f"section {following.id} of {handout or 'a handout'}"
        where = section if handout else f"`lab next --read`, or {section}"
        _line("handout ", where, "dim")
        asked = sum(check.step == following.id for check in plan.checks)
        _line("then    ", f"`lab check-step` grades your work: {asked} checks", "dim")
    if handout is not None and digest != plan.digest:
        differs = f"{handout} is the handout of another plan ({digest}; this lab's is {plan.digest})"
        console.print(f"{differs}; `lab handout` writes this lab's", style="yellow", markup=False, soft_wrap=True)


def print_graded(graded: Graded) -> None:
    """Print what is right in a line for each kind, and what is missing with what to read again."""
    right, missing, unknown = graded.of("right"), graded.of("missing"), graded.of("unknown")
    for kind, points in groupby(sorted(right, key=_kind), key=_kind):
        names = dict.fromkeys(point.what.removeprefix(kind).strip() for point in points)
        _line("right    ", f"{kind} {', '.join(filter(None, names))}".strip(), "green")
    for point in missing:
        _line("missing  ", f"{point.what}, on {point.node}", "bold red")
        _line("   look  ", point.look, "dim")
        for text in point.read:
            _line("   read  ", text, "dim")
    for why in dict.fromkeys(point.why for point in unknown):
        _line("unknown  ", f"{sum(point.why == why for point in unknown)} checks: {why}", "magenta")
    step = graded.step
    if missing or unknown:
        counts = [f"{len(missing)} missing"] if missing else []
        counts += [f"{len(unknown)} could not be judged"] if unknown else []
        counts.append(f"{len(right)} right")
        console.print(f"{step.id}: {', '.join(counts)}; section {step.id} of the handout", style="bold", soft_wrap=True)
    else:
        console.print(f"{step.id}: all {len(right)} checks are right; `lab next`", style="bold green", soft_wrap=True)


def _kind(point: Point) -> str:
    return point.what.partition(" ")[0]


def _line(label: str, text: str, style: str) -> None:
    line = Text(label, style)
    line.append(text, "")
    console.print(line, soft_wrap=True)
