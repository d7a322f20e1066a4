from __future__ import annotations

from typing import TYPE_CHECKING

from lab.verification.outcome import expect
from lab.verification.parse import unit_text
from lab.verification.registry import asserts

if TYPE_CHECKING:
    from testinfra.host import Host

    from lab.planning.plan import Check

AT_BOOT = ("enabled", "alias", "generated", "linked")
"""what brings a unit back at a reboot: enabled itself, an alias of such a unit, or made by a generator"""


@asserts("unit", args="name")
def test_unit(check: Check, host: Host) -> None:
    """Runs now, and after a reboot."""
    name = check.args["name"]
    unit = host.service(name).systemd_properties
    good = unit["ActiveState"] == "active" and unit.get("UnitFileState") in AT_BOOT
    expect(good, f"unit {name} enabled and running", unit_text(unit))


@asserts("unit-off", args="name")
def test_unit_off(check: Check, host: Host) -> None:
    """Neither runs nor starts at boot; no such unit at all is just as good."""
    name = check.args["name"]
    unit = host.service(name).systemd_properties
    off = unit["ActiveState"] in ("inactive", "failed") and unit.get("UnitFileState") not in AT_BOOT
    expect(off or unit["LoadState"] == "not-found", f"unit {name} neither enabled nor running", unit_text(unit))
