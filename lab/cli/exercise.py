"""The verbs of `lab exercise`: a lab that is broken on purpose, and the repair graded."""

from __future__ import annotations

import os
import random
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.base import errors, resources, surroundings
from lab.cli.options import DEFAULT_SPEC, AsJson, BuildDir, SpecFile, require_place
from lab.terminal import progress as ui

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.teaching.exercise.catalog import Loaded
    from lab.teaching.exercise.desk import Desk
    from lab.teaching.exercise.results import Result

exercise_app = typer.Typer(no_args_is_help=True, help="Exercises: break the lab on purpose, repair it, be graded.")
Number = Annotated[int, typer.Argument(help="An exercise of `lab exercise list`.")]
Student = Annotated[str, typer.Option("--student", help="Who works on it (default: the user).")]
Seed = Annotated[str, typer.Option("--seed", help="Draws the particulars (default: the student's name).")]
Directory = Annotated[Path | None, typer.Option("--directory", help="Of exercises (default: the project's own).")]


class ReportFormat(StrEnum):
    """What `lab exercise report` writes."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    HTML = "html"


@exercise_app.command("list")
def exercise_list(
    file: SpecFile = DEFAULT_SPEC,
    build_dir: BuildDir = None,
    level: Annotated[int | None, typer.Option("--level", help="Only these: 1, 2 or 3.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the exercises, and their results on this lab."""
    from lab.teaching.exercise.catalog import catalog
    from lab.teaching.exercise.results import Results
    from lab.terminal import exercises as show
    from lab.verbs.opening import existing

    chosen = [each for each in catalog() if level in (None, each.facts.level)]
    results: tuple[Result, ...] = ()
    if build_dir is not None or file.exists():
        try:
            results = Results(existing(file, build_dir, reach=False).build_dir).load()
        except errors.UsageError:  # no lab yet: the list needs none
            results = ()
    if as_json:
        keys = ("title", "level", "minutes", "guide")
        ui.print_json([{"number": e.number, **{key: getattr(e.facts, key) for key in keys}} for e in chosen])
    else:
        show.print_list(chosen, results)


@exercise_app.command("show")
def exercise_show(number: Number) -> None:
    """Show one exercise: its level, time, points and section of the guide. Nothing of the answer."""
    from lab.teaching.exercise.catalog import find
    from lab.terminal import exercises as show

    show.print_one(find(number))


@exercise_app.command("start")
def exercise_start(
    numbers: Annotated[str, typer.Argument(help="One, or several as 3,17.")] = "",
    file: SpecFile = DEFAULT_SPEC,
    build_dir: BuildDir = None,
    level: Annotated[int | None, typer.Option("--level", help="A random one of level 1, 2 or 3.")] = None,
    student: Student = "",
    seed: Seed = "",
) -> None:
    """Save the lab, break it, and show what a user reports."""
    from lab.teaching.exercise import stories
    from lab.terminal import exercises as show

    if bool(numbers) == (level is not None):
        raise errors.UsageError("which exercise?", hint="`lab exercise start 3`, or `--level 2` for a random one")
    chosen = _numbers(numbers) if numbers else [_random(level or 0).number]
    who = student or _user()
    with _desk(file, build_dir) as desk:
        symptoms = stories.start(desk, chosen, student=who, seed=seed or who)
    show.print_started(symptoms, desk.running())


@exercise_app.command("exam")
def exercise_exam(
    exam: Annotated[Path, typer.Argument(help="A file with title, minutes, pass_percent and exercises.")],
    file: SpecFile = DEFAULT_SPEC,
    build_dir: BuildDir = None,
    student: Student = "",
    seed: Seed = "",
) -> None:
    """Start the exercises of an exam: without hints, with a time and a pass mark. `grade` ends it."""
    from lab.teaching.exercise import stories
    from lab.teaching.exercise.exam import load_exam
    from lab.terminal import exercises as show

    asked = load_exam(exam)
    who = student or _user()
    with _desk(file, build_dir) as desk:
        symptoms = stories.start(desk, asked.exercises, student=who, seed=seed or who, exam=asked.exam())
    show.print_started(symptoms, desk.running())


@exercise_app.command("hint")
def exercise_hint(
    number: Annotated[int | None, typer.Argument(help="Of which exercise, if several run.")] = None,
    file: SpecFile = DEFAULT_SPEC,
    build_dir: BuildDir = None,
    take: Annotated[bool, typer.Option("--take", help="Take it: its price comes off once it is solved.")] = False,
) -> None:
    """Name the next hint and its price; with --take, show it."""
    from lab.teaching.exercise import stories
    from lab.terminal import exercises as show

    with _desk(file, build_dir) as desk:
        hints = stories.take_hint(desk, number) if take else stories.next_hints(desk)
    show.print_running(desk.running())
    show.print_hints(hints)


@exercise_app.command("grade")
def exercise_grade(file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None, as_json: AsJson = False) -> None:
    """Judge the repair: passed (0), not yet (1), or could not tell (5), which costs nothing."""
    from lab.teaching.exercise.grade import grade
    from lab.terminal import exercises as show

    with _desk(file, build_dir) as desk:
        graded = grade(desk)
    if as_json:
        each = {str(n): {"verdict": v.kind, "why": v.why, "chapters": v.chapters} for n, v in graded.each.items()}
        ui.print_json({"verdict": graded.verdict.kind, "exercises": each, "attempts": graded.running.attempts})
    else:
        show.print_graded(graded)
    good = graded.mark.passed if graded.mark else graded.verdict.kind == "passed"
    if graded.verdict.kind == "could not tell":
        raise typer.Exit(errors.CANNOT_TELL)
    if not good:
        raise typer.Exit(errors.CHECK_FAILED)


@exercise_app.command("solve")
def exercise_solve(file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None) -> None:
    """Give up: show and apply the teacher's answer."""
    from lab.teaching.exercise import stories
    from lab.terminal import exercises as show

    with _desk(file, build_dir) as desk:
        answers = stories.solve(desk)
    show.print_answers(answers)


@exercise_app.command("reset")
def exercise_reset(file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None) -> None:
    """Restore the lab as it was before the exercise."""
    from lab.teaching.exercise import stories

    with _desk(file, build_dir) as desk:
        left = stories.reset(desk)
    if left:
        raise errors.MachineError(
            "the lab is restored, but not all is as before", detail="\n".join(left), hint="`lab up` repairs it"
        )
    typer.echo("the lab is as it was before the exercise")


@exercise_app.command("report")
def exercise_report(
    file: SpecFile = DEFAULT_SPEC,
    build_dir: BuildDir = None,
    form: Annotated[ReportFormat, typer.Option("--format", help="How it is written.")] = ReportFormat.TABLE,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write into this file.", metavar="FILE")] = None,
) -> None:
    """Report the results of the exercises; html has the debrief."""
    from lab.teaching.exercise import results
    from lab.teaching.exercise.report import html
    from lab.terminal import exercises as show
    from lab.verbs.opening import existing

    if output is not None:
        require_place(output)
    lab = existing(file, build_dir, reach=False)
    found = results.Results(lab.build_dir).load()
    if form == ReportFormat.TABLE:
        show.print_results(found)
        return
    if form == ReportFormat.JSON and output is None:
        ui.print_json([result.row() for result in found])
        return
    write: Callable[[tuple[Result, ...]], str] = {
        ReportFormat.CSV: results.as_csv,
        ReportFormat.JSON: results.as_json,
        ReportFormat.HTML: lambda all_: html(lab.plan.name, all_),
    }[form]
    if output is None:
        typer.echo(write(found), nl=False)
    else:
        output.write_text(write(found), encoding="utf-8")
        typer.echo(f"wrote {output}")


@exercise_app.command("lint")
def exercise_lint(
    directory: Directory = None,
    chapters: Annotated[
        Path | None, typer.Option("--chapters", help="Check the chapters of this directory instead.", metavar="DIR")
    ] = None,
) -> None:
    """Check the exercises: complete, fair, and silent about their answers; or chapters: complete."""
    from lab.teaching.chapters import problems as problems_of_chapters
    from lab.teaching.exercise.catalog import load_all
    from lab.teaching.exercise.labs import lint_plans
    from lab.teaching.exercise.lint import problems

    if chapters is not None:
        wrong, looked = problems_of_chapters(chapters), f"the chapters of {chapters}"
    else:
        found, plans = load_all(directory or resources.EXERCISES), lint_plans()
        wrong = [f"{each.id}: {problem}" for each in found for problem in problems(each, plans)]
        looked = f"{len(found)} exercises"
    if wrong:
        how = "docs/adding-a-step.md" if chapters is not None else "docs/exercises.md"
        raise errors.UsageError(f"{len(wrong)} problems", detail="\n".join(wrong), hint=f"{how} says how")
    typer.echo(f"{looked}: no problem found")


@exercise_app.command("new")
def exercise_new(
    slug: Annotated[str, typer.Argument(help="A short name, as wrong-port.")], directory: Directory = None
) -> None:
    """Write the two files of a new exercise, to be filled in."""
    from lab.teaching.exercise.template import write

    for path in write(directory or resources.EXERCISES, slug):
        typer.echo(f"wrote {path}")
    typer.echo("fill them in, then `lab exercise lint`")


@contextmanager
def _desk(file: Path, build_dir: Path | None) -> Iterator[Desk]:
    """Give the lab to a story, with its progress on the terminal."""
    from lab.checkpoint import recovery
    from lab.host.choice import own_host
    from lab.teaching.exercise.bench import LabBench
    from lab.teaching.exercise.desk import Desk
    from lab.verbs.opening import existing

    lab, progress = existing(file, build_dir), ui.LiveProgress()
    bench = LabBench(lab, progress)
    host = own_host(lab.plan, lab.build_dir)
    recovery.repair_for_reader(lab, host, lambda text: ui.errors.print(text, markup=False, soft_wrap=True))
    with progress.live():
        yield Desk(lab.plan, lab.build_dir, bench, progress)


def _numbers(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise errors.UsageError(f"{text!r} is not a number of an exercise", hint="one, or several as 3,17") from None


def _random(level: int) -> Loaded:
    from lab.teaching.exercise.catalog import catalog

    chosen = [each for each in catalog() if each.facts.level == level]
    if not chosen:
        raise errors.UsageError(f"no exercise of level {level}", hint="levels 1, 2 and 3")
    return random.SystemRandom().choice(chosen)


def _user() -> str:
    number = os.environ.get("SUDO_UID", "")
    return surroundings.user_name(int(number) if number.isdigit() else None)
