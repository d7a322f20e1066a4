"""Options that several verbs of `lab` take."""

from __future__ import annotations

import errno
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.base import rights
from lab.base.errors import CHECK_FAILED, UsageError

if TYPE_CHECKING:
    from lab.planning.plan import Plan
    from lab.verification.report import Report

SpecFile = Annotated[Path, typer.Option("--file", "-f", help="The spec.", metavar="SPEC")]
BuildDir = Annotated[
    Path | None,
    typer.Option("--dir", help="The build directory, by default .lab/NAME beside the spec.", metavar="BUILD"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_SPEC = Path("lab.yaml")


def require_place(file: Path) -> None:
    """Refuse a file that could not be written at the end, before the long work begins.

    Raises:
        UsageError: its directory does not exist, or it is a directory itself.
        PermissionError: it cannot be written.
    """
    parent = file.absolute().parent
    if not os.path.isdir(parent):
        raise UsageError(f"{file}: no directory {parent}", hint=f"run: {shlex.join(['mkdir', '-p', str(parent)])}")
    if os.path.isdir(file):
        raise UsageError(f"{file} is a directory", hint="name a file in it")
    if not os.access(file if os.path.exists(file) else parent, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
    rights.made(file)


def end(plan: Plan, result: Report) -> None:
    """Print the report that a verb ends with, and end with its exit code."""
    from lab.terminal import progress as ui
    from lab.terminal.report import print_report

    print_report(ui.console, plan, result)
    if not result.good:
        raise typer.Exit(CHECK_FAILED)
