from __future__ import annotations

from typing import TYPE_CHECKING

from lab.verification.collectors import Need
from lab.verification.outcome import expect
from lab.verification.registry import asserts

if TYPE_CHECKING:
    from lab.planning.plan import Check
    from lab.verification.facts import NodeFacts


@asserts("ovs", args="bridge port", needs=lambda check: [Need("bridges", check.args["bridge"])])
def test_ovs(check: Check, node: NodeFacts) -> None:
    bridge, port = check.args["bridge"], check.args["port"]
    ports = node.bridge_ports(bridge)
    expect(port in ports, f"port {port} on bridge {bridge}", f"ports {', '.join(ports) or '(none)'}")
