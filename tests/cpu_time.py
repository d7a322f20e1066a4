"""Limits of CPU time that hold on a slow or busy machine too."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

REFERENCE_S = 0.08
"""what `_reference` takes on the machine of docs/measured.md, when nothing else runs there"""

NOISE = 2
"""What shares the processor's caches slows some work more than the reference: up to so many times was seen"""


def _reference() -> None:
    """Do a fixed amount of the interpreter's ordinary work."""
    words: dict[str, int] = {}
    for number in range(300_000):
        word = f"w{number % 1000}"
        words[word] = words.get(word, 0) + len(word)


def spent(work: Callable[[], object]) -> float:
    """Give the CPU seconds of some work, as they would be on the idle reference machine.

    A processor that is shared or throttled makes all work slower; the reference, timed before and after, says how much.
    """
    marks = [time.process_time()]
    for part in (_reference, work, _reference):
        part()
        marks.append(time.process_time())
    before, taken, after = (end - start for start, end in zip(marks, marks[1:], strict=False))
    return taken * REFERENCE_S / max(before, after)
