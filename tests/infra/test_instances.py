from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from lab.infra.collectors import Need
from lab.infra.facts import CONTROLLER
from lab.infra.outcome import expect
from lab.infra.registry import asserts
from lab.infra.values import secret_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.infra.facts import NodeFacts
    from lab.infra.suite import Suite
    from lab.plan import Check

SERVERS = "server list"
SPICE_GREETING = b"REDQ" + struct.pack("<III", 2, 2, 18) + struct.pack("<IBBIII", 0, 1, 0, 0, 0, 18)
"""SpiceLinkMess of the SPICE protocol: version 2.2, 18 bytes; new connection, main channel, no capabilities"""


def _console(check: Check) -> Iterator[Need]:
    yield Need("consoles", check.args["server"], CONTROLLER)


def _console_url(check: Check, kind: str) -> str:
    return f"console url show --{kind} {check.args['server']}"


def _compute(check: Check) -> str:
    """The compute node of the instance: named by the check, or its own."""
    return str(check.args.get("compute", check.node))


@asserts("instance-active", args="server", needs=lambda _: [Need("rows", SERVERS, CONTROLLER)])
def test_instance_active(check: Check, cloud: NodeFacts) -> None:
    server = check.args["server"]
    found = [str(row["Status"]) for row in cloud.rows(SERVERS) if row["Name"] == server]
    expect(found == ["ACTIVE"], f"instance {server} ACTIVE", ", ".join(found) or "no such instance")


@asserts("instance-console", args="server contains", needs=_console)
def test_instance_console(check: Check, cloud: NodeFacts) -> None:
    server, text = check.args["server"], str(check.args["contains"])
    log = cloud.console(server)
    last = [line for line in log.splitlines() if line.strip()][-1:]
    expect(
        text in log, f"{text!r} in the console log of {server}", f"its last line {last[0][:200]!r}" if last else "empty"
    )


@asserts("instance-metadata", args="server", needs=_console)
def test_instance_metadata(check: Check, cloud: NodeFacts) -> None:
    """The instance says who it is, which only the metadata service told it: its id, and its name as host name."""
    server = check.args["server"]
    lines = [line for line in cloud.console(server).splitlines() if "instance-id=" in line]
    found = re.search(r"instance-id=i-[0-9a-f]{8}\b.* hostname=(\S+)", lines[-1] if lines else "")
    good = found is not None and found[1].lower() == str(server).lower()
    expect(good, f"instance-id and host name {server} on the console", lines[-1].strip() if lines else "no such line")


def _shown(check: Check) -> str:
    return f"server show {check.args['server']}"


@asserts(
    "metadata",
    args="server path signed_with status",
    optional="contains",
    needs=lambda check: [Need("rows", _shown(check), CONTROLLER)],
)
def test_metadata(check: Check, cloud: NodeFacts) -> None:
    """Told to who signs the instance's id with the shared secret, and to nobody else."""
    server, path, status = check.args["server"], check.args["path"], int(check.args["status"])
    secret, text = secret_name(check.args["signed_with"]), str(check.args.get("contains", ""))
    row = cloud.rows(_shown(check))[0]
    answer = cloud.metadata(path, str(row["id"]), str(row["project_id"]), secret)
    found = f"HTTP {answer['status']}" if "status" in answer else str(answer.get("error"))
    expect(answer.get("status") == status, f"HTTP {status} from {path} of {server}, signed with {secret}", found)
    expect(text in answer["body"], f"{text!r} in {path} of {server}", repr(answer["body"][:160]))


@asserts("instance-domain-type", args="server", optional="compute", needs=lambda c: [Need("domains", node=_compute(c))])
def test_instance_domain_type(check: Check, suite: Suite) -> None:
    """libvirt runs the instance under the plan's virt_type."""
    server, node = check.args["server"], suite.facts.node(_compute(check))
    wanted = node.node.virt_type
    mine = [xml for xml in node.domains() if re.search(rf"<nova:name>{re.escape(server)}</nova:name>", xml)]
    types = [match[1] for xml in mine if (match := re.search(r"<domain type='(\w+)'", xml))]
    found = ", ".join(types) or "no domain of that instance"
    expect(types == [wanted], f"{server} under {wanted} on {node.node.name}", found)


def _speaks(check: Check, cloud: NodeFacts, kind: str, wanted: str, send: bytes = b"") -> None:
    """Behind the console's URL somebody speaks; a page alone answers 200 under any token."""
    rows = cloud.rows(_console_url(check, kind))
    url = str(rows[0].get("url", ""))
    expect("://" in url, f"a {kind} URL for {check.args['server']}", url or "none")
    answer = cloud.talk(url, wanted, send)
    found = str(answer.get("error") or f"{answer.get('status') or 'no answer'}, then {answer['said'] or 'nothing'!r}")
    expect(wanted in answer["said"], f"{wanted!r} from the server behind {url.split('?')[0]}", found)


@asserts("instance-vnc", args="server", needs=lambda check: [Need("rows", _console_url(check, "novnc"), CONTROLLER)])
def test_instance_vnc(check: Check, cloud: NodeFacts) -> None:
    _speaks(check, cloud, "novnc", "RFB ")


@asserts("instance-spice", args="server", needs=lambda check: [Need("rows", _console_url(check, "spice"), CONTROLLER)])
def test_instance_spice(check: Check, cloud: NodeFacts) -> None:
    """A SPICE server answers the greeting of a client that opens the main channel."""
    _speaks(check, cloud, "spice", "REDQ", SPICE_GREETING)


@asserts(
    "instance-serial", args="server", needs=lambda check: [Need("rows", _console_url(check, "serial"), CONTROLLER)]
)
def test_instance_serial(check: Check, cloud: NodeFacts) -> None:
    """The shell on the serial port works something out: what it prints is not the echo of what was typed."""
    _speaks(check, cloud, "serial", "lab-42", b"\necho lab-$((6*7))\n")
