"""How a caller follows long work: on a terminal, in a test, on a web page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

Verdict = Literal["done", "failed", "interrupted"]


def clock(seconds: float) -> str:
    """Write seconds for a reader: 48 s, 3:07."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Progress(Protocol):
    """What a story tells while it runs. Every method may be called from several threads.

    Texts are plain, without markup: the class that shows them decides how.
    """

    @property
    def phases(self) -> Mapping[str, float]:
        """Give the seconds of the phases that have ended, by name, in their order."""

    def phase(self, name: str, title: str) -> AbstractContextManager[None]:
        """Time a phase of the work, and say its title; phases of one name add up."""

    def say(self, text: str, loud: str = "") -> None:
        """Tell one line that is kept on the screen; `loud` is the part of it that a reader should notice."""

    def note(self, key: str, text: str) -> None:
        """Tell what goes on now under a key (a node, a box); the next note of the key replaces it."""

    def counter(self, key: str) -> Callable[[object], None]:
        """Give a function that counts its calls under a key."""

    def step_started(self, node: str, step: str, expected_s: float) -> None:
        """A step begins on a node."""

    def step_finished(self, node: str, step: str, verdict: Verdict = "done") -> float:
        """A step ended; gives its seconds."""
