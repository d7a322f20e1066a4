"""The log of a step in the build directory: what the step printed, with its time at each heading.

    === Install the packages [1.2 s]
        waited 12 s for the database
    run-step: done: 20-database: 45 s [45.6 s]

The times are this machine's, from the moment at which it asked the node for the step. They are noted here and not by
the scripts: a node's clock may be set while a step runs.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 20 * 2**20
"""characters kept of one run of a step, in case it repeats itself without end"""
BEFORE = "(before the first heading)"
"""names the time until then: ssh, sudo, the libraries"""
_HEADING = re.compile(r"=== .+|run-step: done: .+")
_NOTED = re.compile(r"(?:=== (?P<title>.+)|run-step: done: .+) \[(?P<at_s>\d+\.\d) s\]")
_WAITED = re.compile(r" {4}waited (?P<seconds>\d+) s for (?P<what>.+)")


class StepLog:
    """Writes the log of one run of a step."""

    def __init__(self, out: IO[str], mask: Callable[[str], str], clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._mask, self._clock = out, mask, clock
        self._began = clock()

    def keep(self, line: str) -> None:
        """Write one line that the node printed, without a secret; the node has what goes beyond the limit."""
        if self._out.tell() < LIMIT:
            noted = f" [{self._clock() - self._began:.1f} s]" if _HEADING.fullmatch(line) else ""
            self._out.write(f"{self._mask(line)}{noted}\n")
            self._out.flush()


@dataclass(frozen=True)
class Wait:
    """A wait of a step, as the step tells it."""

    what: str
    seconds: int


@dataclass(frozen=True)
class Part:
    """What a step did under one heading."""

    title: str
    seconds: float
    waits: tuple[Wait, ...] = ()
    """in them; the node did nothing else for this step meanwhile"""

    @property
    def waited_s(self) -> int:
        """The seconds of all waits."""
        return sum(wait.seconds for wait in self.waits)


def parts_of(text: str) -> tuple[Part, ...]:
    """Read a step's log: its parts in their order, without a last one that did not end.

    Of a log without times, as one of an earlier version, none.
    """
    parts: list[Part] = []
    title, began_s, waits = BEFORE, 0.0, list[Wait]()
    for line in text.splitlines():
        if wait := _WAITED.fullmatch(line):
            waits.append(Wait(wait["what"], int(wait["seconds"])))
        elif noted := _NOTED.fullmatch(line):
            at_s = float(noted["at_s"])
            parts.append(Part(title, round(at_s - began_s, 1), tuple(waits)))
            title, began_s, waits = noted["title"] or "", at_s, []
    return tuple(parts)
