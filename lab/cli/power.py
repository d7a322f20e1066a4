"""The verbs `lab halt`, `resume`, `pause`, `unpause`, and `lab list`."""

from __future__ import annotations

import typer

from lab.base import errors
from lab.cli.options import DEFAULT_SPEC, AsJson, BuildDir, SpecFile
from lab.terminal import progress as ui


def register(app: typer.Typer) -> None:
    """Give the command line these verbs."""
    for verb in (halt, resume, pause, unpause):
        app.command(rich_help_panel="Off and on")(verb)


def halt(file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None) -> None:
    """Shut the nodes down, computes first; `lab resume` boots them again."""
    from lab.verbs import power
    from lab.verbs.opening import existing

    power.halt(existing(file, build_dir))


def resume(file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None) -> None:
    """Boot or wake a lab that was halted, paused or rebooted; wait until it is well; run no step."""
    from lab.verbs import power
    from lab.verbs.opening import existing

    if not power.resume(existing(file, build_dir)):
        raise typer.Exit(errors.CHECK_FAILED)


def pause(file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None) -> None:
    """Stop the nodes where they are; they keep their memory."""
    from lab.verbs import power
    from lab.verbs.opening import existing

    power.pause(existing(file, build_dir))


def unpause(file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None) -> None:
    """Let a paused lab go on: clocks first, then wait until it is well."""
    from lab.verbs import power
    from lab.verbs.opening import existing

    if not power.unpause(existing(file, build_dir)):
        raise typer.Exit(errors.CHECK_FAILED)


def list_labs(as_json: AsJson = False) -> None:
    """List the labs of this machine, running or left over; `lab down --lab NAME` removes one."""
    from lab.verbs import labs

    found = labs.all_labs()
    if as_json:
        ui.print_json([lab.as_dict() for lab in found])
    else:
        labs.print_labs(found)
