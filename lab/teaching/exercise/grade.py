"""`lab exercise grade`: is the lab right again, and does it stay so?

First the symptom's own checks run, on the lab as the student left it. If they are green, they run again after a restart
of the services that the exercise is about (in an exam: of the nodes), with all other checks of the suite. Only a
verdict is recorded: a grading that could not tell, or that was interrupted, changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from lab.base.errors import HostError, MachineError
from lab.teaching.exercise import catalog, points, script
from lab.teaching.exercise.verdict import Verdict, colour, judge, together

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lab.teaching.exercise.desk import Desk
    from lab.teaching.exercise.draw import Variant
    from lab.teaching.exercise.points import Mark
    from lab.teaching.exercise.running import Outcome, Running
    from lab.verification.report import Report


@dataclass(frozen=True)
class Graded:
    """How a grading ended."""

    verdict: Verdict
    """of all together"""
    each: Mapping[int, Verdict]
    """number -> verdict"""
    running: Running
    mark: Mark | None = None
    """of an exam that ended"""
    late_s: float = 0.0
    """by how much an exam exceeded its time"""


def grade(desk: Desk) -> Graded:
    """Judge what runs.

    Raises:
        UsageError: nothing runs.
    """
    running, asked = desk.open(), desk.now()  # the time that the grading takes is not the student's
    variants = {task.number: desk.variant(task) for task in running.open}
    try:
        each = _judged(desk, variants, exam=running.exam is not None)
    except (MachineError, HostError) as error:  # LockedError is a HostError
        each = dict.fromkeys(variants, Verdict("could not tell", error.message))
    verdict = together(each.values())
    if verdict.kind == "could not tell" or (running.exam and _unsure(each.values())):
        return Graded(Verdict("could not tell", _why(each.values())), each, running)
    return _kept(desk, running, verdict, each, asked)


def _unsure(verdicts: Iterable[Verdict]) -> bool:
    return any(each.kind == "could not tell" for each in verdicts)


def _why(verdicts: Iterable[Verdict]) -> str:
    return next(each.why for each in verdicts if each.kind == "could not tell")


def _kept(desk: Desk, running: Running, verdict: Verdict, each: Mapping[int, Verdict], asked: float) -> Graded:
    """Record what was judged; it was asked for at `asked`, by the desk's clock."""
    running = running.model_copy(update={"attempts": running.attempts + 1})
    late_s = max(0.0, asked - running.ends) if running.ends is not None else 0.0
    for task in running.open:
        if running.exam is not None:
            good: Outcome = "late" if late_s else "passed"
            running = desk.end(running, task, good if each[task.number].kind == "passed" else "not passed", asked)
        elif each[task.number].kind == "passed":
            running = desk.end(running, task, "passed", asked)
    mark = _mark(desk, running, late=bool(late_s)) if running.exam is not None else None
    desk.file.save(running)
    return Graded(verdict, each, running, mark, late_s)


def _mark(desk: Desk, running: Running, *, late: bool) -> Mark:
    assert running.exam is not None
    worth = {task.number: points.WORTH[desk.variant(task).exercise.facts.level] for task in running.tasks}
    right = [task.number for task in running.tasks if task.outcome == "passed" and not running.read_all]
    won = 0 if late else sum(worth[number] for number in right)
    return points.Mark(won, sum(worth.values()), Fraction(running.exam.needed))


def _judged(desk: Desk, variants: Mapping[int, Variant], *, exam: bool) -> dict[int, Verdict]:
    own = {number: variant.shows(desk.plan) for number, variant in variants.items()}
    if away := desk.bench.unreachable():
        return dict.fromkeys(own, Verdict("could not tell", f"no answer from {', '.join(away)}"))
    with desk.progress.phase("symptom", "is the symptom gone?"), desk.bench.locked("lab exercise grade"):
        before = desk.bench.verify(frozenset[str]().union(*own.values()))
    repaired = [variants[number] for number, ids in own.items() if colour(before, ids) == "green"]
    if not repaired:
        return judge(own, before, None)
    after = _after_restart(desk, repaired, exam=exam)
    if away := desk.bench.unreachable():
        return dict.fromkeys(own, Verdict("could not tell", f"no answer from {', '.join(away)} after the restart"))
    return judge(own, before, after)


def _after_restart(desk: Desk, repaired: list[Variant], *, exam: bool) -> Report:
    """Restart what was repaired, and run the suite."""
    if exam:
        with desk.progress.phase("restart", "the nodes boot again"):
            desk.bench.reboot()
        return _suite(desk, None)
    with desk.bench.locked("lab exercise grade"):
        with desk.progress.phase("restart", "the services of the exercise start again"):
            restarted = _restart(desk, repaired)
            if any(map(_boots, repaired)):
                desk.bench.settle()
            elif restarted:
                desk.bench.settle(restarted=restarted)
        return _suite(desk, restarted)


def _boots(variant: Variant) -> bool:
    """Tell whether it does a part of a boot again, as that of the firewall, which any service may feel."""
    return catalog.START_AGAIN in variant.exercise.functions()


def _restart(desk: Desk, repaired: list[Variant]) -> set[tuple[str, str]]:
    """Restart the services that the exercises are about; give (node, unit)."""
    restarted: set[tuple[str, str]] = set()
    for variant in repaired:
        units = variant.restarts()
        if units:
            desk.bench.restart(variant.node, units)
            restarted |= {(variant.node, unit) for unit in units}
        if _boots(variant):
            desk.bench.run(variant.node, script.message(variant, catalog.START_AGAIN))
    return restarted


def _suite(desk: Desk, restarted: set[tuple[str, str]] | None) -> Report:
    """Run the suite; logs of services that were not restarted still contain the fault, and are left out."""
    if restarted is None:
        ids = None
    else:
        logs = {(node, f"/{unit}.log") for node, unit in restarted}
        ids = [
            check.id
            for check in desk.plan.checks
            if check.kind != "log" or any(check.node == n and check.args["path"].endswith(end) for n, end in logs)
        ]
    with desk.progress.phase("suite", "everything else"):
        return desk.bench.verify(ids)
