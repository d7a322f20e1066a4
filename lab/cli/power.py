"""The verbs `lab halt`, `resume`, `pause`, `unpause`, and `lab list`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.cli.options import DEFAULT_SPEC, AsJson, BuildDir, SpecFile, end
from lab.terminal import progress as ui

if TYPE_CHECKING:
    import typer


def register(app: typer.Typer) -> None:
    """Give the command line these verbs."""
    for verb in (halt, resume, pause, unpause):
        app.command(rich_help_panel="Off and on")(verb)


def halt(file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None) -> None:
    """Shut down the nodes, compute nodes first; `lab resume` boots them again."""
    from lab.verbs import power
    from lab.verbs.opening import existing

    lab, progress = existing(file, build_dir), ui.LiveProgress()
    with progress.live():
        was_on = power.halt(lab, progress)
    ui.console.print(f"lab {lab.plan.name} is halted{'' if was_on else ' already'}; `lab resume` boots it")


def resume(file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None) -> None:
    """Start a lab that was halted, paused or rebooted; wait until its services work; run no step."""
    from lab.verbs import power
    from lab.verbs.opening import existing

    lab, progress = existing(file, build_dir), ui.LiveProgress()
    with progress.live():
        result = power.resume(lab, progress)
    end(lab.plan, result)


def pause(file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None) -> None:
    """Stop the nodes; they keep their memory."""
    from lab.verbs import power
    from lab.verbs.opening import existing

    lab = existing(file, build_dir)
    ran = power.pause(lab)
    ui.console.print(f"lab {lab.plan.name} is paused{'' if ran else ' already'}; `lab unpause` continues it")


def unpause(file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None) -> None:
    """Continue a paused lab: set the clocks, then wait until its services work."""
    from lab.verbs import power
    from lab.verbs.opening import existing

    lab, progress = existing(file, build_dir), ui.LiveProgress()
    with progress.live():
        result = power.unpause(lab, progress)
    if result is None:
        ui.console.print(f"lab {lab.plan.name} is not paused: it runs")
    else:
        end(lab.plan, result)


def list_labs(as_json: AsJson = False) -> None:
    """List the labs of this machine, also those left behind; `lab down --lab NAME` removes one."""
    from lab.terminal.labs import print_labs
    from lab.verbs import labs

    found = labs.all_labs()
    if as_json:
        ui.print_json([lab.as_dict() for lab in found])
    else:
        print_labs(found)
