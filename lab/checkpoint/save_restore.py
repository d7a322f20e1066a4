"""`lab checkpoint`: the complete lab saved, restored, deleted. All nodes or none, whatever happens in between.

The order of operations, and what a crash between any two of them leaves: docs/checkpoints.md.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from typing import TYPE_CHECKING

import libvirt

from lab.base.durable import write_text
from lab.base.errors import HostError, LabError, MachineError
from lab.base.lock import lab_lock
from lab.base.progress import clock
from lab.base.side_by_side import beside
from lab.checkpoint import recovery
from lab.checkpoint.store import Checkpoint, Checkpoints, Manifest, steps_done, tag_of
from lab.host import fence
from lab.host.choice import own_host
from lab.nodes.clock import step_clocks, wait_for_chrony
from lab.nodes.readiness import wait_until_ready
from lab.nodes.ssh import Ssh
from lab.nodes.state import StateFile
from lab.verification.report import Report
from lab.verification.run import verify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.base.progress import Progress
    from lab.checkpoint.memory_and_disks import Machines
    from lab.host.host import Host
    from lab.planning.project import Lab

PER_DISK_MIB = 64
"""for the first changed blocks of a disk, and room to breathe"""


def save(lab: Lab, name: str, progress: Progress) -> Checkpoint:
    """`lab checkpoint save`.

    Raises:
        UsageError: the name is taken, or cannot be one.
        HostError: no space.
        MachineError: not all machines run, or libvirt refuses; the lab runs on as before.
    """
    Checkpoints(lab.build_dir).refuse_taken(name)
    with lab_lock(lab.build_dir, f"lab checkpoint save {name}"):
        host = enter(lab)
        recovery.repair(lab, host, progress.say)
        return take(lab, host, name, progress)


def take(lab: Lab, host: Host, name: str, progress: Progress) -> Checkpoint:
    """Save a checkpoint of a lab that is locked and repaired, on a host that was entered; errors as of `save`."""
    store = Checkpoints(lab.build_dir)
    store.refuse_taken(name)
    with recovery.machines_of(lab.plan, host) as machines:
        running = _running(machines)
        if running:
            _require_space(machines, lab)
        state = StateFile(lab.build_dir / "state.json").load()
        partial = store.begin(name, lab.plan, state)
        stopped = time.time()
        manifest = Manifest(created=stopped, running=running, steps=steps_done(lab.plan, state))
        try:
            if running:
                machines.suspend()
                machines.save_memory(partial)
            for node, snapshot in machines.take_disks(tag_of(name)).items():
                write_text(partial / f"{node}.xml", snapshot, mode=0o600)
            store.begin_restore(name)
            checkpoint = store.finish(partial, manifest)
        except BaseException:
            if partial.exists():  # otherwise it is complete, and the next verb brings its machines back
                with contextlib.suppress(LabError, libvirt.libvirtError, OSError):  # what is left, it repairs too
                    recovery.undo(machines, store, name)
                    store.end_restore()
            raise
        if running:
            machines.revive(checkpoint.directory)
        store.end_restore()
    stood_s = time.time() - stopped
    if running:
        ssh = Ssh(lab.build_dir)
        wait_for_chrony(ssh, lab.plan, step_clocks(ssh, lab.plan))
    progress.say(f"checkpoint {name}: {checkpoint.size_mib()} MiB; the lab was stopped for {clock(stood_s)}")
    return checkpoint


def restore(lab: Lab, name: str, progress: Progress) -> Report | None:
    """`lab checkpoint restore`; gives the result of that point's quick checks, None where the machines are off.

    Raises:
        UsageError: no such checkpoint, half-written, or of another plan. Nothing was changed.
        HostError: the host has no memory for the machines.
        MachineError: a part of it is missing (nothing was changed), or the lab does not come back.
    """
    checkpoint = recovery.fitting(lab.plan, Checkpoints(lab.build_dir), name)
    with lab_lock(lab.build_dir, f"lab checkpoint restore {name}"):
        host = enter(lab, without_machines=True)
        began = time.time()
        with progress.phase("restore", f"restoring checkpoint {name}"):
            recovery.undo_saves(lab, host, progress.say)
            recovery.put_back(lab, host, checkpoint)
        if not checkpoint.manifest.running:
            progress.say("this checkpoint was saved with the machines off, so they are off now; `lab up` boots them")
            return None
        return _wake_and_check(lab, began, checkpoint.manifest.steps, progress)


def delete(lab: Lab, name: str, progress: Progress) -> None:
    """`lab checkpoint delete`: its files, and its snapshots in the disks.

    Raises:
        UsageError: no such checkpoint, or the lab was put away: its disks cannot be reached.
    """
    store = Checkpoints(lab.build_dir)
    if name not in store.half_written():
        store.find(name)
    with lab_lock(lab.build_dir, f"lab checkpoint delete {name}"):
        host = enter(lab)
        recovery.refuse_away(lab, host)
        try:
            recovery.repair(lab, host, progress.say)
        except MachineError:
            if store.restoring() != name:
                raise
            store.end_restore()  # it cannot be brought back: otherwise it could never be removed
        if store.exists(name):  # the repair has removed a half-written one
            drop(lab, host, name)


def drop(lab: Lab, host: Host, name: str) -> None:
    """Delete a complete checkpoint of a lab that is locked and repaired, on a host that was entered."""
    store = Checkpoints(lab.build_dir)
    checkpoint = store.find(name)
    with recovery.machines_of(lab.plan, host) as machines:
        with contextlib.suppress(MachineError):  # of machines that are gone, as their disks are
            recovery.define(machines, lab.plan, checkpoint)
        store.spoil(name)
        recovery.undo(machines, store, name)


@contextlib.contextmanager
def waking(lab: Lab, began: float, progress: Progress) -> Iterator[Ssh]:
    """Set the clocks of machines whose memory was restored; while the block runs, wait for heartbeats since `began`.

    The block gets the connections to the nodes. At its end, all services have reported themselves, and chrony has its
    time.
    """
    ssh = Ssh(lab.build_dir)
    with progress.phase("services", "clocks"):
        off = step_clocks(ssh, lab.plan)
        progress.say(f"clocks set: they were off by up to {clock(max(off.values()))}")

    def wait() -> list[str]:
        return wait_until_ready(lab, ssh, since=began, say=progress.say, running=lambda: not ssh.aborted)

    with beside(wait, on_error=ssh.abort) as result:
        yield ssh
        with progress.phase("services", "heartbeats"):
            for wrong in result():
                progress.say(f"not ready: {wrong}", "not ready:")
            wait_for_chrony(ssh, lab.plan, off)


def _wake_and_check(lab: Lab, began: float, steps: tuple[str, ...], progress: Progress) -> Report:
    """Run the quick checks of some steps while the services wake; what fails meanwhile is asked again afterwards."""
    early = Report(())
    with waking(lab, began, progress) as ssh:
        if steps:  # to `verify`, none would be all
            with progress.phase("checks", "quick checks of the steps that were done"):
                count, sockets = progress.counter("checks"), ssh.sockets
                early = verify(lab.plan, lab.build_dir, steps, quick=True, on_result=count, sockets=sockets)
    again = [check.id for check in early.checks if not check.good]
    if not again:
        return early
    with progress.phase("checks", f"once more, now that the services are ready: {len(again)} checks"):
        return early.renewed(verify(lab.plan, lab.build_dir, ids=again, quick=True, sockets=sockets))


def _running(machines: Machines) -> bool:
    """Tell whether all machines run (or all are off)."""
    states = machines.states()
    for state in ("running", "shut off"):
        if set(states.values()) == {state}:
            return state == "running"
    raise MachineError(
        "some machines of the lab run and some are off",
        detail="\n".join(f"{node}: {state}" for node, state in states.items()),
        hint="`lab up` starts them",
    )


def _require_space(machines: Machines, lab: Lab) -> None:
    """Refuse where the memory might not fit; compressed it takes less."""
    need = machines.memory_mib() + PER_DISK_MIB * len(lab.plan.nodes)
    free = shutil.disk_usage(lab.build_dir).free // 2**20
    if need > free:
        raise HostError(
            f"no space for a checkpoint in {lab.build_dir}: found {free} MiB free, expected {need} MiB",
            hint="`lab checkpoint list` shows the size of the others, `lab checkpoint delete NAME` removes one",
        )


def enter(lab: Lab, *, without_machines: bool = False) -> Host:
    """Start and enter the host of a lab; `without_machines` as of `recovery.start_host`."""
    host = own_host(lab.plan, lab.build_dir)
    recovery.start_host(lab, host, without_machines=without_machines)
    fence.close(host, lab.plan, lab.build_dir)
    host.enter()
    return host
