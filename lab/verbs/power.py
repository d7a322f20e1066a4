"""`lab halt`, `lab resume`, `lab pause`, `lab unpause`: a lab that is not needed now, and is later."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lab.base.errors import UsageError
from lab.base.lock import lab_lock
from lab.base.progress import clock
from lab.checkpoint import recovery
from lab.host import fence
from lab.host.choice import own_host
from lab.machines import power as switch
from lab.machines.power import OFF, SHUTDOWN_LIMIT_S
from lab.nodes.clock import TOLERANCE_S, step_clocks, wait_for_chrony
from lab.nodes.readiness import wait_until_ready
from lab.nodes.ssh import Ssh
from lab.nodes.state import StateFile
from lab.verification.report import Report
from lab.verification.run import verify

if TYPE_CHECKING:
    from lab.base.progress import Progress
    from lab.host.host import Host
    from lab.host.libvirt import State
    from lab.planning.plan import Check
    from lab.planning.project import Lab

INSTANCE_LIMIT_S = 60.0
"""for the first instances to have booted again; on a KVM host"""


def halt(lab: Lab, progress: Progress) -> bool:
    """Shut all nodes down: the computes, then the controller, whose services they use to the end.

    Gives whether any was on.
    """
    host = own_host(lab.plan, lab.build_dir)
    with lab_lock(lab.build_dir, "lab halt"):
        states = _states(lab, host)
        if all(state in OFF for state in states.values()):
            return False
        Ssh(lab.build_dir).close()
        controller, *computes = [node.domain for node in lab.plan.nodes]
        limit_s = SHUTDOWN_LIMIT_S * max(1.0, lab.plan.wait_factor)
        with host.hypervisor() as hypervisor:
            for title, names in (("compute nodes", computes), ("controller", [controller])):
                with progress.phase(title, f"shutting down: {', '.join(names)}"):
                    switch.shut_down(hypervisor, names, timeout_s=limit_s, say=progress.say)
    return True


def pause(lab: Lab) -> bool:
    """Stop the nodes' processors; they keep their memory, and cost the host nothing else.

    Gives whether any ran.

    Raises:
        UsageError: the lab is off.
    """
    host = own_host(lab.plan, lab.build_dir)
    with lab_lock(lab.build_dir, "lab pause"):
        states = _states(lab, host)
        if not any(state in ("running", "paused") for state in states.values()):
            raise UsageError(f"lab {lab.plan.name} is not running: nothing to pause", hint="`lab resume` boots it")
        Ssh(lab.build_dir).close()
        with host.hypervisor() as hypervisor:
            return bool(switch.pause(hypervisor, [node.domain for node in lab.plan.nodes]))


def unpause(lab: Lab, progress: Progress) -> Report | None:
    """Let a paused lab continue, and wait for its services; gives its quick checks, None where it was not paused.

    Raises:
        UsageError: the lab is off.
    """
    states = _states(lab, own_host(lab.plan, lab.build_dir))
    if "paused" not in states.values():
        if all(state == "running" for state in states.values()):
            return None
        raise UsageError(f"lab {lab.plan.name} is halted, not paused", hint="`lab resume` boots it")
    return resume(lab, progress, command="lab unpause")


def resume(lab: Lab, progress: Progress, *, command: str = "lab resume", check: bool = True) -> Report:
    """Bring a lab back as it was, from whatever state: off, paused, its libvirtd gone, the machine rebooted.

    Gives its quick checks; nothing without `check`. No step is run.

    Raises:
        LabError: a machine is missing, does not start or does not answer.
    """
    host = own_host(lab.plan, lab.build_dir)
    ssh = Ssh(lab.build_dir)
    with lab_lock(lab.build_dir, command):
        _states(lab, host)
        host.enter()
        since = time.time()
        with progress.phase("machines", "virtual machines"), host.hypervisor() as hypervisor:
            for network in lab.plan.networks:
                hypervisor.ensure_network(network)
            woken = switch.switch_on(hypervisor, [node.domain for node in lab.plan.nodes])
            progress.say(f"started: {', '.join(woken)}" if woken else "all run already")
            off = step_clocks(ssh, lab.plan)
            if max(off.values()) > TOLERANCE_S:
                progress.say(f"clocks set: they were off by up to {clock(max(off.values()))}")
        with progress.phase("services", "waiting for the services"):
            # Services that ran all the time have reported themselves within the last minute and a half.
            for wrong in wait_until_ready(lab, ssh, since=since if woken else since - 90, say=progress.say):
                progress.say(f"not ready: {wrong}", "not ready:")
            wait_for_chrony(ssh, lab.plan, off)
        if not check:
            return Report(())
        with progress.phase("verify", "quick checks"):
            return _checked(lab, progress)


def _states(lab: Lab, host: Host) -> dict[str, State]:
    """Tell the states of the lab's domains; starts the host's libvirtd where it is gone.

    Raises:
        UsageError: the lab has no machines.
    """
    domains = [node.domain for node in lab.plan.nodes]
    recovery.start_host(lab, host)
    fence.close(host, lab.plan, lab.build_dir)
    with host.hypervisor() as hypervisor:
        states = hypervisor.states(domains)
    if all(state == "absent" for state in states.values()):
        recovery.refuse_away(lab, host)
        raise recovery.no_machines(lab)
    return states


def _checked(lab: Lab, progress: Progress) -> Report:
    """Run the quick checks of what is done, and before them wait for the first instances, which boot last."""
    done = StateFile(lab.build_dir / "state.json").load().steps
    instances = [c for c in lab.plan.checks if c.kind in _INSTANCE_KINDS and f"{c.node}/{c.step}" in done]
    deadline = time.monotonic() + INSTANCE_LIMIT_S * max(1.0, lab.plan.wait_factor)
    while instances and _still_booting(lab, instances) and time.monotonic() < deadline:
        progress.note("instances", "booting")
    ids = [check.id for check in lab.plan.checks if f"{check.node}/{check.step}" in done]
    return verify(lab.plan, lab.build_dir, ids=ids, quick=True, on_result=progress.counter("checks"))


_INSTANCE_KINDS = ("instance-active", "instance-console")


def _still_booting(lab: Lab, instances: list[Check]) -> bool:
    """Tell whether an instance is active, and has not said on its console that it booted. Each look takes a while."""
    found = verify(lab.plan, lab.build_dir, ids=[check.id for check in instances]).checks
    kinds = {check.id: check.kind for check in instances}
    active = all(check.good for check in found if kinds[check.id] == "instance-active")
    return active and not all(check.good for check in found)
