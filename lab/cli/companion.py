"""The student's companion: `next` and `check-step`."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  (typer reads annotations)
from typing import TYPE_CHECKING, Annotated

import typer

from lab.base import errors
from lab.cli.look import existing_lab
from lab.cli.options import DEFAULT_SPEC, AsJson, BuildDir, SpecFile
from lab.terminal import progress as ui

if TYPE_CHECKING:
    from lab.planning.project import Lab
    from lab.teaching.companion import Place

PANEL = "Teaching"


def register(app: typer.Typer) -> None:
    """Give the command line these verbs."""
    app.command("next", rich_help_panel=PANEL)(next_chapter)
    app.command("check-step", rich_help_panel=PANEL)(check_step)


def next_chapter(
    file: SpecFile = DEFAULT_SPEC,
    build_dir: BuildDir = None,
    handout: Annotated[
        Path | None, typer.Option("--handout", help="Your handout, in HTML or Markdown: does it belong to this lab?")
    ] = None,
    read: Annotated[bool, typer.Option("--read", help="Print the handout's section, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say which chapters are proven, and what comes next. No node is asked."""
    from lab.teaching import pages
    from lab.teaching.companion import plan_of_handout
    from lab.teaching.handout import Edition
    from lab.teaching.handout import handout as write
    from lab.terminal.companion import print_place
    from lab.verbs.opening import existing

    digest = plan_of_handout(handout) if handout else ""
    lab = existing(file, build_dir, reach=False)
    place = _place(lab)
    if as_json:
        step = place.next
        following = {"step": step.id, "title": step.title, "guide": step.guide, "url": step.url} if step else None
        fits = {"handout_fits": digest == lab.plan.digest} if handout else {}
        ui.print_json({"proven": [step.id for step in place.proven], "next": following, **fits})
        return
    print_place(lab.plan, place, handout, digest)
    if read and place.next is not None:
        typer.echo("\n" + pages.section(write(lab.plan, lab.secrets, Edition.STUDENT), place.next.id), nl=False)


def check_step(
    step: Annotated[
        str, typer.Argument(help="A chapter, as 30-identity, identity or 30 (default: the next one).")
    ] = "",
    file: SpecFile = DEFAULT_SPEC,
    build_dir: BuildDir = None,
    as_json: AsJson = False,
) -> None:
    """Grade your own work on a chapter: what is right, what is missing, and what to read again."""
    from lab.planning.step_names import step_of
    from lab.teaching.companion import graded
    from lab.terminal.companion import print_graded
    from lab.verification import proven, veil
    from lab.verification.run import verify

    lab = existing_lab(file, build_dir)
    veil.refuse(lab.build_dir, "`lab check-step`", "give its answer away")
    following = _place(lab).next
    if not step and following is None:
        raise errors.UsageError("all chapters are proven", hint="name one: `lab check-step 20-database`")
    wanted = step_of(lab.plan, step or (following.id if following else ""))
    progress = ui.LiveProgress()
    with progress.live():
        report = verify(lab.plan, lab.build_dir, (wanted,), on_result=progress.counter("checks"))
    proven.note(lab, report)
    found = graded(lab.plan, wanted, report)
    if as_json:
        ui.print_json(found.as_dict())
    else:
        print_graded(found)
    if found.of("missing"):
        raise typer.Exit(errors.CHECK_FAILED)
    if found.of("unknown"):
        raise typer.Exit(errors.CANNOT_TELL)


def _place(lab: Lab) -> Place:
    from lab.nodes.state import StateFile
    from lab.teaching.companion import place_of

    return place_of(lab.plan, StateFile(lab.build_dir / "state.json").load())
