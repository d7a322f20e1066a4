from __future__ import annotations

from typing import TYPE_CHECKING

from lab.verification.collectors import Need
from lab.verification.outcome import expect
from lab.verification.registry import asserts

if TYPE_CHECKING:
    from lab.planning.plan import Check
    from lab.verification.facts import NodeFacts


@asserts("unit", args="name", needs=lambda check: [Need("units", check.args["name"])])
def test_unit(check: Check, node: NodeFacts) -> None:
    """Runs now, and after a reboot."""
    name = check.args["name"]
    unit = node.unit(name)
    expect(unit.running and unit.starts_at_boot, f"unit {name} enabled and running", str(unit))


@asserts("unit-off", args="name", needs=lambda check: [Need("units", check.args["name"])])
def test_unit_off(check: Check, node: NodeFacts) -> None:
    """Neither runs nor starts at boot; no such unit at all is just as good."""
    name = check.args["name"]
    unit = node.unit(name)
    off = not unit.exists or (unit.active in ("inactive", "failed") and not unit.starts_at_boot)
    expect(off, f"unit {name} neither enabled nor running", str(unit))
