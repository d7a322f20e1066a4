"""The verbs of the course on paper: `coverage`. They read the spec; no lab needs to exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from lab.base import errors
from lab.cli.options import DEFAULT_SPEC, AsJson, SpecFile
from lab.terminal import progress as ui

if TYPE_CHECKING:
    from pathlib import Path

    from lab.planning.plan import Plan

PANEL = "Teaching"


def register(app: typer.Typer) -> None:
    """Give the command line these verbs."""
    app.command(rich_help_panel=PANEL)(coverage)


def coverage(file: SpecFile = DEFAULT_SPEC, as_json: AsJson = False) -> None:
    """Show the guide's Compute chapter statement by statement: the step that does it, the checks that prove it."""
    from lab.teaching.coverage import cover
    from lab.terminal.coverage import print_coverage

    found = cover(_plan(file))
    if as_json:
        ui.print_json(found.as_dict())
    else:
        print_coverage(found)
    if not found.good:
        raise typer.Exit(errors.CHECK_FAILED)


def _plan(file: Path) -> Plan:
    """Decide the lab of a spec, for what is known of this host; nothing is touched."""
    from lab.host.capacity import host_facts
    from lab.inputs.load import load_spec
    from lab.planning import project

    spec = load_spec(file)
    return project.decide(spec, host_facts(spec.accelerator, prove=False))
