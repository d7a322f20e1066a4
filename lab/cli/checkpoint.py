"""The verbs of `lab checkpoint`, and `lab goto`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from lab.base import errors
from lab.cli.options import DEFAULT_SPEC, AsJson, BuildDir, SpecFile, end
from lab.terminal import progress as ui

checkpoint_app = typer.Typer(no_args_is_help=True, help="Checkpoints of the complete lab: save, list, restore, delete.")
Name = Annotated[str, typer.Argument(help="The checkpoint's name.")]


@checkpoint_app.command("save")
def checkpoint_save(name: Name, file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None) -> None:
    """Save all nodes: their disks and, if the lab runs, their memory."""
    from lab.checkpoint import save_restore as checkpoint
    from lab.verbs.opening import existing

    progress = ui.LiveProgress()
    with progress.live():
        checkpoint.save(existing(file, build_dir), name, progress)


@checkpoint_app.command("list")
def checkpoint_list(file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None, as_json: AsJson = False) -> None:
    """List the checkpoints with age, size and the steps that were done."""
    from lab.checkpoint.store import Checkpoints, age
    from lab.verbs.opening import existing

    lab = existing(file, build_dir)
    store = Checkpoints(lab.build_dir)
    found = store.complete()
    if as_json:
        rows: list[dict[str, Any]] = [
            {**each.manifest.model_dump(mode="json"), "name": each.name, "complete": True, "size_mib": each.size_mib()}
            for each in found
        ]
        rows += [{"name": name, "complete": True, "newer": True} for name in store.of_other_versions()]
        rows += [{"name": name, "complete": False} for name in store.half_written()]
        ui.print_json(rows)
        return
    table = Table("checkpoint", "age", "size", "lab", "last step done", show_edge=False, pad_edge=False)
    for each in found:
        state = "running" if each.manifest.running else "halted"
        table.add_row(each.name, age(each.manifest.created), f"{each.size_mib()} MiB", state, each.last_step())
    for name in store.of_other_versions():
        table.add_row(name, "", "", "[yellow]of a newer version of lab[/yellow]", "")
    for name in store.half_written():
        table.add_row(name, "", "", "[yellow]half-written[/yellow]", f"lab checkpoint delete {name}")
    if table.row_count:
        ui.console.print(table)
    else:
        ui.console.print("no checkpoints yet; `lab checkpoint save NAME` makes one")


@checkpoint_app.command("restore")
def checkpoint_restore(name: Name, file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None) -> None:
    """Restore the complete lab: it continues where it was, without booting. Then run the quick checks of that point."""
    from lab.checkpoint import save_restore as checkpoint
    from lab.verbs.opening import existing
    from lab.verification import veil

    lab = existing(file, build_dir)
    veil.refuse(lab.build_dir, "`lab checkpoint restore`")
    progress = ui.LiveProgress()
    with progress.live():
        result = checkpoint.restore(lab, name, progress)
    if result is not None:
        end(lab.plan, result)


@checkpoint_app.command("delete")
def checkpoint_delete(name: Name, file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None) -> None:
    """Delete a checkpoint, complete or not."""
    from lab.checkpoint import save_restore as checkpoint
    from lab.teaching.exercise.running import CHECKPOINT
    from lab.verbs.opening import existing
    from lab.verification import veil

    lab, progress = existing(file, build_dir), ui.LiveProgress()
    if name == CHECKPOINT:
        veil.refuse(lab.build_dir, "`lab checkpoint delete`")
    checkpoint.delete(lab, name, progress)
    progress.say(f"checkpoint {name} was deleted")


def goto(
    chapter: Annotated[str, typer.Argument(help="A step, as 50-compute-controller, compute-controller or 50.")],
    file: SpecFile = DEFAULT_SPEC,
    build_dir: BuildDir = None,
) -> None:
    """Bring the lab to the state just before a chapter, from a checkpoint if there is one."""
    from lab.terminal import overview
    from lab.verbs.goto import goto as bring_to

    progress = ui.LiveProgress()
    with progress.live():
        result = bring_to(file, build_dir, chapter, progress)
    overview.print_up(result, progress)
    if not result.report.good:
        raise typer.Exit(errors.CHECK_FAILED)
