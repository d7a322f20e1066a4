"""What a user sees of long work: a live line per node on a terminal, one line per event elsewhere."""

from __future__ import annotations

import itertools
import json
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleDimensions
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lab.base.progress import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lab.base.progress import Verdict
    from lab.planning.plan import Plan

_UNWRAPPED = 100_000
"""columns; for a pipe or a file, whose reader has no width"""


class _Terminal(Console):
    """A terminal with its own width; what is not a terminal gets lines that are never wrapped."""

    @property
    def size(self) -> ConsoleDimensions:
        found = super().size
        return found if self.is_terminal else ConsoleDimensions(_UNWRAPPED, found.height)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size


console = _Terminal(highlight=False)
errors = _Terminal(stderr=True, highlight=False)

_VERDICTS: dict[Verdict, str] = {
    "done": "[green]done[/green] in",
    "failed": "[red]failed[/red] after",
    "interrupted": "[yellow]interrupted[/yellow] after",
}


def print_json(value: object) -> None:
    """Print a verb's answer for a program."""
    print(json.dumps(value, indent=2))


class LiveProgress:
    """The Progress of a terminal, and of a pipe.

    On a terminal the running steps stay at the bottom, with elapsed and expected time; finished ones scroll above.
    """

    def __init__(self, *, stamped: bool = True) -> None:
        """Start the clock; without `stamped`, lines come without the time since then."""
        self._stamped = stamped
        self._lock = threading.RLock()
        self._running: dict[tuple[str, str], tuple[float, float]] = {}
        self._phase_name = ""
        self._phase_started = 0.0
        self._notes: dict[str, str] = {}
        self.phases: dict[str, float] = {}
        self._start = time.monotonic()

    @contextmanager
    def phase(self, name: str, title: str) -> Iterator[None]:
        """Time a phase of the work and say its title; phases of one name add up."""
        with self._lock:
            self._phase_name = title
            self._phase_started = time.monotonic()
            self._notes.clear()
        self._print(Text(title, style="bold"))
        try:
            yield
        finally:
            with self._lock:
                seconds = time.monotonic() - self._phase_started
                self.phases[name] = round(self.phases.get(name, 0.0) + seconds, 1)
                self._phase_name = ""
                self._notes.clear()

    def say(self, text: str, loud: str = "") -> None:
        """One line of news, with the time since the beginning; `loud`, a part of it, in yellow."""
        line = Text(text)
        if loud:
            line.highlight_words([loud], "yellow")
        self._print(line)

    def _print(self, line: Text) -> None:
        with self._lock:
            s = int(time.monotonic() - self._start)
            stamp = Text(f"{s // 60:3d}:{s % 60:02d} " if self._stamped else "", style="dim")
            console.print(Text.assemble(stamp, line), soft_wrap=True)

    def note(self, key: str, text: str) -> None:
        """What goes on now under a key (a node, a box); shown on a terminal only."""
        with self._lock:
            self._notes[key] = text

    def counter(self, key: str) -> Callable[[object], None]:
        """Give a function that counts its calls under a key."""
        count = itertools.count(1)
        return lambda _: self.note(key, f"{next(count)} done")

    def step_started(self, node: str, step: str, expected_s: float) -> None:
        """A step begins on a node."""
        with self._lock:
            self._running[(node, step)] = (time.monotonic(), expected_s)
        if not console.is_terminal:
            self.say(f"{node:<11} {step:<24} started (about {clock(expected_s)})")

    def step_finished(self, node: str, step: str, verdict: Verdict = "done") -> float:
        """A step ended; returns its seconds."""
        with self._lock:
            started, _ = self._running.pop((node, step))
        seconds = time.monotonic() - started
        line = Text(f"{node:<11} {step:<24} ")
        self._print(line.append_text(Text.from_markup(_VERDICTS[verdict])).append(f" {clock(seconds)}"))
        return seconds

    @contextmanager
    def live(self) -> Iterator[None]:
        """Keep the live lines at the bottom of a terminal while the body runs."""
        if not console.is_terminal:
            yield
            return
        with Live(console=console, refresh_per_second=4, transient=True, get_renderable=self._lines):
            yield

    def _lines(self) -> Table:
        now = time.monotonic()
        table = Table.grid(padding=(0, 2))
        with self._lock:
            for (node, step), (started, expected) in sorted(self._running.items()):
                elapsed = now - started
                style = "yellow" if elapsed > expected else "cyan"
                table.add_row("   …", node, step, Text(f"{clock(elapsed)} of about {clock(expected)}", style=style))
            if not self._running:
                for key, text in sorted(self._notes.items()):
                    table.add_row("   …", key, Text(text), "")
                if not self._notes and self._phase_name:
                    table.add_row("   …", Text(self._phase_name), clock(now - self._phase_started), "")
        return table


def timing_table(plan: Plan, phases: Mapping[str, float], steps: Mapping[str, float], total: float) -> Table:
    """Seconds per phase and per step and node; `steps` has keys NODE/STEP."""
    table = Table(title="Timing", title_justify="left", show_edge=False, pad_edge=False)
    table.add_column("what")
    for node in plan.nodes:
        table.add_column(node.name, justify="right")
    table.add_column("phase", justify="right")
    for name, seconds in phases.items():
        table.add_row(name, *["" for _ in plan.nodes], clock(seconds), style="bold")
        if name == "steps":
            for step in plan.steps:
                cells = [steps.get(f"{node.name}/{step.id}") for node in plan.nodes]
                if any(cell is not None for cell in cells):
                    table.add_row(f"  {step.id}", *["" if c is None else clock(c) for c in cells], "")
    table.add_section()
    table.add_row("total", *["" for _ in plan.nodes], clock(total), style="bold")
    return table
