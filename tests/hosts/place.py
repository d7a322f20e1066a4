"""What every kind of host can do for the proof."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hosts.calls import Calls

NAME = "hosts"
"""of the lab"""
UP_LIMIT_S = 3 * 3600
"""of a complete lab with its boxes, on a slow day"""


def up_words(to: str | None) -> list[str]:
    """Give the verb `up`, and the option of its last step."""
    return ["up"] if to is None else ["up", "--to", to]


class Place(Protocol):
    """A kind of host, with a checkout of the project on it."""

    mode: str
    """how the lab is to run there: system or private"""
    directory: Path
    """the user's, which has the spec, by its path on this machine"""

    def open(self, calls: Calls) -> None:
        """Make it, with everything that a user has before the first command."""

    def up(self, calls: Calls, to: str | None) -> str:
        """Bring the lab up to a step (None: the last), as the README has it; gives what was said."""

    def lab(self, calls: Calls, words: Sequence[str]) -> str:
        """Run a verb, which must end with exit code 0; gives what it said."""

    def left(self, calls: Calls) -> list[str]:
        """Name what is left of the lab after `lab down`, and what is not as it was before `lab up`."""

    def close(self, calls: Calls) -> None:
        """Remove it, whatever became of the lab."""
