from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from lab.verification.cloud import active, begin, console_log, met, output, rows, run, tool
from lab.verification.outcome import CannotTell, expect
from lab.verification.registry import asserts
from lab.verification.values import secret_name

if TYPE_CHECKING:
    from testinfra.host import Host

    from lab.planning.plan import Check
    from lab.verification.suite import Suite

SPICE_GREETING = b"REDQ" + struct.pack("<III", 2, 2, 18) + struct.pack("<IBBIII", 0, 1, 0, 0, 0, 18)
"""SpiceLinkMess of the SPICE protocol: version 2.2, 18 bytes; new connection, main channel, no capabilities"""
DOMAINS = "for id in $(virsh -c qemu:///system list --all --uuid); do virsh -c qemu:///system dumpxml $id; done"


@asserts("instance-active")
def test_instance_active(controller: Host, server: str) -> None:
    """ACTIVE, and nothing is being done with it."""
    active(controller, server)


def _console(controller: Host, server: str) -> list[str]:
    """Lines of the console of an instance that must be active."""
    command = console_log(server)
    begin(controller, command)
    active(controller, server)
    ran = run(controller, command)
    if ran.rc or not ran.stdout.strip():
        raise CannotTell(f"openstack console log show {server}: {ran.last_line}")
    return [line for line in ran.stdout.splitlines() if line.strip()]


@asserts("instance-console")
def test_instance_console(controller: Host, server: str, contains: str) -> None:
    lines = _console(controller, server)
    found = f"its last line {lines[-1][:200]!r}"
    expect(any(contains in line for line in lines), f"{contains!r} in the console log of {server}", found)


@asserts("instance-metadata")
def test_instance_metadata(controller: Host, server: str) -> None:
    """The instance says who it is, which only the metadata service told it: its id, and its name as host name."""
    lines = [line for line in _console(controller, server) if "instance-id=" in line]
    found = re.search(r"instance-id=i-[0-9a-f]{8}\b.* hostname=(\S+)", lines[-1] if lines else "")
    good = found is not None and found[1].lower() == str(server).lower()
    expect(good, f"instance-id and host name {server} on the console", lines[-1].strip() if lines else "no such line")


@asserts("metadata")
def test_metadata(
    controller: Host, server: str, path: str, signed_with: str, status: str, contains: str | None
) -> None:
    """Told to who signs the instance's id with the shared secret, and to nobody else."""
    wanted, secret, text = int(status), secret_name(signed_with), contains or ""
    show = f"server show {{server:{server}}}"
    begin(controller, f"openstack {show} -f json")
    active(controller, server)
    row = rows(controller, show)[0]
    answer = tool(
        controller,
        "http",
        url=f"http://controller:8775{path}",
        headers={"X-Instance-ID": str(row["id"]), "X-Tenant-ID": str(row["project_id"])},
        sign={"header": "X-Instance-ID-Signature", "secret": secret, "text": str(row["id"])},
        seconds=30,
    )
    expected = f"HTTP {wanted} from {path} of {server}, signed with {secret}"
    expect(answer.get("status") == wanted, expected, met(answer))
    expect(text in answer["body"], f"{text!r} in {path} of {server}", repr(answer["body"][:160]))


@asserts("instance-domain-type")
def test_instance_domain_type(check: Check, suite: Suite, server: str, compute: str | None) -> None:
    """libvirt runs the instance under the plan's virt_type."""
    node = compute or check.node
    wanted = suite.virt_types[node]
    begin(suite.hosts[node], DOMAINS)
    own = active(suite.controller, server)
    domains = output(suite.hosts[node], "virsh", DOMAINS).split("</domain>")
    mine = [xml for xml in domains if f"<uuid>{own.id}</uuid>" in xml]
    types = [match[1] for xml in mine if (match := re.search(r"<domain type='(\w+)'", xml))]
    found = ", ".join(types) or "no domain of that instance"
    expect(types == [wanted], f"{server} under {wanted} on {node}", found)


def _speaks(controller: Host, server: str, kind: str, wanted: str, send: bytes = b"") -> None:
    """Behind the console's URL somebody speaks; a page alone answers 200 under any token."""
    show = f"console url show --{kind} {{server:{server}}}"
    begin(controller, f"openstack {show} -f json")
    active(controller, server)
    url = str(rows(controller, show)[0].get("url", ""))
    expect("://" in url, f"a {kind} URL for {server}", url or "none")
    answer = tool(controller, "console", url=url, expect=wanted, send=send.hex(), seconds=30)
    found = str(answer.get("error") or f"{answer.get('status') or 'no answer'}, then {answer['said'] or 'nothing'!r}")
    expect(wanted in answer["said"], f"{wanted!r} from the server behind {url.split('?')[0]}", found)


@asserts("instance-vnc")
def test_instance_vnc(controller: Host, server: str) -> None:
    _speaks(controller, server, "novnc", "RFB ")


@asserts("instance-spice")
def test_instance_spice(controller: Host, server: str) -> None:
    """A SPICE server answers the greeting of a client that opens the main channel."""
    _speaks(controller, server, "spice", "REDQ", SPICE_GREETING)


@asserts("console-token")
def test_console_token(
    controller: Host, server: str, console: str, token: str, password: str, after: str | None
) -> None:
    """A new token opens the console; one that nobody gave, or that is older than it may be (`after` seconds), does not.

    It is refused by a proxy that answers, and ends the connection before anything of the console has passed.
    """
    wanted, send = ("REDQ", SPICE_GREETING) if console == "spice" else ("RFB ", b"")
    answer = tool(
        controller,
        "console-token",
        server=active(controller, server).id,
        kind=console,
        secret=secret_name(password),
        expect=wanted,
        send=send.hex(),
        forge=token == "bad",  # noqa: S105 - which kind of token
        wait=int(after or 0),
        seconds=30,
    )
    if "asked" in answer:
        raise CannotTell(str(answer["asked"]))
    found = str(answer.get("error") or f"{answer.get('status') or 'no answer'}, then {answer['said'] or 'nothing'!r}")
    if token == "good":  # noqa: S105
        expect(wanted in answer["said"], f"{wanted!r} from {server} by {console} with a new token", found)
    else:
        refused = "error" not in answer and bool(answer["status"]) and wanted not in answer["said"]
        late = f", {after} s old" if after else ""
        expect(refused, f"the {console} proxy refuses a token for {server} that is {token}{late}", found)


@asserts("instance-serial")
def test_instance_serial(controller: Host, server: str) -> None:
    """The shell on the serial port works something out: what it prints is not the echo of what was typed."""
    _speaks(controller, server, "serial", "lab-42", b"\necho lab-$((6*7))\n")
