"""The verb `lab list`."""

from __future__ import annotations

import json

import typer

from lab.cli_options import AsJson


def register(app: typer.Typer) -> None:
    """Give the command line these verbs."""
    app.command("list")(list_labs)


def list_labs(as_json: AsJson = False) -> None:
    """List the labs of this machine, running or left over; `lab down --lab NAME` removes one."""
    from lab import labs

    found = labs.all_labs()
    if as_json:
        typer.echo(json.dumps([lab.as_dict() for lab in found], indent=2))
    else:
        labs.print_labs(found)
