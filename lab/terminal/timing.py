"""What `lab timing` shows."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from lab.base.progress import clock
from lab.terminal.progress import console

if TYPE_CHECKING:
    from lab.nodes.step_log import Part
    from lab.verbs.timing import StepTime, Timing, UpTimes

_LARGEST = 15
"""headings that are shown where no step is named"""


def print_timing(found: Timing, *, every: bool) -> None:
    """Print phases, steps and the headings that took longest; with `every`, all headings of the steps instead."""
    if not every:
        if found.up is not None:
            console.print(_phases(found.up))
            console.print()
        console.print(_steps(found))
        console.print("* each of these steps waited for the one before it: together they decided the end\n")
    parts = [(step, part) for step in found.steps for part in step.parts] if every else found.largest(_LARGEST)
    if parts:
        console.print(_parts("Headings" if every else f"The {len(parts)} largest parts of steps", parts))
    if without := sorted({step.step for step in found.steps if not step.parts}):
        console.print(f"no times in the logs of: {', '.join(without)} (they ran with an earlier version)")


def _phases(up: UpTimes) -> Table:
    when = datetime.fromtimestamp(up.began).astimezone()
    table = _table(f"lab up of {when:%Y-%m-%d %H:%M}", "phase")
    table.add_column("took", justify="right")
    table.add_column("share", justify="right")
    for name, seconds in up.phases.items():
        table.add_row(name, clock(seconds), _share(seconds, up.seconds))
    table.add_section()
    table.add_row("total", clock(up.seconds), "", style="bold")
    return table


def _steps(found: Timing) -> Table:
    table = _table("Steps", "", "step", "node")
    for name in ("from", "took", "of it waited"):
        table.add_column(name, justify="right")
    for step in found.steps:
        began = "earlier" if step.began_s is None else clock(step.began_s)
        table.add_row("*" if step.decisive else "", step.step, step.node, began, clock(step.seconds), _waited(step))
    return table


def _parts(title: str, parts: list[tuple[StepTime, Part]]) -> Table:
    table = _table(title, "step", "node", "heading")
    table.add_column("took", justify="right")
    table.add_column("of it waited")
    for step, part in parts:
        waits = ", ".join(f"{clock(wait.seconds)} for {wait.what}" for wait in part.waits if wait.seconds)
        table.add_row(step.step, step.node, escape(part.title), clock(part.seconds), escape(waits))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _waited(step: StepTime) -> str:
    return clock(step.waited_s) if step.parts else ""


def _share(seconds: float, total: float) -> str:
    return f"{100 * seconds / total:.0f} %" if total else ""
