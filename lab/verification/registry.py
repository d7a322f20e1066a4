"""Which function asserts which kind of check, and what arguments the kind has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from lab.planning.plan import Check

Function = TypeVar("Function", bound=Callable[..., None])


@dataclass(frozen=True)
class Assertion:
    """One kind of check."""

    kind: str
    function: Callable[..., None]
    args: frozenset[str]
    optional: frozenset[str]

    def problem(self, check: Check) -> str:
        """What is wrong with a check's arguments; empty when nothing is."""
        given = set(check.args)
        missing = sorted(self.args - given)
        unknown = sorted(given - self.args - self.optional)
        words = [f"lacks {', '.join(missing)}"] if missing else []
        words += [f"has unknown {', '.join(unknown)}"] if unknown else []
        return f"a check of kind {self.kind} {' and '.join(words)}" if words else ""


KINDS: dict[str, Assertion] = {}


def asserts(kind: str, *, args: str = "", optional: str = "") -> Callable[[Function], Function]:
    """Register a test function for a kind; `args` and `optional` are names separated by spaces."""

    def register(function: Function) -> Function:
        known = KINDS.get(kind)
        if known is not None and known.function.__qualname__ != function.__qualname__:
            raise ValueError(f"kind {kind} is asserted twice: {known.function.__name__}, {function.__name__}")
        assertion = Assertion(kind, function, frozenset(args.split()), frozenset(optional.split()))
        KINDS[kind] = assertion
        function.lab_kind = kind  # type: ignore[attr-defined]
        return function

    return register
