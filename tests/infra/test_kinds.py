"""A check that nothing asserts is an error, never silently left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.verification.registry import UNKNOWN, asserts

if TYPE_CHECKING:
    from lab.planning.plan import Check
    from lab.verification.suite import Suite


@asserts(UNKNOWN)
def test_kind_is_known(check: Check, suite: Suite) -> None:
    suite.require(check)
