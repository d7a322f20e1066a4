"""What only OpenStack knows, for rooms that know nothing else of it: where it answers, who reports itself, who leaves.

What a release decides is in provision/; what its checks ask is in lab/planning/checks.py and the suite.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lab.planning.plan import management_address

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from lab.planning.plan import Plan

# --- where it answers

HTTP_PORT = 80
_CONSOLES = ("instance-vnc", "instance-spice", "instance-serial")


def identity_url(plan: Plan) -> str:
    """Give the address of the Identity API (version 3), as the services' own options name it."""
    set_by = (c for c in plan.checks if c.kind == "option" and c.args.get("option") == "auth_url")
    named = next((str(check.args["value"]) for check in set_by), f"http://{plan.nodes[0].name}:5000")
    return f"{named.rstrip('/').removesuffix('/v3')}/v3"


def urls(plan: Plan) -> Iterator[str]:
    """Give every URL of the controller that a check of the plan names: APIs, dashboard, consoles. Some come twice."""
    base = re.compile(rf"(?:https?|ws)://{re.escape(plan.nodes[0].name)}(?![\w.-])[^\s'\"]*")
    for check in plan.checks:
        for value in check.args.values():
            yield from base.findall(str(value))


def service_ports(plan: Plan) -> list[int]:
    """Name the TCP ports of the controller that a client outside may want, in ascending order."""
    found = (re.match(r"\w+://[^:/]+(?::(\d+))?", url) for url in urls(plan))
    return sorted({int(match[1] or HTTP_PORT) for match in found if match})


def provided(plan: Plan, done: Iterable[str]) -> list[tuple[str, str]]:
    """Name what the steps recorded as done (NODE/STEP) provide, and where: APIs, the dashboard, consoles."""
    known = set(done)
    checks = [check for check in plan.checks if f"{check.node}/{check.step}" in known]
    public = {
        check.args["service"]: check.args["url"]
        for check in checks
        if check.kind == "endpoint" and check.args["interface"] == "public"
    }
    found = [
        (f"{check.args['type']} API", str(public[check.args["name"]]))
        for check in checks
        if check.kind == "service" and check.args["name"] in public
    ]
    found += [("dashboard", str(check.args["url"])) for check in checks if check.kind == "dashboard-login"]
    controller = plan.nodes[0]
    address = management_address(controller)
    found = [(what, url.replace(f"//{controller.name}", f"//{address}")) for what, url in found]
    consoles = {check.kind: check.command for check in reversed(checks) if check.kind in _CONSOLES}
    return found + [("console", command) for command in consoles.values()]


# --- who reports itself

_NOVA = frozenset(f"nova-{of}" for of in ("cert", "compute", "conductor", "consoleauth", "network", "scheduler"))
_NEUTRON = frozenset(f"neutron-{of}-agent" for of in ("openvswitch", "linuxbridge", "dhcp", "metadata", "l3"))
REPORTING = _NOVA | _NEUTRON
"""units that report themselves every few seconds, by the name that the database has for them (column `binary`)"""


def heartbeat_commands(units: Collection[str], since: float) -> list[str]:
    """Write the shell commands that print `beat NODE UNIT` for each unit that reported itself since a moment.

    They read the databases: one `openstack` takes twelve seconds on an emulated node.

    Args:
        units: those of the controller; a database that none of them uses is not asked.
        since: seconds since 1970.
    """
    moment = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%d %H:%M:%S")
    commands = []
    for names, table, condition in (
        (_NOVA, "nova.services", f"deleted = 0 AND last_seen_up >= '{moment}'"),
        (_NEUTRON, "neutron.agents", f"heartbeat_timestamp >= '{moment}'"),
    ):
        if names & set(units):
            query = f"SELECT 'beat', host, \\`binary\\` FROM {table} WHERE {condition}"
            commands.append(f'mariadb --batch --skip-column-names --execute "{query}"')
    return commands


# --- who leaves

STOP_SERVICES = (
    "for unit in nova-compute nova-network nova-api-metadata neutron-openvswitch-agent neutron-linuxbridge-agent; do "
    'systemctl disable --now "$unit" 2>/dev/null || true; done'
)
"""what root runs on a node that leaves; some may be missing. Disabled too: the node might be switched on again"""
OTHERS_LIVE_THERE = 3
"""exit code of provision/remove-compute: instances run there that the lab did not create"""
KEEP_OTHERS = (
    "`openstack server delete ID`, or to keep one `openstack server shelve ID`, then `lab up`, then "
    "`openstack server unshelve ID`: it starts on another node. Or put nodes.compute.count back"
)
"""what a user can do then"""


def remove_computes(verb: str, leaving: Sequence[str], gone: Sequence[str]) -> list[str]:
    """Write the command with which the controller's root takes nodes out; `gone` names those that do not run any more.

    It does nothing where the lab never came as far as a database of nova.
    """
    script = '[ ! -d /var/lib/mysql/nova ] || LAB_GONE="$1" exec /opt/lab/remove-compute "$2" $3'
    return ["sh", "-c", script, "remove-compute", " ".join(gone), verb, " ".join(leaving)]
