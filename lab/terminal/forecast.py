"""What `lab up --check-only` and the end of `lab check` show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from lab.nodes.schedule import jobs_of
from lab.terminal.progress import console

if TYPE_CHECKING:
    from lab.planning.changes import Change
    from lab.verbs.check_only import Forecast


def print_forecast(forecast: Forecast) -> None:
    """Print all that `lab up` would do, or that there is nothing."""
    _print_damaged(forecast)
    if forecast.change is not None and forecast.change.rebuild:
        _print_change(forecast.change)
        return
    for line in forecast.golden:
        console.print(line, markup=False, soft_wrap=True)
    for line in forecast.machines:
        console.print(line)
    for node in forecast.unknown:
        console.print(f"{node} is not running, so its finished steps cannot be checked")
    _print_steps(forecast)
    if forecast.unproven:
        console.print("would run the complete suite: not all checks have passed since the last step ran")
    if forecast.nothing_to_do:
        console.print(f"nothing to do: {forecast.passed} quick checks passed")


def print_difference(forecast: Forecast) -> None:
    """Print what differs between a decided lab and the one that exists, if there is one."""
    _print_damaged(forecast)
    if forecast.change is None:
        return
    console.print()
    _print_change(forecast.change)
    if not forecast.change.rebuild:
        _print_steps(forecast)


def _print_damaged(forecast: Forecast) -> None:
    for line in forecast.damaged:
        console.print(f"[yellow]{escape(line)}[/yellow]: `lab up` renames it", soft_wrap=True)


def _print_change(change: Change) -> None:
    for line in change.lines():
        console.print(line, soft_wrap=True)
    if change.rebuild:
        console.print(
            "[yellow]the existing lab cannot be changed to this spec[/yellow]: "
            "`lab up --recreate` removes it and creates the new one",
            soft_wrap=True,
        )


def _print_steps(forecast: Forecast) -> None:
    waiting = [job for job in forecast.jobs if job in forecast.why]
    everything = len(waiting) == len(forecast.jobs) == len(jobs_of(forecast.lab.plan))
    if not waiting:
        console.print("no step would run again")
    elif everything and set(forecast.why.values()) == {"never finished"}:
        console.print(f"all {len(waiting)} steps would run: none has finished yet")
    else:
        for job in waiting:
            console.print(f"would run {job.step} on {job.node}: {forecast.why[job]}", soft_wrap=True)
