"""What must be true of each node, from the steps' facts and the option blocks of their scripts.

Each check says which section of the guide and which command should have made it true, with a password shown by its
name as the guide does. Arguments hold `${NAME}` only for a secret's name: the suite puts its value there.
docs/checks.md lists the kinds and their arguments.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lab.base.errors import UsageError
from lab.inputs.steps import Comes
from lab.planning.plan import Check

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lab.inputs.catalog import LoadedStep
    from lab.inputs.steps import StepFacts
    from lab.planning.plan import Node

QUICK = frozenset({"unit", "unit-off", "socket", "port-closed", "database", "grants", "option", "file"})
"""kinds of the drift check of every `lab up`: none runs an `openstack` command"""
OPENED = frozenset({"socket", "http", "endpoint-answers", "dashboard-login", "metadata"})
"""kinds that ask at a port, which the step's units open some time after systemd calls them started"""
OPENS_WITHIN_S = 40
"""on a KVM host; the steps give an API as long"""
GRANT_HOSTS = ("localhost", "%")
INTERFACES = ("public", "internal", "admin")

_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
_Raw = tuple[str, str, dict[str, Any], str, bool, Comes | None]
"""kind, name, arguments, command, quick, comes: with `${NAME}` not yet expanded"""


def derive_checks(nodes: Iterable[Node], steps: Mapping[str, LoadedStep], secrets: Iterable[str]) -> tuple[Check, ...]:
    """Derive the checks of all nodes: node by node, in the order of the steps."""
    nodes, names = tuple(nodes), frozenset(secrets)
    computes = tuple(node for node in nodes if node.role == "compute")
    return tuple(check for node in nodes for check in _Deriver(node, steps, names, computes).checks())


class _Deriver:
    """The checks of one node."""

    def __init__(
        self, node: Node, steps: Mapping[str, LoadedStep], secrets: frozenset[str], computes: tuple[Node, ...]
    ) -> None:
        self._node = node
        self._computes = computes
        self._steps = [steps[step_id] for step_id in node.steps]
        self._secrets = secrets
        self._last_step_of_user = {db.user: step.id for step in self._steps for db in step.facts.databases}
        self._last_value = {
            (option.path, option.section, option.option): (step.id, option.line)
            for step in self._steps
            for option in step.options
        }

    def checks(self) -> Iterator[Check]:
        seen: dict[str, int] = {}
        for step in self._steps:
            for kind, name, args, command, quick, comes in self._of_step(step):
                check_id = f"{self._node.name}-{step.id}-{kind}-{_slug(self._expand(name, step.id))}"
                seen[check_id] = seen.get(check_id, 0) + 1
                self._require_secrets(args, check_id)
                yield Check(
                    id=check_id if seen[check_id] == 1 else f"{check_id}-{seen[check_id]}",
                    node=self._node.name,
                    step=step.id,
                    kind=kind,
                    guide=step.facts.guide,
                    command=self._shown(self._expand(command, step.id)),
                    quick=quick,
                    args=self._expand(args, step.id),
                    comes=comes,
                )

    def _of_step(self, step: LoadedStep) -> Iterator[_Raw]:
        facts = step.facts
        for kind, name, args, command in (
            *_system(facts),
            *self._databases(step),
            *_queue(facts),
            *_identity(facts),
            *self._options(step),
            *_files(facts),
        ):
            yield kind, name, args, command, kind in QUICK, _opened(kind, facts)
        yield from self._extra(facts)

    def _databases(self, step: LoadedStep) -> Iterator[tuple[str, str, dict[str, Any], str]]:
        for db in step.facts.databases:
            yield "database", db.name, {"name": db.name}, f"CREATE DATABASE {db.name};"
            args = {"user": db.user, "password": f"${{{db.password}}}", "database": db.name}
            yield "db-login", f"{db.user}-{db.name}", args, _grant(db.name, db.user, "%", db.password)
            if db.head:
                yield "schema-head", db.name, {"database": db.name, "command": db.head}, db.head
        for user in dict.fromkeys(db.user for db in step.facts.databases):
            if self._last_step_of_user[user] != step.id:
                continue  # a later step gives this user more: all of it is asserted there
            mine = [db for s in self._steps for db in s.facts.databases if db.user == user]
            for host in GRANT_HOSTS:
                exact = {"user": user, "host": host, "grants": sorted(db.name for db in mine)}
                command = "\n".join(_grant(db.name, user, host, db.password) for db in mine)
                yield "grants", f"{user}-{'any' if host == '%' else host}", exact, command

    def _options(self, step: LoadedStep) -> Iterator[tuple[str, str, dict[str, Any], str]]:
        for option in step.options:
            key = (option.path, option.section, option.option)
            if option.conditional or option.value is None or self._last_value[key] != (step.id, option.line):
                continue
            if any(name not in self._node.env and name not in self._secrets for name in _names(option.value)):
                continue  # a value that only the running script knows
            args = {"path": option.path, "section": option.section, "option": option.option, "value": option.value}
            name = f"{option.path}-{option.section}-{option.option}"
            yield "option", name, args, f"{option.path}: [{option.section}] {option.option} = {option.value}"

    def _extra(self, facts: StepFacts) -> Iterator[_Raw]:
        for check in facts.checks:
            if check.on is not None and check.on != self._node.role:
                continue
            comes = check.comes or _opened(check.kind, facts)
            if not _mentions_compute([check.name, check.args, check.command]):
                yield check.kind, check.name, dict(check.args), check.command, check.quick, comes
                continue
            for compute in self._computes:
                name, args, command = _of_compute([check.name, check.args, check.command], compute)
                name = name if compute.name in name else f"{name}-{compute.name}"
                yield check.kind, name, args, command, check.quick, comes

    def _expand(self, value: Any, step: str) -> Any:
        """Put the node's environment into a value and what is in it; secrets stay `${NAME}`."""
        if isinstance(value, str):
            return _VARIABLE.sub(lambda match: self._variable(match[1], step), value)
        if isinstance(value, dict):
            return {key: self._expand(inner, step) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._expand(inner, step) for inner in value]
        return value

    def _variable(self, name: str, step: str) -> str:
        if name in self._node.env:
            return self._node.env[name]
        if name in self._secrets:
            return f"${{{name}}}"
        raise UsageError(f"step {step} uses ${{{name}}}, which no node's environment has")

    def _require_secrets(self, args: Any, check_id: str) -> None:
        """Refuse a check that needs a password which its node does not get; commands are shown only, and name any."""
        if missing := sorted(_texts_secrets(args, self._secrets) - set(self._node.secrets)):
            raise UsageError(
                f"check {check_id} needs {', '.join(missing)}, which {self._node.name} does not get",
                hint="a node gets the passwords that a script or an account of its own steps uses: `on:` names the "
                "role of the nodes that have it",
            )

    def _shown(self, command: str) -> str:
        """Show a secret by its bare name, as the guide does: NOVA_DBPASS."""
        return _VARIABLE.sub(lambda match: match[1] if match[1] in self._secrets else match[0], command)


def _texts_secrets(value: Any, secrets: frozenset[str]) -> set[str]:
    """Find the secrets in a check's arguments: `${NAME}` in a text, or NAME as all of it."""
    if isinstance(value, str):
        return {value, *_VARIABLE.findall(value)} & secrets
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return set[str]().union(*(_texts_secrets(part, secrets) for part in inner))


def _opened(kind: str, facts: StepFacts) -> Comes | None:
    """Tell what comes with the start of the step's units: their ports."""
    if kind not in OPENED or not facts.units:
        return None
    return Comes(by=facts.units, within=OPENS_WITHIN_S, at_start=True)


def _mentions_compute(value: Any) -> bool:
    return any(f"${{{name}}}" in str(value) for name in ("LAB_COMPUTE", "LAB_COMPUTE_IP"))


def _of_compute(value: Any, compute: Node) -> Any:
    """Put one compute node's name and address into a value and what is in it."""
    if isinstance(value, str):
        value = value.replace("${LAB_COMPUTE}", compute.name)
        return value.replace("${LAB_COMPUTE_IP}", compute.env["MY_IP"])
    if isinstance(value, dict):
        return {key: _of_compute(inner, compute) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_of_compute(inner, compute) for inner in value]
    return value


def _system(facts: StepFacts) -> Iterator[tuple[str, str, dict[str, Any], str]]:
    restart = f"systemctl restart {' '.join(facts.units)}" if facts.units else ""
    for package in facts.packages:
        yield "package", package, {"name": package}, f"apt-get install {package}"
    for unit in facts.units:
        yield "unit", unit, {"name": unit}, f"systemctl enable --now {unit}"
    for unit in facts.units_off:
        yield "unit-off", unit, {"name": unit}, f"systemctl disable --now {unit}"
    for address in facts.sockets:
        yield "socket", address.removeprefix("tcp://"), {"address": address}, restart
    for port in facts.closed:
        yield "port-closed", str(port), {"port": port}, f"ss -Hltnp 'sport = :{port}' (nothing may listen there)"


def _queue(facts: StepFacts) -> Iterator[tuple[str, str, dict[str, Any], str]]:
    for user in facts.queue_users:
        args = {"name": user.name, "password": f"${{{user.password}}}"}
        yield "queue-user", user.name, args, f"rabbitmqctl add_user {user.name} {user.password}"
        command = f'rabbitmqctl set_permissions {user.name} ".*" ".*" ".*"'
        yield "queue-permissions", user.name, {"name": user.name}, command


def _identity(facts: StepFacts) -> Iterator[tuple[str, str, dict[str, Any], str]]:
    for user in facts.users:
        args = {"name": user.name, "password": f"${{{user.password}}}"}
        command = f"openstack user create --domain default --password {user.password} {user.name}"
        yield "identity-user", user.name, args, command
        for role in user.roles:
            role_args = {"user": user.name, "role": role, "project": "service"}
            command = f"openstack role add --project service --user {user.name} {role}"
            yield "identity-role", f"{user.name}-{role}", role_args, command
    for service in facts.services:
        create = f'openstack service create --name {service.name} --description "{service.description}" {service.type}'
        yield "service", service.name, {"name": service.name, "type": service.type}, service.made_by or create
        for interface in INTERFACES:
            endpoint = {"service": service.name, "type": service.type, "interface": interface, "url": service.url}
            create = f"openstack endpoint create --region RegionOne {service.type} {interface} {service.url}"
            yield "endpoint", f"{service.name}-{interface}", endpoint, service.made_by or create
        restart = f"systemctl restart {' '.join(facts.units)}"
        yield "endpoint-answers", service.name, {"url": service.url}, restart


def _files(facts: StepFacts) -> Iterator[tuple[str, str, dict[str, Any], str]]:
    for file in facts.files:
        args = {"path": file.path, "owner": file.owner, "group": file.group, "mode": file.mode}
        command = f"chown {file.owner}:{file.group} {file.path}; chmod {file.mode} {file.path}"
        yield "file", file.path, args, command
    for log in facts.logs:
        yield "log", log, {"path": log}, f"less {log}"


def _grant(database: str, user: str, host: str, password: str) -> str:
    return f"GRANT ALL PRIVILEGES ON {database}.* TO '{user}'@'{host}' IDENTIFIED BY '{password}';"


def _names(value: str) -> list[str]:
    """List the variables in a block's value, those of lower case too."""
    return re.findall(r"\$\{(\w+)\}", value)


def _slug(name: str) -> str:
    """Make a name safe for an id: a-z, 0-9, dot, underscore and dash."""
    return re.sub(r"-{2,}", "-", re.sub(r"[^a-z0-9._]+", "-", name.lower())).strip("-.") or "x"
