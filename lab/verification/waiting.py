"""Tests that cannot run yet: they wait for answers, or for what a service makes in its own time."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Mapping

    from lab.verification.rounds import Rounds

AGAIN_S = 3.0
"""between two looks at what has not come yet"""


class Waiting:
    """Evaluates tests in rounds until they can run.

    `tests` gives a function for each, which evaluates it and tells whether it fails now but may soon pass by itself.
    Such a test is evaluated again every few seconds, each time with new answers.
    """

    def __init__(self, rounds: Rounds, tests: Mapping[Hashable, Callable[[], bool]], again_s: float = AGAIN_S) -> None:
        self._rounds, self._tests, self._again_s = rounds, tests, again_s
        self._open = set(tests)
        self._due: dict[Hashable, float] = {}
        """when a test is asked again (time.monotonic())"""
        self._evaluate(tests)

    def wait_for(self, tests: Collection[Hashable]) -> None:
        """Wait until none of these waits any more."""
        while not self._open.isdisjoint(tests):
            now = time.monotonic()
            if due := [test for test, at in self._due.items() if at <= now]:
                for test in due:
                    self._rounds.forget(test)
                self._evaluate(due)
            elif self._rounds.idle and self._due.keys().isdisjoint(tests):
                return
            else:
                self._evaluate(self._rounds.wait(min(self._due.values()) - now if self._due else None))

    def _evaluate(self, tests: Iterable[Hashable]) -> None:
        for test in tests:
            self._due.pop(test, None)
            if self._rounds.evaluate(test, partial(self._call, test)) and test not in self._due:
                self._open.discard(test)
        self._rounds.send()

    def _call(self, test: Hashable) -> None:
        if self._tests[test]():
            self._due[test] = time.monotonic() + self._again_s
