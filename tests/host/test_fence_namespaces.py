"""The packet filter between a lab and its machine, for real: two network namespaces play the machine and a node."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from lab.host import fence

if TYPE_CHECKING:
    from collections.abc import Iterator

_MISSING = [p for p in ("ip", "nft") if shutil.which(p, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}"),
]

MACHINE, NODE = f"fence-machine-{os.getpid()}", f"fence-node-{os.getpid()}"
BRIDGE = "virbr77"
LISTEN = """
import socket, sys
servers = [socket.create_server(("0.0.0.0", int(port))) for port in sys.argv[1:]]
print("ready", flush=True)
sys.stdin.read()
"""
CONNECT = """
import os, socket, sys
"loaded before it loses the right to".encode("idna")
os.setuid(int(sys.argv[3]))
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()
    print("open")
except OSError as error:
    print("closed")
"""
LOAD = "import sys; from lab.host import fence; print(fence._load(sys.stdin.read()))"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


def inside(namespace: str, code: str, *words: str, text: str = "") -> str:
    argv = ["ip", "netns", "exec", namespace, sys.executable, "-c", code, *words]
    return subprocess.run(argv, input=text, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


@pytest.fixture
def _network() -> Iterator[None]:
    """A machine with two interfaces (the lab's bridge and another one), a node on each, and listeners on all."""
    listeners = []
    for name in (MACHINE, NODE):
        ip("netns", "add", name)
    try:
        for here, there, net in ((BRIDGE, "eth1", "10.0.0"), ("lan0", "eth9", "10.9.9")):
            ip("-n", MACHINE, "link", "add", here, "type", "veth", "peer", "name", there, "netns", NODE)
            for namespace, device, address in ((MACHINE, here, f"{net}.1/24"), (NODE, there, f"{net}.11/24")):
                ip("-n", namespace, "address", "add", address, "dev", device)
                ip("-n", namespace, "link", "set", device, "up")
        for namespace in (MACHINE, NODE):
            argv = ["ip", "netns", "exec", namespace, sys.executable, "-c", LISTEN, "53", "8080", "11211"]
            listener = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            listeners.append(listener)
            assert listener.stdout is not None
            assert listener.stdout.readline() == b"ready\n"
        time.sleep(0.2)
        yield
    finally:
        for listener in listeners:
            listener.kill()
            listener.communicate()
        for name in (MACHINE, NODE):
            ip("netns", "delete", name)


def from_node(address: str, port: int) -> str:
    return inside(NODE, CONNECT, address, str(port), "0")


def from_machine(uid: int, address: str = "10.0.0.11", port: int = 11211) -> str:
    return inside(MACHINE, CONNECT, address, str(port), str(uid))


@pytest.mark.usefixtures("_network")
def test_only_dns_passes_from_a_node_and_only_the_labs_users_reach_it() -> None:
    assert (from_node("10.0.0.1", 8080), from_machine(65534)) == ("open", "open")
    text = fence.ruleset("demo-1234abcd", [BRIDGE, "virbr78"], [0, 4711])
    assert inside(MACHINE, LOAD, text=text) == ""
    assert inside(MACHINE, LOAD, text=text) == ""  # again, as the next `lab up` does
    assert from_node("10.0.0.1", 8080) == "closed"
    assert from_node("10.9.9.1", 8080) == "open"  # not the lab's interface
    assert from_node("10.0.0.1", 53) == "open"
    assert [from_machine(uid) for uid in (0, 4711, 65534)] == ["open", "open", "closed"]
    assert from_machine(65534, "10.9.9.11", 8080) == "open"

    assert inside(MACHINE, LOAD, text=fence._absent("demo-1234abcd")) == ""
    assert (from_node("10.0.0.1", 8080), from_machine(65534)) == ("open", "open")
    assert inside(MACHINE, LOAD, text=fence._absent("demo-1234abcd")) == ""


@pytest.mark.usefixtures("_network")
def test_the_tables_of_others_stay() -> None:
    inside(MACHINE, LOAD, text="table inet lab-other-1\ntable ip nat\n")
    inside(MACHINE, LOAD, text=fence.ruleset("demo-1", [BRIDGE], [0]))
    inside(MACHINE, LOAD, text=fence._absent("demo-1"))
    argv = ["ip", "netns", "exec", MACHINE, "nft", "list", "tables"]
    tables = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    assert tables == ["table inet lab-other-1", "table ip nat"]


@pytest.mark.usefixtures("_network")
def test_what_nft_refuses_is_told_in_its_words() -> None:
    assert "syntax error" in inside(MACHINE, LOAD, text="table inet {\n")
