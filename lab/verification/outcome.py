"""How a check fails: with what was expected and what was found, in the words of a reader."""

from __future__ import annotations


class Mismatch(Exception):  # noqa: N818 - a result, not an error
    """The node is not as the check wants it."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.expected = expected
        self.found = found


class ServerError(Mismatch):
    """The service answered that it failed: it runs, and what it lacks comes soon or never."""


class CannotTell(Exception):  # noqa: N818
    """The fact could not be read: a program that should tell it did not answer."""


class Unreachable(CannotTell):
    """The node did not answer over ssh."""


class Unknown(ValueError):  # noqa: N818
    """The suite does not know what a check asks."""


def expect(holds: bool, expected: str, found: str) -> None:
    """Fail the check unless it holds."""
    if not holds:
        raise Mismatch(expected, found)
