"""A check that nothing asserts is an error, never silently left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testinfra.host import Host

    from lab.planning.plan import Check


def test_kind_is_known(check: Check, host: Host) -> None:
    """Parametrized with the checks whose kind no function asserts; the fixture `host` refuses them."""
