"""A check that nothing asserts is an error, never silently left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.planning.plan import Check
    from lab.verification.facts import NodeFacts


def test_kind_is_known(check: Check, node: NodeFacts) -> None:
    """Parametrized with the checks whose kind no function asserts; the fixture `node` refuses them."""
