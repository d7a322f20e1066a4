"""The first phases of `lab up`: boxes, machines that leave and come, nodes that answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.base.addresses import domain_name
from lab.checkpoint import recovery
from lab.checkpoint.store import Checkpoints
from lab.generator.files import write_tree
from lab.host import fence
from lab.host.ownership import own_of
from lab.host.private import why_root
from lab.machines import reconcile
from lab.machines.boxes import age_lines
from lab.machines.shrink import Leaving, Shrink
from lab.nodes.clock import SSH_LIMIT_S, TOLERANCE_S
from lab.nodes.handshake import first_contact
from lab.nodes.readiness import wait_until_ready

if TYPE_CHECKING:
    from lab.box.store import Box
    from lab.machines.reconcile import Machines
    from lab.planning.plan import Plan
    from lab.verbs.run import Run


def start_host(run: Run) -> None:
    """Start what the machines run in, and close what this machine and the nodes need not reach of each other."""
    run.host.start()
    if why := fence.close(run.host, run.plan, run.lab.build_dir):
        open_ = "nodes and this machine reach each other"
        run.progress.say(f"{open_} (docs/security.md): {why}", open_)
    if why := why_root(run.host):
        run.progress.say(f"QEMU runs as root: {why}", "QEMU runs as root")


def see_to_boxes(run: Run, mirror: str | None) -> list[Box]:
    """Build the boxes of the machines that are missing; before this process moves onto the lab's host."""
    with run.host.hypervisor() as hypervisor:
        wanted = reconcile.look(run.plan, run.lab.build_dir, hypervisor, run.ssh.nodes())
    boxes = reconcile.boxes_for(run.plan, wanted, run.progress, mirror)
    for line in age_lines(run.plan, updates=bool(boxes)):
        run.progress.say(line, line)
    return boxes


def finish_checkpoints(run: Run) -> None:
    """Complete a save or a restore that was cut short.

    Raises:
        UsageError: the lab was removed, its checkpoints were kept.
    """
    if Checkpoints(run.lab.build_dir).root.exists():
        run.host.enter()
        recovery.refuse_away(run.lab, run.host)
        recovery.repair(run.lab, run.host, run.progress.say)


def start_machines(run: Run) -> Machines:
    """Start the machines that are off; tell which are to be made."""
    with run.progress.phase("machines", "checking the virtual machines"):
        run.host.enter()
        with run.host.hypervisor() as hypervisor:
            wanted = reconcile.look(run.plan, run.lab.build_dir, hypervisor, run.ssh.nodes())
            reconcile.start_off(run.plan, wanted, hypervisor, run.ssh, run.progress)
    return wanted


def take_out_nodes(run: Run, existing: Plan | None, wanted: Machines) -> None:
    """Take out the nodes that the spec no longer has, and those whose machines are lost and will be made again."""
    plan, state = run.plan, run.state.load()
    names = {node.name for node in plan.nodes}
    before = [*(node.name for node in (existing.nodes if existing else ())), *run.ssh.nodes()]
    going = [Leaving(name, domain_name(plan.name, name)) for name in dict.fromkeys(before) if name not in names]
    lost = [Leaving(name, plan.node(name).domain) for name in wanted.make if state.knows(name)]
    if not going and not lost:
        return
    shrink = Shrink(run.host, run.ssh, run.state, run.progress, plan.wait_factor, run.lab.secrets.mask)
    told = [f"{node.name} (not in the spec any more)" for node in going]
    told += [f"{node.name} (its machine was lost)" for node in lost]
    with run.progress.phase("shrink", f"removing from OpenStack: {', '.join(told)}"):
        if reconcile.CONTROLLER not in wanted.make:
            shrink.out_of_openstack([*going, *lost])
        shrink.machines([*going, *lost], own_of(plan.name, run.lab.build_dir))


def write_build_directory(run: Run) -> None:
    """Write the plan and all that follows from it.

    Not before the nodes that leave are out: a `lab up` that is interrupted until then continues from the old plan.
    """
    write_tree(run.lab.build_dir, run.files)


def make_machines(run: Run, wanted: Machines, boxes: list[Box]) -> None:
    """Make the machines that are missing, and record those that Vagrant was interrupted with."""
    if wanted.make or wanted.adopt:
        reconcile.make(run.plan, wanted, boxes, run.host, run.ssh, run.progress)
    run.watch.start()


def wait_for_nodes(run: Run, wanted: Machines, since: float) -> None:
    """Wait until all nodes answer, and what was done runs again on those that were off or stopped."""
    were_stopped = False
    with run.progress.phase("nodes", "the nodes answer"):
        limit_s = SSH_LIMIT_S * run.plan.wait_factor
        nodes = [node.name for node in run.plan.nodes]
        for name, found in first_contact(run.ssh, run.lab.build_dir, nodes, timeout_s=limit_s).items():
            if abs(found.clock_off_s) > TOLERANCE_S:
                were_stopped = True
                run.progress.say(f"{name:<11} clock set: it was off by {found.clock_off_s:.0f} s")
    if (wanted.start or wanted.adopt or were_stopped) and run.state.load().steps:
        with run.progress.phase("services", "waiting for the services of the steps that were done"):
            wait_for_services(run, since)


def wait_for_services(run: Run, since: float) -> None:
    """Wait until the services of the finished steps have reported themselves, after `since` (time.time())."""
    wait_until_ready(run.lab, run.ssh, since=since, say=run.progress.say, running=lambda: run.watch.all_run)
    run.watch.check()
