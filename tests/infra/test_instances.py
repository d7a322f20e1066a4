from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from lab.verification.collectors import Need
from lab.verification.facts import CONTROLLER, MADE, SERVERS
from lab.verification.outcome import expect
from lab.verification.registry import asserts
from lab.verification.values import secret_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.planning.plan import Check
    from lab.verification.facts import NodeFacts
    from lab.verification.parse import Server
    from lab.verification.registry import NeedsOf
    from lab.verification.suite import Suite

SPICE_GREETING = b"REDQ" + struct.pack("<III", 2, 2, 18) + struct.pack("<IBBIII", 0, 1, 0, 0, 0, 18)
"""SpiceLinkMess of the SPICE protocol: version 2.2, 18 bytes; new connection, main channel, no capabilities"""


OWN = [Need("sql", SERVERS, CONTROLLER), Need("texts", MADE, CONTROLLER)]
"""by which an instance of the lab is told from others of its name"""


def _active(cloud: NodeFacts, name: str) -> Server:
    """Give the lab's own instance of a name; fails the check at once where a user, or a fault, put it to rest."""
    server = cloud.own_server(name)
    expect(server is not None, f"instance {name} ACTIVE", "no such instance")
    assert server is not None
    expect(server.status == "ACTIVE", f"instance {name} ACTIVE", f"{server.status}; `lab up` brings it back")
    return server


def _console(check: Check) -> Iterator[Need]:
    yield Need("consoles", check.args["server"], CONTROLLER)
    yield from OWN


def _console_url(check: Check, kind: str) -> str:
    return f"console url show --{kind} {{server:{check.args['server']}}}"


def _url_needs(kind: str) -> NeedsOf:
    return lambda check: [Need("rows", _console_url(check, kind), CONTROLLER), *OWN]


def _compute(check: Check) -> str:
    """The compute node of the instance: named by the check, or its own."""
    return str(check.args.get("compute", check.node))


@asserts("instance-active", args="server", needs=lambda _: OWN)
def test_instance_active(check: Check, cloud: NodeFacts) -> None:
    """ACTIVE, and nothing is being done with it."""
    _active(cloud, check.args["server"])


@asserts("instance-console", args="server contains", needs=_console)
def test_instance_console(check: Check, cloud: NodeFacts) -> None:
    server, text = check.args["server"], str(check.args["contains"])
    _active(cloud, server)
    log = cloud.console(server)
    last = [line for line in log.splitlines() if line.strip()][-1:]
    expect(
        text in log, f"{text!r} in the console log of {server}", f"its last line {last[0][:200]!r}" if last else "empty"
    )


@asserts("instance-metadata", args="server", needs=_console)
def test_instance_metadata(check: Check, cloud: NodeFacts) -> None:
    """The instance says who it is, which only the metadata service told it: its id, and its name as host name."""
    server = check.args["server"]
    _active(cloud, server)
    lines = [line for line in cloud.console(server).splitlines() if "instance-id=" in line]
    found = re.search(r"instance-id=i-[0-9a-f]{8}\b.* hostname=(\S+)", lines[-1] if lines else "")
    good = found is not None and found[1].lower() == str(server).lower()
    expect(good, f"instance-id and host name {server} on the console", lines[-1].strip() if lines else "no such line")


def _shown(check: Check) -> str:
    return f"server show {{server:{check.args['server']}}}"


@asserts(
    "metadata",
    args="server path signed_with status",
    optional="contains",
    needs=lambda check: [Need("rows", _shown(check), CONTROLLER), *OWN],
)
def test_metadata(check: Check, cloud: NodeFacts) -> None:
    """Told to who signs the instance's id with the shared secret, and to nobody else."""
    server, path, status = check.args["server"], check.args["path"], int(check.args["status"])
    secret, text = secret_name(check.args["signed_with"]), str(check.args.get("contains", ""))
    _active(cloud, server)
    row = cloud.rows(_shown(check))[0]
    answer = cloud.metadata(path, str(row["id"]), str(row["project_id"]), secret)
    found = f"HTTP {answer['status']}" if "status" in answer else str(answer.get("error"))
    expect(answer.get("status") == status, f"HTTP {status} from {path} of {server}, signed with {secret}", found)
    expect(text in answer["body"], f"{text!r} in {path} of {server}", repr(answer["body"][:160]))


@asserts(
    "instance-domain-type",
    args="server",
    optional="compute",
    needs=lambda check: [Need("domains", node=_compute(check)), *OWN],
)
def test_instance_domain_type(check: Check, suite: Suite) -> None:
    """libvirt runs the instance under the plan's virt_type."""
    server, node = check.args["server"], suite.facts.node(_compute(check))
    wanted = node.node.virt_type
    own = _active(suite.facts.controller, server)
    mine = [xml for xml in node.domains() if f"<uuid>{own.id}</uuid>" in xml]
    types = [match[1] for xml in mine if (match := re.search(r"<domain type='(\w+)'", xml))]
    found = ", ".join(types) or "no domain of that instance"
    expect(types == [wanted], f"{server} under {wanted} on {node.node.name}", found)


def _speaks(check: Check, cloud: NodeFacts, kind: str, wanted: str, send: bytes = b"") -> None:
    """Behind the console's URL somebody speaks; a page alone answers 200 under any token."""
    _active(cloud, check.args["server"])
    rows = cloud.rows(_console_url(check, kind))
    url = str(rows[0].get("url", ""))
    expect("://" in url, f"a {kind} URL for {check.args['server']}", url or "none")
    answer = cloud.talk(url, wanted, send)
    found = str(answer.get("error") or f"{answer.get('status') or 'no answer'}, then {answer['said'] or 'nothing'!r}")
    expect(wanted in answer["said"], f"{wanted!r} from the server behind {url.split('?')[0]}", found)


@asserts("instance-vnc", args="server", needs=_url_needs("novnc"))
def test_instance_vnc(check: Check, cloud: NodeFacts) -> None:
    _speaks(check, cloud, "novnc", "RFB ")


@asserts("instance-spice", args="server", needs=_url_needs("spice"))
def test_instance_spice(check: Check, cloud: NodeFacts) -> None:
    """A SPICE server answers the greeting of a client that opens the main channel."""
    _speaks(check, cloud, "spice", "REDQ", SPICE_GREETING)


@asserts("instance-serial", args="server", needs=_url_needs("serial"))
def test_instance_serial(check: Check, cloud: NodeFacts) -> None:
    """The shell on the serial port works something out: what it prints is not the echo of what was typed."""
    _speaks(check, cloud, "serial", "lab-42", b"\necho lab-$((6*7))\n")
