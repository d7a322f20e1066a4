"""Which function asserts which kind of check. Its parameters are the arguments of the kind, beside what it is GIVEN.

A parameter has an underscore more than its argument where that is a word of Python or of GIVEN: `type_`, `host_`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from lab.planning.plan import Check

Function = TypeVar("Function", bound=Callable[..., None])

GIVEN = frozenset({"check", "suite", "host", "controller"})
"""parameters that the suite fills: `host` is testinfra's host for the check's node"""
UNKNOWN = "unknown"
"""kind of the function that refuses what the suite does not know"""


@dataclass(frozen=True)
class Assertion:
    """One kind of check."""

    kind: str
    function: Callable[..., None]
    arguments: Mapping[str, str]
    """name of each parameter that is an argument of the check, and of the argument"""
    given: frozenset[str]
    optional: frozenset[str]
    """arguments whose type allows None"""

    def problem(self, check: Check) -> str:
        """What is wrong with a check's arguments; empty when nothing is."""
        known = set(self.arguments.values())
        missing, unknown = sorted(known - self.optional - set(check.args)), sorted(set(check.args) - known)
        words = [f"lacks {', '.join(missing)}"] if missing else []
        words += [f"has unknown {', '.join(unknown)}"] if unknown else []
        return f"a check of kind {self.kind} {' and '.join(words)}" if words else ""


KINDS: dict[str, Assertion] = {}


def asserts(kind: str) -> Callable[[Function], Function]:
    """Register a test function for a kind."""

    def register(function: Function) -> Function:
        known = KINDS.get(kind)
        if known is not None and known.function.__qualname__ != function.__qualname__:
            raise ValueError(f"kind {kind} is asserted twice: {known.function.__name__}, {function.__name__}")
        found = inspect.signature(function).parameters
        arguments = {name: name.rstrip("_") for name in found if name not in GIVEN}
        optional = frozenset(arguments[name] for name in arguments if str(found[name].annotation).endswith("| None"))
        KINDS[kind] = Assertion(kind, function, arguments, GIVEN & set(found), optional)
        function.lab_kind = kind  # type: ignore[attr-defined]
        return function

    return register
