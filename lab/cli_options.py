"""Options that several verbs of `lab` take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SpecFile = Annotated[Path, typer.Option("--file", "-f", help="The spec.", metavar="SPEC")]
BuildDir = Annotated[
    Path | None,
    typer.Option("--dir", help="The build directory, by default .lab/NAME beside the spec.", metavar="BUILD"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_SPEC = Path("lab.yaml")
