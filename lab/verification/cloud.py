"""What testinfra does not know: questions to MariaDB, the services and the instances, over testinfra's host.

Each function takes a host and gives what it says now; CannotTell where the program that should tell did not.
"""

from __future__ import annotations

import contextlib
import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lab.verification.outcome import CannotTell, Mismatch, expect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testinfra.host import Host

    from lab.verification.rounds import Ran

MADE = "/var/lib/lab/made.json"
"""ids of what the lab made, by kind and name; written by openstack-batch on the controller"""
SERVERS = (
    "SELECT i.uuid, i.display_name, i.vm_state, COALESCE(i.task_state, '') FROM nova.instances i "
    "JOIN keystone.project p ON p.id = i.project_id "
    "WHERE i.deleted = 0 AND p.name = 'admin' ORDER BY i.created_at"
)
"""the instances in the project of the lab's own, the oldest first"""
STARTED = "cut -d' ' -f1 /proc/uptime && systemctl show --property=ActiveState,NRestarts,ActiveEnterTimestampMonotonic"
STATUS = {
    "building": "BUILD",
    "stopped": "SHUTOFF",
    "rescued": "RESCUE",
    "resized": "VERIFY_RESIZE",
    "soft-delete": "SOFT_DELETED",
}
"""vm_state → status, where they are not the same word (nova/api/openstack/common.py)"""


def run(host: Host, command: str, **how: Any) -> Ran:
    """Run a command that may fail, but must end."""
    ran: Ran = host.backend.run(command, **how)
    if ran.rc == 124 and "no answer in" in ran.stderr:
        raise CannotTell(f"{ran.last_line} from {command}")
    return ran


def output(host: Host, program: str, command: str, *args: str) -> str:
    """Give what a command prints that must succeed."""
    ran = run(host, host.backend.quote(command, *args))
    if ran.rc:
        raise CannotTell(f"{program}: {ran.last_line}")
    return str(ran.stdout)


def tool(node: Host, name: str, /, *, seconds: float = 0, **arguments: Any) -> dict[str, Any]:
    """Ask a tool of lab.verification.tools; `seconds` is its limit on a KVM host."""
    if seconds:
        arguments["timeout"] = seconds * node.backend.scale
    ran = node.run(f"@{name} {json.dumps(arguments)}")
    if ran.rc:
        raise CannotTell(ran.last_line)
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


def met(answer: dict[str, Any]) -> str:
    """Tell of what `http` or `login-form` met."""
    return f"HTTP {answer['status']}" if "status" in answer else str(answer.get("error"))


class Running(NamedTuple):
    """Units that run."""

    since_s: float
    """since the last of them was started; 0 while one starts"""
    restarts: tuple[int, ...]
    """how often systemd has started each of them again because it had ended"""


def running(host: Host, units: Iterable[str]) -> Running | None:
    """Ask for how long these units have run; None if one does not."""
    uptime, *lines = output(host, "systemctl", f"{STARTED} {shlex.join(units)}").splitlines()
    told = [line.partition("=")[::2] for line in lines if line]
    states = {value for name, value in told if name == "ActiveState"}
    if not states or states & {"inactive", "failed"}:
        return None
    began_us = max(int(value) for name, value in told if name == "ActiveEnterTimestampMonotonic")
    since_s = float(uptime) - began_us / 1e6 if states <= {"active", "reloading"} else 0.0
    return Running(since_s, tuple(int(value) for name, value in told if name == "NRestarts"))


def sql(host: Host, statement: str) -> list[str]:
    """Give the rows of a statement of MariaDB's root, columns separated by tabs."""
    return output(host, "mariadb", "mariadb -NBre %s", statement).splitlines()


def rows(host: Host, listing: str) -> list[dict[str, Any]]:
    """Give the rows of an `openstack` list command, or the one object of a show command."""
    ran = run(host, f"openstack {listing} -f json")
    if ran.rc:
        raise CannotTell(f"openstack {listing}: {ran.last_line}")
    try:
        found = json.loads(ran.stdout)
    except ValueError:
        raise CannotTell(f"openstack {listing}: not JSON: {ran.stdout[:200]}") from None
    return found if isinstance(found, list) else [found]


def begin(host: Host, *commands: str) -> None:
    """Start slow commands of the client, whose answers are read later: the client runs all of them at once."""
    for command in commands:
        host.backend.run(command, hurry=False)


def console_log(server: str) -> str:
    """Give the command for an instance's console log."""
    return f"openstack console log show {shlex.quote(f'{{server:{server}}}')}"


@dataclass(frozen=True)
class Server:
    """An instance, as the database of nova has it."""

    id: str
    name: str
    status: str
    """as the API and `openstack server list` say it"""


def servers(host: Host) -> list[Server]:
    """Give the instances in the project of the lab's own, the oldest first."""
    found = []
    for row in sql(host, SERVERS):
        uuid, name, state, task = (*row.split("\t"), "", "")[:4]
        shown = STATUS.get(state, state.upper())
        found.append(Server(uuid, name, f"{shown} ({task})" if task else shown))
    return found


def active(host: Host, name: str) -> Server:
    """Give the lab's own instance of a name, the one that it remembers, else the oldest.

    Fails the check at once where a user, or a fault, has stopped it.
    """
    made, own = host.run("cat -- %s", MADE).stdout, ""
    found = [server for server in servers(host) if server.name == name]
    with contextlib.suppress(ValueError, AttributeError):
        own = str(json.loads(made).get(f"server {name}"))
    server = next((server for server in found if server.id == own), found[0] if found else None)
    if server is None:
        raise Mismatch(f"instance {name} ACTIVE", "no such instance")
    expect(server.status == "ACTIVE", f"instance {name} ACTIVE", f"{server.status}; `lab up` brings it back")
    return server
