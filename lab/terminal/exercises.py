"""How exercises look on a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from lab.base.progress import clock
from lab.teaching.exercise import points
from lab.terminal.progress import console

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lab.teaching.exercise.catalog import Loaded
    from lab.teaching.exercise.grade import Graded
    from lab.teaching.exercise.results import Result
    from lab.teaching.exercise.running import Running
    from lab.teaching.exercise.stories import Answer, NextHint

STYLES = {"passed": "bold green", "not yet": "bold yellow", "could not tell": "bold magenta"}


def plain(text: str, style: str = "") -> None:
    """Print a line as it is."""
    console.print(Text(text, style=style), soft_wrap=True)


def print_list(exercises: Iterable[Loaded], results: Iterable[Result] = ()) -> None:
    """List exercises, with their results."""
    ended: dict[int, list[str]] = {}
    for result in results:
        ended.setdefault(result.number, []).append(f"{result.student}: {result.outcome}")
    table = Table("no.", "level", "title", "minutes", "points", "so far", show_edge=False, pad_edge=False)
    for each in exercises:
        facts = each.facts
        so_far = ", ".join(ended.get(each.number, []))
        cells = [str(each.number), str(facts.level), facts.title, str(facts.minutes), str(points.WORTH[facts.level])]
        table.add_row(*(Text(cell) for cell in (*cells, so_far)))
    console.print(table)


def print_one(exercise: Loaded) -> None:
    """Show an exercise, and nothing of its answer."""
    facts = exercise.facts
    plain(f"exercise {exercise.number}: {facts.title}", "bold")
    plain(f"level {facts.level}, about {facts.minutes} minutes, {points.WORTH[facts.level]} points")
    plain(f"guide: {facts.guide}")
    plain(f"`lab exercise start {exercise.number}` breaks the lab; `lab exercise reset` restores it")


def print_started(symptoms: Sequence[str], running: Running) -> None:
    """Show what a user reports."""
    if (exam := running.exam) is not None:
        plain(f"{exam.title}: {exam.minutes} minutes, {exam.needed} % to pass, no hints", "bold")
    for symptom in symptoms:
        plain(f"A user reports: {symptom}", "bold")
    plain("`lab ssh NODE` to look, `lab exercise hint` for help, `lab exercise grade` when it is repaired")


def print_running(running: Running) -> None:
    """Say what runs, and how much time is left."""
    for task in running.tasks:
        plain(f"exercise {task.number}: {task.outcome or 'runs'}, hints taken: {task.hints}")
    if running.ends is not None and running.open:
        left = running.ends - time.time()
        plain(f"time left: {clock(left)}" if left > 0 else f"the time ended {clock(-left)} ago; nothing is removed")


def print_hints(hints: Iterable[NextHint]) -> None:
    """Show hints that were taken, or the next ones with their prices."""
    for hint in hints:
        if hint.text:
            plain(f"hint {hint.hint + 1} of exercise {hint.number}, {hint.name}: {hint.text}")
        else:
            cost = f"{hint.price} points, once it is solved" if hint.price else "free"
            plain(f"exercise {hint.number}, hint {hint.hint + 1}: {hint.name} ({cost}); `lab exercise hint --take`")


def print_graded(graded: Graded) -> None:
    """Say the verdict; of what is still wrong only what a user sees."""
    for number, verdict in graded.each.items():
        line = Text(f"exercise {number}: ").append(verdict.kind, STYLES[verdict.kind])
        if verdict.why:
            line.append(f": {verdict.why}")
        if verdict.red:
            count = f"{verdict.red} check{'s' if verdict.red > 1 else ''}"
            line.append(f" ({count} of {', '.join(verdict.chapters)})")
        console.print(line, soft_wrap=True)
    if graded.verdict.kind == "could not tell":
        plain("nothing was judged, and no attempt was counted")
    if graded.mark is not None:
        plain(f"exam: {'passed' if graded.mark.passed else 'not passed'}: {graded.mark}", "bold")
        if graded.late_s:
            plain(f"the time ended {clock(graded.late_s)} before, so it brings no points; the lab is as you left it")
    if not graded.running.open:
        plain("`lab exercise report` has the debrief, `lab exercise reset` restores the lab")


def print_answers(answers: Iterable[Answer]) -> None:
    """Show the teacher's answers."""
    for answer in answers:
        plain(f"exercise {answer.number}", "bold")
        for label, text in (("broken", answer.broken), ("showed", answer.showed), ("found", answer.found)):
            plain(f"  {label}: {text}")
        plain(f"  on {answer.node}, as root:")
        for line in answer.commands.splitlines():
            plain(f"    {line}")


def print_results(results: Sequence[Result]) -> None:
    """Show results as a table."""
    if not results:
        plain("no exercise has ended yet")
        return
    heads = ("student", "no.", "title", "how it ended", "time", "attempts", "hints", "won", "missed")
    table = Table(*heads, show_edge=False, pad_edge=False)
    for r in results:
        numbers = [str(each) for each in (r.attempts, r.hints, r.won, r.missed)]
        cells = [r.student, str(r.number), r.title, r.outcome, clock(r.seconds), *numbers]
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
