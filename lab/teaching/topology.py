"""What a lab is made of, for a drawing: machines, networks, services with their ports, and who talks to whom. Pure.

Everything comes from the plan. Services are the units of the steps; ports are those on which a check expects a program.
Who talks to whom is what the options say: a value that names `controller:PORT`, or a section for the client of another
service.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.inputs.components import load_components
from lab.inputs.release import load_release
from lab.planning.plan import management_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lab.inputs.steps import Role
    from lab.planning.plan import Check, Node, Plan, Step

DATABASE_PORT, QUEUE_PORT, IDENTITY_PORT, METADATA_PORT, HTTP_PORT = "3306", "5672", "5000", "8775", "80"
USERS = "Users"
"""browsers and clients outside of the lab"""
_PORT_OF_OPTION = {
    "rabbit_host": QUEUE_PORT,
    "nova_metadata_host": METADATA_PORT,
    "nova_metadata_ip": METADATA_PORT,
}
"""options that name a host alone; the port is the default"""
_PROXY_OF_SECTION = {"vnc": "6080", "spice": "6082", "serial_console": "6083"}
"""console proxies, by the section that has the address where a compute node's consoles listen"""
_SYSTEM_UNITS = frozenset({"networking"})
"""units that are no service of the lab"""
_DASHBOARD = "openstack-dashboard"


@dataclass(frozen=True)
class Service:
    """A unit that runs, and the ports that it listens on."""

    name: str
    ports: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """What one or more steps with the same title start on a machine."""

    label: str
    services: tuple[Service, ...]

    @property
    def ports(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(port for service in self.services for port in service.ports)


@dataclass(frozen=True)
class Machine:
    """A node; or all compute nodes, which are alike but for their names and addresses."""

    role: Role
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    """on the management network"""
    size: str
    virt_type: str
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class Flow:
    """Who calls whom."""

    caller: str
    """a group's label, or USERS"""
    caller_role: Role | None
    target: str
    target_role: Role
    what: tuple[str, ...]
    """names of databases; empty for everything else"""


@dataclass(frozen=True)
class Net:
    """A network of the lab."""

    kind: str
    cidr: str
    purpose: str
    device: str


@dataclass(frozen=True)
class Topology:
    """All of it."""

    lab: str
    title: str
    machines: tuple[Machine, ...]
    networks: tuple[Net, ...]
    pool: str
    """first and last address for instances"""
    bridge: bool
    """instances reach their network through the Open vSwitch bridge br-provider"""
    flows: tuple[Flow, ...]


def topology(plan: Plan) -> Topology:
    """Collect what there is to draw."""
    release = load_release(plan.release)
    machines = tuple(_machine(plan, role) for role in ("controller", "compute"))
    env = plan.nodes[0].env
    devices = {nic.network: nic.device for nic in plan.nodes[0].nics}
    purposes = {"access": "Vagrant and ssh", "management": "APIs, database, message queue, consoles",
                "provider": "the instances' own network"}  # fmt: skip
    return Topology(
        lab=plan.name,
        title=f"{release.title} on {plan.distribution} {plan.suite}",
        machines=machines,
        networks=tuple(Net(n.kind, str(n.cidr), purposes[n.kind], devices[n.kind]) for n in plan.networks),
        pool=_range(env["PROVIDER_POOL_START"], env["PROVIDER_POOL_END"]),
        bridge=any(check.kind == "ovs" for check in plan.checks),
        flows=_Flows(plan, machines).all(),
    )


def _range(first: str, last: str) -> str:
    """Write a range of addresses short: 203.0.113.101 – .250."""
    network, _, number = last.rpartition(".")
    return f"{first} – .{number}" if first.startswith(f"{network}.") else f"{first} – {last}"


def label_of(step: Step) -> str:
    """Name what a step starts: its title, without the node."""
    return step.title.partition(",")[0]


def _machine(plan: Plan, role: Role) -> Machine:
    nodes = [node for node in plan.nodes if node.role == role]
    first = nodes[0]
    size = (
        f"{first.cpus} CPU{'s' if first.cpus > 1 else ''}, {first.memory_mib / 1024:g} GiB, disk {first.disk_gib} GiB"
    )
    names, addresses = tuple(node.name for node in nodes), tuple(management_address(node) for node in nodes)
    return Machine(role, names, addresses, size, first.virt_type, _groups(plan, first))


def _groups(plan: Plan, node: Node) -> tuple[Group, ...]:
    known = _ports_of_components(plan)
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for step in plan.steps:
        units = [unit for unit in step.units if unit not in _SYSTEM_UNITS]
        if node.name not in step.nodes:
            continue
        units = [unit for unit in units if not any(unit in services for services in found.values())]
        left = _ports(plan, node, step)
        if not units:
            continue
        services = found.setdefault(label_of(step), {})
        for unit in units:
            own = tuple(port for port in left if port in known.get(unit, ()))
            services[unit] = own
            left = [port for port in left if port not in own]
        services[units[0]] = (*services[units[0]], *left)
    return tuple(Group(label, tuple(Service(u, p) for u, p in services.items())) for label, services in found.items())


def _ports(plan: Plan, node: Node, step: Step) -> list[str]:
    """List the ports on which something listens after a step."""
    listeners = [c for c in plan.checks if c.kind == "socket" and (c.node, c.step) == (node.name, step.id)]
    return [str(check.args["address"]).rpartition(":")[2] for check in listeners]


def _ports_of_components(plan: Plan) -> dict[str, set[str]]:
    """Say which unit has which port, as the table of components tells it: "unit nova-api (uwsgi), port 8774"."""
    release = load_release(plan.release)
    found: dict[str, set[str]] = {}
    for component in load_components():
        match = re.search(r"\bunits? ([\w-]+).*?\bports? (\d+)", component.in_release(release) or "")
        if match:
            found.setdefault(match[1], set()).add(match[2])
    return found


class _Flows:
    def __init__(self, plan: Plan, machines: tuple[Machine, ...]) -> None:
        self._plan = plan
        controller, compute = machines
        self._compute = {group.label for group in compute.groups}
        self._owner = {port: group.label for group in controller.groups for port in group.ports}
        self._ports = {
            str(c.args["service"]): re.sub(r".*:(\d+).*", r"\1", str(c.args["url"]))
            for c in plan.checks
            if c.kind == "endpoint"
        }

    def all(self) -> tuple[Flow, ...]:
        """List who calls whom, each pair once."""
        found: dict[tuple[str, Role | None, str, Role], dict[str, None]] = {}
        for caller, caller_role, target, target_role, what in self._found():
            if (caller, caller_role) != (target, target_role):
                names = found.setdefault((caller, caller_role, target, target_role), {})
                names |= dict.fromkeys(what)
        return tuple(Flow(*pair, tuple(what)) for pair, what in found.items())

    def _found(self) -> Iterator[tuple[str, Role | None, str, Role, Iterable[str]]]:
        for port in dict.fromkeys([IDENTITY_PORT, *self._ports.values(), *_PROXY_OF_SECTION.values(), HTTP_PORT]):
            if port in self._owner:
                yield USERS, None, self._owner[port], "controller", ()
        yield from self._dashboard()
        callers: dict[tuple[Role, str], str] = {}
        for check in self._plan.checks:
            if check.kind == "database" and DATABASE_PORT in self._owner:
                label = label_of(self._plan.step(check.step))
                yield label, "controller", self._owner[DATABASE_PORT], "controller", (str(check.args["name"]),)
            if check.kind == "option":
                role = self._plan.node(check.node).role
                directory = str(check.args["path"]).split("/")[2]
                label = callers.setdefault((role, directory), label_of(self._plan.step(check.step)))
                for target, target_role, what in self._targets(check):
                    if target_role == "compute":
                        yield target, "controller", label, "compute", ()
                    else:
                        yield label, role, target, target_role, what

    def _dashboard(self) -> Iterator[tuple[str, Role | None, str, Role, Iterable[str]]]:
        """The dashboard finds all services in the catalog."""
        for step in self._plan.steps:
            if _DASHBOARD in step.packages:
                for port in self._ports.values():
                    if port in self._owner:
                        yield label_of(step), "controller", self._owner[port], "controller", ()

    def _targets(self, check: Check) -> Iterator[tuple[str, Role, Iterable[str]]]:
        """Name what an option points at; for where consoles listen, the proxy that goes there."""
        section, option, value = (str(check.args[key]) for key in ("section", "option", "value"))
        if option.endswith("base_url"):
            return  # for users; the node itself does not go there
        if option.endswith("proxyclient_address"):
            if (port := _PROXY_OF_SECTION.get(section, "")) in self._owner and self._plan.node(
                check.node
            ).role == "compute":
                yield self._owner[port], "compute", ()
            return
        if value.startswith("mysql"):
            return  # a check of its own names the database
        ports = re.findall(r"controller:(\d+)", value)
        ports += [QUEUE_PORT] if value.startswith("rabbit://") else []
        ports += [_PORT_OF_OPTION[option]] if option in _PORT_OF_OPTION else []
        ports += [self._ports[section]] if section in self._ports else []
        for port in ports:
            if port in self._owner:
                yield self._owner[port], "controller", ()
