"""The verb `lab rotate`."""

from __future__ import annotations

from typing import Annotated

import typer

from lab.cli.options import DEFAULT_SPEC, BuildDir, SpecFile
from lab.terminal import progress as ui


def rotate(
    names: Annotated[
        list[str] | None, typer.Argument(help="Passwords, as `lab secrets` shows them; all, if none is named.")
    ] = None,
    file: SpecFile = DEFAULT_SPEC,
    build_dir: BuildDir = None,
) -> None:
    """Change passwords of the running lab, in all places where they are used; then verify it."""
    from lab.terminal import overview
    from lab.verbs.rotate import rotate as change

    progress = ui.LiveProgress()
    with progress.live():
        result = change(file, build_dir, names or [], progress)
    overview.print_up(result, progress)
    if not result.report.good:
        raise typer.Exit(1)
