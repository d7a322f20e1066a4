"""From what checks need to what the agent does: many needs of one collector become few operations.

A need names a collector and an item: Need("units", "nova-api"). The functions below merge the items of one node. The
lane says which needs travel together: lane 0 is cheap and first, the other lanes run beside each other.
"""

from __future__ import annotations

import json
import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.verification.logs import ALWAYS_BAD, allowed_in
from lab.verification.parse import unit_name
from lab.verification.remote import Operation, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CHEAP, WEB, OPENSTACK, COMMANDS = range(4)

UNIT_PROPERTIES = "Id,LoadState,ActiveState,SubState,UnitFileState,NRestarts,Result"
BATCH = "/opt/lab/lib/openstack-batch"
DONE = "/var/lib/lab/done"


@dataclass(frozen=True)
class Need:
    """A fact that a check reads."""

    collector: str
    item: str = ""
    node: str = ""
    """empty: the check's own node"""


Operations = dict[str, Operation]


def shell(script: str, timeout_s: float, secrets: Sequence[str] = ()) -> Operation:
    """Run a script, with these secrets in its environment."""
    return {"op": "run", "script": script, "timeout": timeout_s, "secrets": list(secrets)}


def _packages(items: Sequence[str], scale: float) -> Operations:
    form = r"${Package}\t${db:Status-Abbrev}\t${Version}\n"
    return {"packages": shell(quote("dpkg-query", "-W", "-f", form, "--", *items), 20 * scale)}


def _units(items: Sequence[str], scale: float) -> Operations:
    names = [unit_name(item) for item in items]
    return {"units": shell(quote("systemctl", "show", "-p", UNIT_PROPERTIES, "--", *names), 20 * scale)}


def _sockets(_: Sequence[str], scale: float) -> Operations:
    return {"sockets": shell("ss -H -ltn", 10 * scale)}


def _modules(_: Sequence[str], scale: float) -> Operations:
    return {"modules": shell("ls /sys/module", 10 * scale)}


def _cpu(_: Sequence[str], scale: float) -> Operations:
    script = "grep -Ewc 'vmx|svm' /proc/cpuinfo; if [ -c /dev/kvm ]; then echo kvm; else echo none; fi"
    return {"cpu": shell(script, 10 * scale)}


def _bridges(items: Sequence[str], scale: float) -> Operations:
    return {
        f"bridges:{item}": shell(quote("ovs-vsctl", "--timeout=20", "list-ports", item), 20 * scale) for item in items
    }


def _files(items: Sequence[str], _: float) -> Operations:
    return {f"files:{item}": {"op": "file", "path": item} for item in items}


def _texts(items: Sequence[str], _: float) -> Operations:
    return {f"texts:{item}": {"op": "file", "path": item, "text": True} for item in items}


def _sql(items: Sequence[str], scale: float) -> Operations:
    """All statements go through one client; --force goes on after a bad one, the marks tell them apart."""
    statements = "\n".join(f"SELECT '@@{number}';\n{item};" for number, item in enumerate(items))
    return {"sql": shell(f"mariadb -NBr --force <<'EOF'\n{statements}\nEOF", 20 * scale)}


def _logins(items: Sequence[str], scale: float) -> Operations:
    """Each account logs in as the services do (TCP, hence USER@%) and through the socket (USER@localhost)."""
    operations = {}
    for item in items:
        user, secret, database = json.loads(item)
        query = quote("--user", user, "-NBe", "SELECT 1", database)
        script = (
            f'export MYSQL_PWD="${secret}"\n'
            f'mariadb --no-defaults --protocol=tcp --host="$CONTROLLER_IP" {query} >/dev/null || exit 1\n'
            '[ "$LAB_ROLE" = controller ] || exit 0\n'
            f"mariadb --no-defaults --protocol=socket {query} >/dev/null || exit 2"
        )
        operations[f"logins:{item}"] = shell(script, 20 * scale, [secret])
    return operations


def _tokens(items: Sequence[str], scale: float) -> Operations:
    """Log in at the Identity service; the password stays on the node."""
    operations: Operations = {}
    for item in items:
        user, secret = json.loads(item)
        default = {"id": "default"}
        password = {"user": {"name": user, "domain": default, "password": f"${{{secret}}}"}}
        identity = {"methods": ["password"], "password": password}
        url = "http://controller:5000/v3/auth/tokens"
        body = {"auth": {"identity": identity, "scope": "unscoped"}}
        operations[f"tokens:{item}"] = {"op": "http", "url": url, "json": body, "timeout": 20 * scale}
    return operations


def _web(items: Sequence[str], scale: float) -> Operations:
    return {f"web:{item}": {"op": "http", "url": item, "timeout": 20 * scale} for item in items}


def _dashboard_logins(items: Sequence[str], scale: float) -> Operations:
    """Log in at the dashboard; the password stays on the node. The page behind it asks every service."""
    operations: Operations = {}
    for item in items:
        url, user, secret = json.loads(item)
        fields = {"domain": "Default", "username": user, "password": f"${{{secret}}}"}
        operations[f"dashboard-logins:{item}"] = {
            "op": "login-form",
            "url": url,
            "fields": fields,
            "timeout": 60 * scale,
        }
    return operations


def _queue_logins(items: Sequence[str], scale: float) -> Operations:
    operations: Operations = {}
    for item in items:
        user, secret = json.loads(item)
        where = {"host": "controller", "port": 5672}
        operations[f"queue-logins:{item}"] = {
            "op": "amqp",
            **where,
            "user": user,
            "secret": secret,
            "timeout": 20 * scale,
        }
    return operations


def _queue_permissions(_: Sequence[str], scale: float) -> Operations:
    return {"queue-permissions": shell("rabbitmqctl -q --formatter json list_permissions -p /", 60 * scale)}


def _logs(items: Sequence[str], _: float) -> Operations:
    operations: Operations = {}
    for item in items:
        step, path = json.loads(item)
        unit = posixpath.basename(path).removesuffix(".log")
        allow = allowed_in(path)
        marker = f"{DONE}/{step}"
        rules = {"allow": allow, "always": list(ALWAYS_BAD)}
        operations[f"logs:{item}"] = {"op": "log", "path": path, "marker": marker, "unit": unit, **rules}
    return operations


def _rows(items: Sequence[str], scale: float) -> Operations:
    """All lists of the plan in one process of the client."""
    commands = "\n".join(items)
    return {"rows": shell(f"{BATCH} --json <<'EOF'\n{commands}\nEOF", (60 + 10 * len(items)) * scale)}


def _consoles(items: Sequence[str], scale: float) -> Operations:
    """`console log show` has no JSON form; the batch prints each command as `$ openstack …`, its output indented."""
    commands = "\n".join(quote("console", "log", "show", f"{{server:{item}}}") for item in items)
    return {"consoles": shell(f"{BATCH} <<'EOF'\n{commands}\nEOF", (60 + 10 * len(items)) * scale)}


def _commands(items: Sequence[str], scale: float) -> Operations:
    return {f"commands:{item}": shell(item, 120 * scale) for item in items}


def _domains(_: Sequence[str], scale: float) -> Operations:
    """XML of every domain, each behind a line @@."""
    script = (
        "for id in $(virsh -c qemu:///system list --all --uuid); do echo @@; virsh -c qemu:///system dumpxml $id; done"
    )
    return {"domains": shell(script, 60 * scale)}


COLLECTORS: dict[str, tuple[int, Callable[[Sequence[str], float], Operations]]] = {
    "bridges": (CHEAP, _bridges),
    "commands": (COMMANDS, _commands),
    "consoles": (OPENSTACK, _consoles),
    "cpu": (CHEAP, _cpu),
    "dashboard-logins": (WEB, _dashboard_logins),
    "domains": (WEB, _domains),
    "files": (CHEAP, _files),
    "logins": (WEB, _logins),
    "logs": (CHEAP, _logs),
    "modules": (CHEAP, _modules),
    "packages": (CHEAP, _packages),
    "queue-logins": (WEB, _queue_logins),
    "queue-permissions": (WEB, _queue_permissions),
    "rows": (OPENSTACK, _rows),
    "sockets": (CHEAP, _sockets),
    "sql": (CHEAP, _sql),
    "texts": (CHEAP, _texts),
    "tokens": (WEB, _tokens),
    "units": (CHEAP, _units),
    "web": (WEB, _web),
    "clock": (CHEAP, lambda _items, _scale: {}),
}
