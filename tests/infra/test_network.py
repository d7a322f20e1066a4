from __future__ import annotations

from typing import TYPE_CHECKING

from lab.verification.cloud import output
from lab.verification.outcome import expect
from lab.verification.registry import asserts

if TYPE_CHECKING:
    from testinfra.host import Host

    from lab.planning.plan import Check


@asserts("ovs", args="bridge port")
def test_ovs(check: Check, host: Host) -> None:
    bridge, port = check.args["bridge"], check.args["port"]
    ports = output(host, "ovs-vsctl", "ovs-vsctl --timeout=20 list-ports %s", bridge).split()
    expect(port in ports, f"port {port} on bridge {bridge}", f"ports {', '.join(ports) or '(none)'}")
