"""Exercises from start to end: `lab exercise start`, `hint`, `solve`, `reset`; `grade` has a module of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.base.errors import MachineError, UsageError
from lab.teaching.exercise import catalog, points, script, state
from lab.teaching.exercise.draw import Variant, draw, require_possible
from lab.teaching.exercise.model import HINTS
from lab.teaching.exercise.running import CHECKPOINT, Exam, Running, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.teaching.exercise.desk import Desk


@dataclass(frozen=True)
class NextHint:
    """A hint before it is taken."""

    number: int
    """the exercise's"""
    hint: int
    """0 is the first"""
    name: str
    price: int
    """points; 0 if the exercise has ended"""
    text: str = ""
    """only of one that was taken"""


@dataclass(frozen=True)
class Answer:
    """The teacher's answer to one exercise."""

    number: int
    node: str
    commands: str
    broken: str
    showed: str
    found: str


def start(desk: Desk, numbers: Sequence[int], *, student: str, seed: str, exam: Exam | None = None) -> list[str]:
    """Save a checkpoint, break the lab, and give the symptoms, which is all that a user would report.

    Raises:
        UsageError: an exercise runs already, is not known, or is about something that the lab does not have.
        MachineError: checks of the lab failed before; or it could not be broken, and is as before.
    """
    _refuse_second(desk)
    variants = [draw(catalog.find(number, desk.exercises), seed, desk.plan) for number in dict.fromkeys(numbers)]
    for variant in variants:
        require_possible(variant, desk.plan)
    with desk.progress.phase("checks", "is the lab as it should be?"):
        if not desk.bench.verify(quick=True).good:
            raise MachineError("checks of this lab fail, so no exercise can start", hint="`lab up` repairs it")
    with desk.progress.phase("checkpoint", "saving the lab"):
        desk.bench.forget(CHECKPOINT)
        desk.bench.save(CHECKPOINT)
    with desk.progress.phase("exercise", "preparing"):
        before = desk.bench.state()
        tasks = tuple(Task(number=each.number, seed=seed, digest=each.exercise.digest) for each in variants)
        running = Running(student=student, started=desk.now(), tasks=tasks, exam=exam, before=before)
        desk.file.save(running)
        _break(desk, variants)
        desk.file.save(running.model_copy(update={"started": desk.now()}))
    return [variant.text(variant.exercise.facts.symptom) for variant in variants]


def _refuse_second(desk: Desk) -> None:
    found = desk.file.load()
    if found is not None and found.open:
        numbers = ", ".join(str(task.number) for task in found.open)
        raise UsageError(
            f"exercise {numbers} runs already",
            hint="`lab exercise grade`, or `lab exercise reset` to give it up",
        )


def _in_order(variants: Sequence[Variant]) -> list[Variant]:
    """Begin with those that call the Identity service, because another one may break it; repairs go the other way."""
    return sorted(variants, key=lambda each: "batch" not in each.exercise.script)


def _break(desk: Desk, variants: Sequence[Variant]) -> None:
    """Break the nodes; if that fails, the lab is as before, and no message says what was tried."""
    try:
        with desk.bench.locked("lab exercise start"):
            for variant in _in_order(variants):
                desk.bench.run(variant.node, script.message(variant, catalog.BREAK))
    except MachineError as error:
        desk.bench.restore(CHECKPOINT)
        desk.file.remove()
        desk.bench.forget(CHECKPOINT)
        raise MachineError(
            "the exercise could not be prepared; the lab is as it was before",
            hint="another exercise; for its author: `make test-exercises` shows the reason",
        ) from error


def next_hints(desk: Desk) -> list[NextHint]:
    """Name the next hint of each exercise that runs, with its price; nothing is taken."""
    running = desk.running()
    _refuse_in_exam(running)
    return [_hint(desk, task, task.hints) for task in running.tasks if task.hints < HINTS or task.outcome]


def take_hint(desk: Desk, number: int | None = None) -> list[NextHint]:
    """Take the next hint of an exercise; once it has ended, all of them, which is free.

    Raises:
        UsageError: there are none left, or it is an exam; or several exercises run, and none is named.
    """
    running = desk.running()
    _refuse_in_exam(running)
    task = _task(running, number)
    if task.outcome:
        return [_hint(desk, task, each, taken=True) for each in range(HINTS)]
    if task.hints >= HINTS:
        raise UsageError("all hints are taken", hint="`lab exercise solve` shows the answer, and brings no points")
    taken = task.model_copy(update={"hints": task.hints + 1})
    desk.file.save(running.with_tasks(tuple(taken if each == task else each for each in running.tasks)))
    return [_hint(desk, task, each, taken=True) for each in range(taken.hints)]


def _refuse_in_exam(running: Running) -> None:
    if running.exam is not None and running.open:
        raise UsageError("an exam has no hints", hint="`lab exercise grade` ends the exam")


def _task(running: Running, number: int | None) -> Task:
    tasks = [task for task in running.tasks if number in (None, task.number)]
    if len(tasks) != 1:
        names = ", ".join(str(task.number) for task in running.tasks)
        raise UsageError("which exercise?" if tasks else f"exercise {number} does not run", hint=f"one of: {names}")
    return tasks[0]


def _hint(desk: Desk, task: Task, hint: int, *, taken: bool = False) -> NextHint:
    variant = desk.variant(task)
    facts = variant.exercise.facts
    hint = min(hint, HINTS - 1)
    price = 0 if task.outcome else points.price(facts.level, hint)
    text = variant.text(facts.hints[hint].text) if taken else ""
    return NextHint(task.number, hint, facts.hints[hint].name, price, text)


def solve(desk: Desk) -> list[Answer]:
    """Give up: show the teacher's answers, and apply them.

    Raises:
        UsageError: nothing runs; or an exam does.
        MachineError: an answer could not be applied, because the lab is no longer as the exercise left it.
    """
    running = desk.running()
    if running.exam is not None and running.open:
        raise UsageError("an exam has no answers before its end", hint="`lab exercise grade` ends the exam")
    answers = [answer(desk.variant(task)) for task in running.tasks]
    unsolved = {task.number: task for task in running.open}
    for variant in reversed(_in_order([desk.variant(task) for task in running.open])):
        running = desk.end(running, unsolved[variant.number], "solved")
        desk.file.save(running)
        _apply(desk, variant, catalog.SOLVE)
    with desk.progress.phase("services", "waiting for the services"):
        desk.bench.settle()
    return answers


def _apply(desk: Desk, variant: Variant, function: str) -> None:
    try:
        with desk.bench.locked("lab exercise solve"):
            desk.bench.run(variant.node, script.message(variant, function))
    except MachineError as error:
        raise MachineError(
            f"the answer could not be applied: {variant.node} is no longer as the exercise left it",
            detail=error.detail,
            hint="`lab exercise reset` restores the lab",
        ) from error


def answer(variant: Variant) -> Answer:
    """Give the teacher's answer, with what was drawn."""
    facts = variant.exercise.facts
    texts = [variant.text(text) for text in (facts.broken, facts.showed, facts.found)]
    return Answer(variant.number, variant.node, script.shown(variant, catalog.SOLVE), *texts)


def reset(desk: Desk) -> list[str]:
    """Restore the lab as it was before the exercise; give what differs, normally nothing.

    Raises:
        UsageError: nothing to restore.
    """
    try:
        running = desk.running()
    except MachineError:  # damaged: the checkpoint is still there
        running = None
    desk.bench.restore(CHECKPOINT)
    left: list[str] = []
    if running is not None:
        for task in running.open:
            running = desk.end(running, task, "not passed" if running.exam else "given up")
        with desk.progress.phase("state", "comparing the lab with what it was"):
            left = state.differences(running.before, desk.bench.state())
    desk.file.remove()
    desk.bench.forget(CHECKPOINT)
    return left
