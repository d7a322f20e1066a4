from __future__ import annotations

from typing import TYPE_CHECKING

from lab.verification.collectors import Need
from lab.verification.outcome import expect
from lab.verification.parse import split_address
from lab.verification.registry import asserts

if TYPE_CHECKING:
    from lab.planning.plan import Check
    from lab.verification.facts import NodeFacts


@asserts("socket", args="address", needs=lambda _: [Need("sockets")])
def test_socket(check: Check, node: NodeFacts) -> None:
    """A listener with just this bind address: one on 0.0.0.0 is none on the node's own, though it answers."""
    address, port = split_address(check.args["address"])
    there = [listener for listener in node.listeners() if listener.port == port]
    expect(
        any(listener.serves(address) for listener in there),
        f"a listener on {address or '*'}:{port}",
        ", ".join(sorted(str(listener) for listener in there)) or f"nothing listens on port {port}",
    )


@asserts("port-closed", args="port", needs=lambda _: [Need("sockets")])
def test_port_closed(check: Check, node: NodeFacts) -> None:
    port = int(check.args["port"])
    there = sorted(str(listener) for listener in node.listeners() if listener.port == port)
    expect(not there, f"nothing listening on port {port}", ", ".join(there))
