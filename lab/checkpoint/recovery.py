"""Completes a save or a restore that was interrupted, so that all machines of a lab are in one state.

    BUILD/checkpoints/NAME.partial   a save has begun; no machine that it stopped has run since
    BUILD/checkpoints/restoring      a complete checkpoint is what the machines are to be, whatever they are now

The order of operations, and what a crash between any two of them leaves: docs/checkpoints.md.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from lab.base.errors import DamagedFileError, HostError, MachineError, UsageError
from lab.base.lock import lab_lock
from lab.checkpoint.memory_and_disks import Machines
from lab.checkpoint.store import Checkpoint, Checkpoints, build_dir_of, tag_of
from lab.host.capacity import IN_MEMORY, count
from lab.host.relocate import relocated
from lab.nodes.clock import step_clocks, wait_for_chrony
from lab.nodes.ssh import Ssh
from lab.nodes.ssh_config import SshConfig
from lab.nodes.state import StateFile
from lab.planning import project
from lab.planning.changes import compare
from lab.planning.hostfit import fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.host.host import Host
    from lab.planning.plan import Plan
    from lab.planning.project import Lab

    Say = Callable[[str], None]


def repair(lab: Lab, host: Host, say: Say) -> None:
    """Complete a save or a restore that was interrupted, if there was one. The caller has the lock.

    Raises:
        LabError: as of `lab checkpoint restore`.
    """
    store = Checkpoints(lab.build_dir)
    if not store.unfinished():
        return
    undo_saves(lab, host, say)
    name = store.restoring()
    # All are off between two states: if all run, none was stopped yet, or all are back.
    # A checkpoint that is not there: the save was undone above.
    if name is not None and not all_run(lab, host) and name in {each.name for each in store.complete()}:
        say(f"checkpoint {name} was not restored completely: restoring it now")
        put_back(lab, host, fitting(lab.plan, store, name))
    store.end_restore()
    ssh = Ssh(lab.build_dir)
    # Where a power cut has emptied ssh_config, `lab up` finds the addresses first, and then sets the clocks itself.
    if all_run(lab, host) and {node.name for node in lab.plan.nodes} <= set(ssh.nodes()):
        wait_for_chrony(ssh, lab.plan, step_clocks(ssh, lab.plan))


def repair_for_reader(lab: Lab, host: Host, say: Say) -> None:
    """Do as `repair` for a verb that has no lock, if there is anything to repair."""
    if Checkpoints(lab.build_dir).unfinished():
        with lab_lock(lab.build_dir, "repairing the lab"):
            repair(lab, host, say)


def start_host(lab: Lab, host: Host, *, without_machines: bool = False) -> None:
    """Start the host of a lab's machines. For a lab that has none it is not started: it would be left running.

    `without_machines` starts it all the same: the caller makes machines there.

    Raises:
        UsageError: the lab has no machines, or was put away.
    """
    if not without_machines and not host.is_running() and not host.has_machines():
        refuse_away(lab, host)
        raise no_machines(lab)
    host.start()


def no_machines(lab: Lab) -> UsageError:
    """Make the error of a verb that needs machines, for a lab that has none."""
    return UsageError(f"lab {lab.plan.name} has no virtual machines", hint="`lab up` makes them")


def is_away(plan: Plan, host: Host) -> bool:
    """Tell whether the machines are gone while their checkpoints are kept (`lab down --keep-checkpoints`)."""
    if not host.is_running() and not host.has_machines():
        return True
    with machines_of(plan, host) as machines:
        return set(machines.states().values()) == {"absent"}


def refuse_away(lab: Lab, host: Host) -> None:
    """Refuse a lab that was put away.

    Raises:
        UsageError: it is such a lab.
    """
    store = Checkpoints(lab.build_dir)
    if store.any() and is_away(lab.plan, host):
        raise UsageError(
            "the lab was removed, its checkpoints were kept",
            detail=f"checkpoints: {', '.join(each.name for each in store.complete())}",
            hint="`lab checkpoint restore NAME` restores it, `lab down` removes its checkpoints",
        )


def put_back(lab: Lab, host: Host, checkpoint: Checkpoint) -> None:
    """Replace the lab by the checkpoint. Before `begin_restore` nothing is changed that anybody would miss."""
    store = Checkpoints(lab.build_dir)
    state = StateFile(checkpoint.directory / "state.json").load()
    _require_memory(lab.plan, host)
    with host.hypervisor() as hypervisor:
        for network in lab.plan.networks:
            hypervisor.ensure_network(network)
    with machines_of(lab.plan, host) as machines:
        define(machines, lab.plan, checkpoint)
        names = [node.name for node in lab.plan.nodes] if checkpoint.manifest.running else []
        if broken := [name for name in names if not machines.memory_is_complete(checkpoint.directory, name)]:
            raise MachineError(
                f"checkpoint {checkpoint.name} is damaged: the memory of {', '.join(broken)} is incomplete",
                hint=f"`lab checkpoint delete {checkpoint.name}` removes it",
            )
        store.begin_restore(checkpoint.name)
        Ssh(lab.build_dir).close()
        machines.destroy()
        machines.revert_disks(checkpoint.tag)
        SshConfig(lab.build_dir).forget_keys(node.name for node in lab.plan.nodes)  # one may have been made since
        StateFile(lab.build_dir / "state.json").save(state)
        if checkpoint.manifest.running:
            machines.revive(checkpoint.directory)
        store.end_restore()


def undo_saves(lab: Lab, host: Host, say: Say) -> None:
    """Undo the saves that did not end."""
    store = Checkpoints(lab.build_dir)
    for name in store.half_written():
        say(f"the save of checkpoint {name} was interrupted: undoing it")
        with machines_of(lab.plan, host) as machines:
            undo(machines, store, name)


def undo(machines: Machines, store: Checkpoints, name: str) -> None:
    """Take back a save that did not end: the lab as before, nothing left of the checkpoint."""
    if store.partial(name).exists():
        machines.repair(store.partial(name))
    machines.drop_disks(tag_of(name))
    store.remove(name)


def fitting(plan: Plan, store: Checkpoints, name: str) -> Checkpoint:
    """Find a checkpoint, and refuse one of another plan."""
    checkpoint = store.find(name)
    try:
        then = project.load_plan(checkpoint.directory)
        StateFile(checkpoint.directory / "state.json").load()
    except DamagedFileError as error:
        raise MachineError(error.message, hint=f"`lab checkpoint delete {name}` removes that checkpoint") from None
    if then is None:
        raise MachineError(f"checkpoint {name} has lost its plan.json", hint=f"`lab checkpoint delete {name}`")
    known = {step.id for step in plan.steps}
    differences = compare(then, plan).lines() + [
        f"step {step}: done there -> not in the plan" for step in checkpoint.manifest.steps if step not in known
    ]
    if differences:
        raise UsageError(
            f"checkpoint {name} belongs to another plan than the existing lab",
            detail="\n".join(differences),
            hint=f"`lab checkpoint delete {name}` removes it; `lab checkpoint list` shows the others",
        )
    return checkpoint


def define(machines: Machines, plan: Plan, checkpoint: Checkpoint) -> None:
    """See that libvirt knows the machines and snapshots of a checkpoint; MachineError where they are others."""
    for node in plan.nodes:
        try:
            snapshot = (checkpoint.directory / f"{node.name}.xml").read_text()
            snapshot = relocated(snapshot, build_dir_of(checkpoint.directory), node.name)
        except OSError as error:
            hint = f"`lab checkpoint delete {checkpoint.name}` removes it"
            raise MachineError(f"checkpoint {checkpoint.name} is damaged: {error}", hint=hint) from None
        machines.define(node.name, snapshot, checkpoint.tag)


def _require_memory(plan: Plan, host: Host) -> None:
    """Refuse where machines that are off now would not fit into the host's memory; a paused one has its own."""
    with machines_of(plan, host) as machines:
        there = frozenset(node for node, state in machines.states().items() if state in IN_MEMORY)
    numbers = count(host.pool_dir, running=there)
    if problems := [text for text in fit(plan, numbers).problems if text.startswith("memory:")]:
        raise HostError("the lab does not fit on this host", detail="\n".join(problems))


def all_run(lab: Lab, host: Host) -> bool:
    """Tell whether all machines run."""
    with machines_of(lab.plan, host) as machines:
        return set(machines.states().values()) == {"running"}


@contextlib.contextmanager
def machines_of(plan: Plan, host: Host) -> Iterator[Machines]:
    """Connect to the host's libvirt for the machines of a plan."""
    with host.hypervisor() as hypervisor:
        yield Machines(hypervisor, {node.name: node.domain for node in plan.nodes})
