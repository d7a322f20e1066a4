"""The verbs of `lab box` and `lab release`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from lab.base.progress import clock
from lab.cli.options import DEFAULT_SPEC, AsJson, SpecFile
from lab.terminal import progress as ui

box_app = typer.Typer(no_args_is_help=True, help="The lab's boxes: build, list, remove.")
release_app = typer.Typer(no_args_is_help=True, help="The releases: what each of them contains.")


@box_app.command("build")
def box_build(
    file: SpecFile = DEFAULT_SPEC,
    mirror: Annotated[str | None, typer.Option(help="Package mirror (default: the host's own apt sources).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Build all boxes again, with today's packages.")] = False,
) -> None:
    """Build the boxes that the spec needs and that are missing or out of date."""
    from lab.verbs import boxes

    started = time.monotonic()
    for box in boxes.build_for_spec(file, mirror, ui.LiveProgress(stamped=False), force=force):
        ui.console.print(f"{box.name} {box.version}: {box.directory}", soft_wrap=True)
    ui.console.print(f"ready after {clock(time.monotonic() - started)}")


@box_app.command("list")
def box_list(as_json: AsJson = False) -> None:
    """List the boxes of this host."""
    from lab.terminal.boxes import print_list
    from lab.verbs import boxes

    print_list(boxes.list_all(), as_json=as_json)


@box_app.command("remove")
def box_remove(name: Annotated[str, typer.Argument(help="A box's name, or `all`.")]) -> None:
    """Remove a box from the cache."""
    from lab.verbs import boxes

    for box in boxes.remove(name):
        ui.console.print(f"removed {box.name} {box.version}")


@release_app.command("list")
def release_list(as_json: AsJson = False) -> None:
    """List the releases, oldest first."""
    from lab.terminal import releases

    releases.print_list(as_json)


@release_app.command("show")
def release_show(
    name: Annotated[str, typer.Argument(help="A release, as zed.")],
    component: Annotated[str | None, typer.Argument(help="Only this component of the guide, as nova-cert.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the packages, units, ports, databases, options and components of a release."""
    from lab.terminal import releases

    releases.print_one(name, component, as_json)


@release_app.command("diff")
def release_diff(
    first: Annotated[str, typer.Argument(help="A release.")],
    second: Annotated[str, typer.Argument(help="Another.")],
) -> None:
    """Show the differences of two releases: what only the first has (-), what only the second has (+)."""
    from lab.terminal import releases

    releases.print_diff(first, second)
