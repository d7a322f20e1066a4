"""`lab up`: the story from a spec to a verified lab."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lab import overview, project, ui
from lab import report as reports
from lab.boxes import ensure_for_plan, line_of, show_to_vagrant
from lab.generator.files import write_tree
from lab.generator.render import render
from lab.runtime import records
from lab.runtime.clock import TOLERANCE_S, step_clock
from lab.runtime.host_facts import count_for, host_facts
from lab.runtime.lock import lab_lock
from lab.runtime.schedule import Job, jobs_of
from lab.runtime.settle import settle
from lab.runtime.ssh import Ssh
from lab.runtime.standing import host_for
from lab.runtime.state import StateFile
from lab.runtime.steps import StepRunner
from lab.runtime.vagrant import Vagrant
from lab.spec.load import load_spec
from lab.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

    from lab.box.store import Box
    from lab.project import Lab
    from lab.report import Report
    from lab.runtime.host import Host

SSH_LIMIT_S = 60
"""for a VM that runs to answer; on a KVM host"""


def up(spec_file: Path, build_dir: Path | None, *, to_step: str | None = None) -> bool:
    """Bring a lab up; whether all its checks pass.

    Raises:
        LabError: any of its kinds, with the state such that `lab up` goes on and `lab down` removes.
    """
    progress = ui.Progress()
    started = time.monotonic()
    spec = load_spec(spec_file)
    directory = project.build_dir_of(spec_file, build_dir, spec.name)
    with progress.live():
        with progress.phase("host", "looking at the host"):
            known = host_facts(spec.accelerator)
            plan = project.decide(spec, known.facts)
            host = host_for(plan, directory)
            if to_step is not None:
                overview.require_step(plan, to_step)
            project.refuse_rebuild(project.load_plan(directory), plan)
            overview.require_fit(plan, count_for(plan, host))
            progress.say(f"accelerator {plan.accelerator}: {known.reason}")
            progress.say(f"host {host}")
        with lab_lock(directory, "lab up"):
            lab = project.from_spec(spec_file, build_dir, known.facts)
            records.save(records.record_of(lab.plan, directory, host.mode))
            runner = _machines(lab, host, progress, spec.box.mirror)
            _steps(lab, runner, progress, to_step)
            result = _verified(lab, runner, progress, to_step)
    overview.print_summary(lab, ui.timing_table(lab.plan, progress.phases, runner.seconds, time.monotonic() - started))
    reports.print_report(ui.console, lab.plan, result)
    return result.good


def _machines(lab: Lab, host: Host, progress: ui.Progress, mirror: str | None) -> StepRunner:
    """Boxes, the host, the VMs, and the payload on each of them."""
    ssh = Ssh(lab.build_dir)
    standing = count_for(lab.plan, host).running == {node.name for node in lab.plan.nodes} and ssh.configured()
    boxes: list[Box] = []
    began = time.time()
    if not standing:  # the machines that run were made of a box that was right then
        with progress.phase("boxes", "boxes"):
            boxes = ensure_for_plan(lab.plan, mirror, lambda event: progress.say(line_of(event)))
    with progress.phase("machines", f"virtual machines: {', '.join(n.name for n in lab.plan.nodes)}"):
        files = render(lab.plan, lab.secrets)
        write_tree(lab.build_dir, files)
        host.start()
        host.enter()
        if not standing:
            with host.hypervisor() as hypervisor:
                for network in lab.plan.networks:
                    hypervisor.ensure_network(network)  # Vagrant would give it a bridge that another lab may take too
            show_to_vagrant(boxes, host)
            vagrant = Vagrant(lab.build_dir)
            vagrant.up(on_line=lambda node, text: progress.note(node or "vagrant", text))
            ssh.write_config(vagrant.ssh_config())
        for node in lab.plan.nodes:
            ssh.wait_ready(node.name, timeout_s=SSH_LIMIT_S * lab.plan.wait_factor)
            off = step_clock(ssh, node.name)
            if abs(off) > TOLERANCE_S:
                progress.say(f"{node.name:<11} clock set: it was off by {off:.0f} s")
            ssh.push(node.name, lab.build_dir / "nodes" / node.name, "/opt/lab")
    state = StateFile(lab.build_dir / "state.json")
    if not standing and state.load().steps:
        with progress.phase("services", "waiting for what was done before to be well"):
            settle(lab, ssh, since=began, say=progress.say)
    return StepRunner(lab, files, ssh, state, progress)


def _steps(lab: Lab, runner: StepRunner, progress: ui.Progress, to_step: str | None) -> None:
    """Run what is not proven done."""
    with progress.phase("steps", "provisioning"):
        known = runner.known_done()
        if known:
            quick = verify(lab.plan, lab.build_dir, steps=tuple(sorted({j.step for j in known})), quick=True)
            drift = _failing(quick) & known
            for job in sorted(drift):
                progress.say(f"{job.node:<11} {job.step:<24} [yellow]drifted[/yellow]: runs again")
            runner.forget(drift)
            known -= drift
        runner.run(jobs_of(lab.plan, to_step=to_step), known)
        Vagrant(lab.build_dir).mark_provisioned([node.name for node in lab.plan.nodes])


def _verified(lab: Lab, runner: StepRunner, progress: ui.Progress, to_step: str | None) -> Report:
    """Run the suite; what it finds broken is provisioned once more, then asked again."""
    steps = tuple(dict.fromkeys(job.step for job in jobs_of(lab.plan, to_step=to_step)))
    with progress.phase("verify", "verification"):
        result = verify(lab.plan, lab.build_dir, steps=steps, on_result=progress.counter("checks"))
    broken = _failing(result)
    if not broken:
        return result
    with progress.phase("mend", "mending what the verification found"):
        for check in result.checks:
            if not check.good:
                progress.say(f"{check.id} [yellow]{check.outcome}[/yellow]: its step runs again")
        runner.run([job for job in jobs_of(lab.plan) if job in broken], ())
        return verify(lab.plan, lab.build_dir, steps=steps, on_result=progress.counter("checks"))


def _failing(result: Report) -> set[Job]:
    return {Job(check.node, check.step) for check in result.checks if not check.good}
