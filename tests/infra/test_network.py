from __future__ import annotations

from typing import TYPE_CHECKING

from lab.infra.collectors import Need
from lab.infra.outcome import expect
from lab.infra.registry import asserts

if TYPE_CHECKING:
    from lab.infra.facts import NodeFacts
    from lab.plan import Check


@asserts("ovs", args="bridge port", needs=lambda check: [Need("bridges", check.args["bridge"])])
def test_ovs(check: Check, node: NodeFacts) -> None:
    bridge, port = check.args["bridge"], check.args["port"]
    ports = node.bridge_ports(bridge)
    expect(port in ports, f"port {port} on bridge {bridge}", f"ports {', '.join(ports) or '(none)'}")
