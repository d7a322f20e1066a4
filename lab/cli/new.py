"""`lab new`: the files of a chapter, or of your own check."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  (typer reads annotations)
from typing import Annotated

import typer

from lab.base import resources
from lab.cli.options import DEFAULT_SPEC, SpecFile

new_app = typer.Typer(no_args_is_help=True, help="Write the files of a chapter or a check, to be filled in.")


@new_app.command("chapter")
def new_chapter(
    step: Annotated[str, typer.Argument(help="Its id, whose number is its place: 95-quotas.")],
    directory: Annotated[Path | None, typer.Option("--directory", help="Of chapters (default: provision).")] = None,
) -> None:
    """Write the facts and the script of a new chapter."""
    from lab.teaching.templates import chapter

    for path in chapter(directory or resources.PROVISION, step):
        typer.echo(f"wrote {path}")
    typer.echo("fill them in, and name the step in a release (docs/adding-a-step.md); then `lab exercise lint`")


@new_app.command("check")
def new_check(
    name: Annotated[str, typer.Argument(help="A short name, as class-quota.")], file: SpecFile = DEFAULT_SPEC
) -> None:
    """Write your own check beside the spec, in plain testinfra; `lab verify` runs it."""
    from lab.teaching.templates import check

    typer.echo(f"wrote {check(file.parent / 'checks', name)}")
