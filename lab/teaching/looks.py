"""How one sees by hand that a check's fact is true: the command, and how it looks when it is right. Pure.

The suite asks in its own, quicker way; what it asks for is in the arguments of the check.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lab.planning.plan import Check

Args = dict[str, Any]
Look = tuple[str, str]
"""a command, and what it shows when all is right"""
_REFERENCE = re.compile(r"\$\{?([A-Z][A-Z0-9_]*)\}?")


def filled(value: Any, known: Mapping[str, str]) -> Any:
    """Put values into the texts of a check: ${NAME} and $NAME, where they are known."""
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: known.get(match[1], match[0]), value)
    if isinstance(value, dict):
        return {key: filled(inner, known) for key, inner in value.items()}
    return value


def look(check: Check) -> Look:
    """Tell how to see it; for a kind that is not known here, by the suite itself."""
    make = _LOOKS.get(check.kind)
    return make(check.args) if make else (f"lab verify {check.step}", f"{check.id} passes")


def known_kinds() -> frozenset[str]:
    """Name the kinds that have a look of their own."""
    return frozenset(_LOOKS)


def _row(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{column}: {value}" for column, value in row.items())


def _command(args: Args) -> Look:
    code = args.get("exit_code", 0)
    if "stdout_equals" in args:
        right = f"`{args['stdout_equals']}`" if args["stdout_equals"] else "nothing"
    elif "stdout_contains" in args:
        right = f"text with `{args['stdout_contains']}`"
    else:
        right = "no error" if code == 0 else "an error"
    return str(args["run"]), right + (f"; exit code {code}" if code else "")


def _count(args: Args) -> Look:
    where = f" with {_row(args['where'])}" if args.get("where") else ""
    return f"openstack {args['list']}", f"{args['count']} rows{where}"


def _http(args: Args) -> Look:
    holds = f", a text with `{args['contains']}`" if "contains" in args else ""
    return f"curl --include {args['url']}", f"status {args['status']}{holds}"


def _console(kind: str, port: str) -> Callable[[Args], Look]:
    return lambda args: (
        f"openstack console url show --{kind} {args['server']}",
        f"a URL on port {port}; opened in a browser, it shows the instance",
    )


def _token(args: Args) -> Look:
    show = f"openstack console url show --{args['console']} {args['server']}"
    if args["token"] == "good":
        return show, "opened at once, it shows the instance"
    how = f"{args['after']} s later" if args.get("after") else "with another token in it"
    return f"{show}  # opened {how}", "the proxy refuses it"


def _metadata(args: Args) -> Look:
    holds = f" with `{args['contains']}`" if args.get("contains") else ""
    return (
        f"# GET http://controller:8775{args['path']} for {args['server']}, signed with {args['signed_with']}",
        f"status {args['status']}{holds}",
    )


_LOOKS: dict[str, Callable[[Args], Look]] = {
    "package": lambda a: (f"dpkg-query --show --showformat='${{db:Status-Status}}\\n' {a['name']}", "`installed`"),
    "unit": lambda a: (f"systemctl is-active {a['name']}; systemctl is-enabled {a['name']}", "`active`, `enabled`"),
    "unit-off": lambda a: (f"systemctl is-active {a['name']}; systemctl is-enabled {a['name']}",
                           "`inactive`, `disabled`; or there is no such unit"),
    "socket": lambda a: (f"ss --listening --tcp --numeric 'sport = :{str(a['address']).rpartition(':')[2]}'",
                         f"a listener on `{str(a['address']).removeprefix('tcp://')}`"),
    "port-closed": lambda a: (f"ss --no-header --listening --tcp --numeric 'sport = :{a['port']}'", "nothing"),
    "database": lambda a: (f"mariadb --execute \"SHOW DATABASES LIKE '{a['name']}'\"", f"`{a['name']}`"),
    "grants": lambda a: (f"mariadb --execute \"SHOW GRANTS FOR '{a['user']}'@'{a['host']}'\"",
                         f"ALL PRIVILEGES on {', '.join(a['grants'])} and on nothing else"),
    "db-login": lambda a: (f"mariadb --host=controller --user={a['user']} --password {a['database']}",
                           "a prompt, after the password"),
    "cell": lambda a: ('su -s /bin/sh -c "nova-manage cell_v2 list_cells" nova', f"a row `{a['name']}`"),
    "schema-head": lambda a: (str(a["command"]), "the version of the schema, with `(head)`"),
    "queue-user": lambda a: (f"rabbitmqctl authenticate_user {a['name']}", "Success, after the password"),
    "queue-permissions": lambda a: ("rabbitmqctl list_permissions", f"`{a['name']}` with `.*` three times"),
    "queue-consumers": lambda a: ("rabbitmqctl list_queues name consumers", f"`{a['name']}` with 1 or more"),
    "queue-alarms": lambda _: ("rabbitmq-diagnostics check_local_alarms", "no error"),
    "identity-user": lambda a: (
        f"openstack --os-username {a['name']} --os-project-name service --os-password … token issue", "a token"),
    "identity-role": lambda a: (
        f"openstack role assignment list --names --user {a['user']} --project {a['project']}", f"role `{a['role']}`"),
    "service": lambda a: ("openstack service list", _row({"Name": a["name"], "Type": a["type"]})),
    "endpoint": lambda a: (f"openstack endpoint list --service {a['type']} --interface {a['interface']}",
                           f"one row, with `{a['url']}`"),
    "endpoint-answers": lambda a: (f"curl --include {a['url']}", "status 200, 300 or 401"),
    "http": _http,
    "dashboard-login": lambda a: (f"# log in at {a['url']} as {a['user']}", "the overview page"),
    "option": lambda a: (f"crudini --get {a['path']} {a['section']} {a['option']}", f"`{a['value']}`"),
    "option-absent": lambda a: (f"crudini --get {a['path']} {a['section']} {a['option']}",
                                "Parameter not found, or Section not found"),
    "file": lambda a: (f"stat --format='%U %G %a' {a['path']}",
                       f"`{a['owner']} {a['group']} {str(a['mode']).lstrip('0')}`"),
    "log": lambda a: (f"grep -E 'ERROR|Traceback' {a['path']}", "nothing since the last restart"),
    "host-entry": lambda a: (f"getent hosts {a['name']}", f"`{a['address']}`"),
    "kernel-module": lambda a: (f"lsmod | grep {a['name']}", f"a line with `{a['name']}`"),
    "clock": lambda a: ("chronyc -n tracking", f"System time: less than {a['max_seconds']} s off"),
    "command": _command,
    "ovs": lambda a: (f"ovs-vsctl port-to-br {a['port']}", f"`{a['bridge']}`"),
    "virt-type": lambda _: ("crudini --get /etc/nova/nova-compute.conf libvirt virt_type",
                            "`kvm` where egrep counts one or more, and a guest boots with it; else `qemu`"),
    "upgrade-check": lambda a: (str(a["run"]), "Success for each check; exit code 0"),
    "openstack": lambda a: (f"openstack {a['list']}", _row(a["row"])),
    "openstack-count": _count,
    "instance-active": lambda a: (f"openstack server show --format value --column status {a['server']}", "`ACTIVE`"),
    "instance-console": lambda a: (f"openstack console log show {a['server']}", f"a line with `{a['contains']}`"),
    "instance-metadata": lambda a: (f"openstack console log show {a['server']}", "its own id, and its own host name"),
    "instance-domain-type": lambda a: ("virsh list; virsh dumpxml INSTANCE | head -1", f"on the node of {a['server']}: "
                                       "`<domain type=…>` is the virt_type of nova-compute.conf"),
    "instance-vnc": _console("novnc", "6080"),
    "instance-spice": _console("spice", "6082"),
    "instance-serial": _console("serial", "6083"),
    "console-token": _token,
    "metadata": _metadata,
}  # fmt: skip
