from __future__ import annotations

from typing import TYPE_CHECKING

from lab.verification.outcome import expect
from lab.verification.registry import asserts

if TYPE_CHECKING:
    from testinfra.host import Host

WILDCARDS = ("0.0.0.0", "::")


def split_address(text: str) -> tuple[str, int]:
    """Split tcp://ADDRESS:PORT (tcp://:::5672, tcp://[::]:5672, tcp://*:80, tcp://80) in address and port."""
    address, _, port = text.removeprefix("tcp://").rpartition(":")
    return address.strip("[]").split("%")[0], int(port)


def listeners(host: Host, port: int) -> list[str]:
    """Addresses on which something listens; testinfra tells of one on both families as two."""
    there = (split_address(name) for name in host.socket.get_listening_sockets() if name.startswith("tcp://"))
    return sorted({address for address, number in there if number == port})


@asserts("socket")
def test_socket(host: Host, address: str) -> None:
    """A listener with just this bind address: one on 0.0.0.0 is none on the node's own, though it answers."""
    wanted, port = split_address(address)
    there = listeners(host, port)
    good = any(found in WILDCARDS if wanted in ("*", "") else found == wanted for found in there)
    shown = ", ".join(f"{found}:{port}" for found in there) or f"nothing listens on port {port}"
    expect(good, f"a listener on {wanted or '*'}:{port}", shown)


@asserts("port-closed")
def test_port_closed(host: Host, port: int) -> None:
    there = listeners(host, int(port))
    expect(not there, f"nothing listening on port {port}", ", ".join(f"{found}:{port}" for found in there))
