"""The lab's virtual machines: what each of them needs, and doing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.base.errors import MachineError
from lab.host import records
from lab.host.ownership import own_of
from lab.host.removal import refuse_in_the_way, remove
from lab.machines.boxes import ensure_for_plan, line_of, show_to_vagrant
from lab.machines.console import console_of, stands_still
from lab.machines.vagrant import Vagrant

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lab.base.progress import Progress
    from lab.box.store import Box
    from lab.host.host import Host
    from lab.host.libvirt import Hypervisor
    from lab.nodes.ssh import Ssh
    from lab.planning.plan import Node, Plan

CONTROLLER = "controller"
ABSENT = "there is none"


@dataclass(frozen=True)
class Machines:
    """What the machines of a plan need. Node names."""

    make: dict[str, str]
    """to be made, or made again, with why"""
    start: dict[str, str]
    """complete, but not running: what they do instead"""
    adopt: tuple[str, ...] = ()
    """complete, but their addresses are not recorded: made by hand, or by a `lab up` that ended while they booted"""

    stuck: frozenset[str] = frozenset()
    """of those, the ones that libvirt takes for running, but whose boot does not go on"""

    def __bool__(self) -> bool:
        return bool(self.make or self.start or self.adopt)


def look(plan: Plan, build_dir: Path, hypervisor: Hypervisor, known: Iterable[str]) -> Machines:
    """Compare the plan's machines with those of libvirt; changes nothing.

    A machine is complete when `lab up` has recorded its address (`known`), or when it is the one that Vagrant means and
    has all its interfaces, as one that was made by hand. Vagrant adds interfaces last: a machine that it did not make
    to the end would start without them.
    """
    vagrant, noted = Vagrant(build_dir), frozenset(known)
    states = hypervisor.states(node.domain for node in plan.nodes)
    make: dict[str, str] = {}
    start: dict[str, str] = {}
    adopt: list[str] = []
    stuck = {
        node.name: f"stuck ({why})"
        for node in plan.nodes
        if states[node.domain] == "running" and (why := stands_still(console_of(build_dir, node.name)))
    }
    for node in plan.nodes:
        state = stuck.get(node.name, states[node.domain])
        if state == "absent":
            make[node.name] = ABSENT
        elif node.name not in noted:
            if _is_complete(node, vagrant, hypervisor):
                adopt.append(node.name)
            else:
                make[node.name] = "it was not completely created"
        elif state != "running":
            start[node.name] = state
    if CONTROLLER in make:  # the computes belong to an OpenStack that is gone
        for node in plan.nodes:
            if node.name in noted:
                make.setdefault(node.name, "its controller is gone")
                start.pop(node.name, None)
    return Machines(make, start, tuple(adopt), frozenset(stuck.keys() - make.keys()))


def _is_complete(node: Node, vagrant: Vagrant, hypervisor: Hypervisor) -> bool:
    wanted = {nic.mac.lower() for nic in node.nics}
    return vagrant.machine_id(node.name) == hypervisor.uuid(node.domain) and wanted <= hypervisor.macs(node.domain)


def start_off(plan: Plan, machines: Machines, hypervisor: Hypervisor, ssh: Ssh, progress: Progress) -> None:
    """Start the machines that are complete and do not run, and make or start the networks that all need.

    Vagrant would give a network that it makes the next free virbrN, which another lab may take too.

    One to be adopted whose boot does not go on is only switched off: Vagrant starts it.
    """
    active = hypervisor.networks(network.name for network in plan.networks)
    for network in plan.networks:
        if not active.get(network.name):
            hypervisor.ensure_network(network)
    for name in sorted(machines.stuck):
        progress.say(f"{name:<11} is stuck: switching it off")
        hypervisor.power_off(plan.node(name).domain)
    for name, state in machines.start.items():
        progress.say(f"{name:<11} is {state}: starting it")
        ssh.drop([name])
        hypervisor.start(plan.node(name).domain)


def boxes_for(plan: Plan, machines: Machines, progress: Progress, mirror: str | None) -> list[Box]:
    """Give the boxes of the machines to be made. Not from a private host, which has no way to a mirror."""
    if not machines.make:
        return []
    with progress.phase("boxes", "boxes"):
        return ensure_for_plan(plan, mirror, lambda event: progress.say(line_of(event)), nodes=machines.make)


def make(plan: Plan, machines: Machines, boxes: list[Box], host: Host, ssh: Ssh, progress: Progress) -> None:
    """Make machines, and only these, of their boxes; what is left of earlier ones of their names is removed first.

    Those to be adopted are started by Vagrant too, which waits for them and knows their addresses.
    """
    names = list(machines.make)
    vagrant = Vagrant(ssh.build_dir)
    for name, why in machines.make.items():
        if why != ABSENT:
            progress.say(f"{name:<11} is created again: {why}")
    ssh.forget(names)
    domains = [plan.node(name).domain for name in names]
    with host.hypervisor() as hypervisor:
        remove(hypervisor, domains, own=own_of(plan.name, ssh.build_dir))
        if not hypervisor.exclusive:
            refuse_in_the_way(hypervisor, domains)
            # Before Vagrant starts: whatever cuts it short, what it made is then known to be the lab's.
            records.note_volumes(records.lab_key(plan.name, ssh.build_dir), [f"{domain}.img" for domain in domains])
    vagrant.forget(names)
    show_to_vagrant(boxes, host)
    for name in (*names, *machines.stuck):  # what an earlier machine said is not what this one says
        console_of(ssh.build_dir, name).unlink(missing_ok=True)
    names += machines.adopt
    with progress.phase("machines", f"virtual machines: {', '.join(names)}"):
        vagrant.up(
            names,
            on_line=lambda node, text: progress.note(node or "vagrant", text),
            check=lambda: _require_progress(host, ssh.build_dir, names),  # Vagrant itself would wait for half an hour
        )
        ssh.add_config(vagrant.ssh_config(names))


def _require_progress(host: Host, build_dir: Path, names: Iterable[str]) -> None:
    """Refuse a libvirtd that is silent, and a machine whose boot does not go on."""
    host.hypervisor().close()
    for name in names:
        console = console_of(build_dir, name)
        if why := stands_still(console):
            raise MachineError(
                f"{name} does not boot: {why}",
                hint=f"its console: {console}; `lab up` starts it again, `lab down` removes the lab",
            )
