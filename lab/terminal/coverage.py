"""What `lab coverage` shows."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from lab.terminal.progress import console

if TYPE_CHECKING:
    from lab.teaching.coverage import Coverage, Covered, State

STYLES: dict[State, str] = {
    "covered": "green",
    "changed": "cyan",
    "obsolete": "yellow",
    "optional": "dim",
    "missing": "red",
}


def print_coverage(found: Coverage) -> None:
    """Print a table for each section of the chapter, the checks without a reason, and the counts."""
    for title, statements in groupby(found.statements, lambda statement: statement.section):
        console.print(_table(title, list(statements)))
        console.print()
    for check in found.unexplained:
        console.print(f"{check}: proves no statement, and no reason is given for it", style="red", markup=False)
    counts = found.counts
    states = ", ".join(f"{counts[state]} {state}" for state in STYLES if counts[state])
    console.print(f"{found.release}: {counts['statements']} statements of the guide's Compute chapter: {states}")
    beyond = f"{counts['proofs']} prove these statements, {counts['beyond']} have another reason"
    unexplained = f", {counts['unexplained']} of them none" if counts["unexplained"] else ""
    console.print(f"{counts['checks']} checks: {beyond}{unexplained}")


def _table(title: str, statements: list[Covered]) -> Table:
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for column in ("state", "statement", "step", "checks"):
        table.add_column(column, overflow="fold")
    for statement in statements:
        state = Text(statement.state, STYLES[statement.state])
        checks = str(len(statement.checks)) if statement.checks else ""
        table.add_row(state, _told(statement), statement.step, checks)
    return table


def _told(statement: Covered) -> Text:
    """The statement; under it what changed it, what is instead and why."""
    told = Text(statement.text)
    if statement.state in ("changed", "obsolete"):
        told.append(f"\n  {statement.since}; instead: {statement.instead}", "dim")
    if statement.state in ("changed", "obsolete", "optional", "missing") and statement.why:
        told.append(f"\n  {statement.why}", "dim")
    return told
