from __future__ import annotations

from typing import TYPE_CHECKING

from lab.verification.outcome import expect
from lab.verification.parse import split_address
from lab.verification.registry import asserts

if TYPE_CHECKING:
    from testinfra.host import Host

    from lab.planning.plan import Check

WILDCARDS = ("0.0.0.0", "::")


def listeners(host: Host, port: int) -> list[str]:
    """Addresses on which something listens; testinfra tells of one on both families as two."""
    there = (split_address(name) for name in host.socket.get_listening_sockets() if name.startswith("tcp://"))
    return sorted({address for address, number in there if number == port})


@asserts("socket", args="address")
def test_socket(check: Check, host: Host) -> None:
    """A listener with just this bind address: one on 0.0.0.0 is none on the node's own, though it answers."""
    address, port = split_address(check.args["address"])
    there = listeners(host, port)
    expect(
        any(found in WILDCARDS if address in ("*", "") else found == address for found in there),
        f"a listener on {address or '*'}:{port}",
        ", ".join(f"{found}:{port}" for found in there) or f"nothing listens on port {port}",
    )


@asserts("port-closed", args="port")
def test_port_closed(check: Check, host: Host) -> None:
    port = int(check.args["port"])
    there = listeners(host, port)
    expect(not there, f"nothing listening on port {port}", ", ".join(f"{found}:{port}" for found in there))
