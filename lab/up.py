"""`lab up`: the story from a spec to a verified lab."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lab import checkpoint, overview, project, ui, whole
from lab import report as reports
from lab.boxes import ensure_for_plan, line_of, show_to_vagrant
from lab.generator.files import write_tree
from lab.generator.render import render
from lab.report import Report
from lab.runtime.checkpoints import Checkpoints
from lab.runtime.clock import TOLERANCE_S, step_clock
from lab.runtime.doctor import require_no_collision
from lab.runtime.host import choose_host
from lab.runtime.host_facts import count_for, host_facts
from lab.runtime.lock import lab_lock
from lab.runtime.schedule import MACHINES, Job, jobs_of
from lab.runtime.ssh import Ssh
from lab.runtime.state import StateFile
from lab.runtime.steps import StepRunner
from lab.runtime.vagrant import Vagrant
from lab.spec.load import load_spec
from lab.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

    from lab.box.store import Box
    from lab.project import Lab
    from lab.runtime.host import Host

SSH_LIMIT_S = 60
"""for a VM that runs to answer; on a KVM host"""


def up(spec_file: Path, build_dir: Path | None, *, to_step: str | None = None, checkpoints: bool = False) -> bool:
    """Bring a lab up; whether all its checks pass.

    With `checkpoints` chapter by chapter, and a checkpoint after each.

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
            host = choose_host(spec.name, directory)
            if to_step not in (None, MACHINES):
                overview.require_step(plan, to_step)
            project.refuse_rebuild(project.load_plan(directory), plan)
            overview.require_fit(plan, count_for(plan, host))
            require_no_collision(plan, host, directory)
            progress.say(f"accelerator {plan.accelerator}: {known.reason}")
            progress.say(f"host {host}")
        with lab_lock(directory, "lab up"):
            lab = project.from_spec(spec_file, build_dir, known.facts)
            _whole(lab, host, progress)
            runner = _machines(lab, host, progress, spec.box.mirror)
            proven = _proven(lab, runner, progress)
            broken = _chapters(lab, runner, host, progress, proven, to_step) if checkpoints else None
            result = broken or _rest(lab, runner, progress, proven, to_step)
    overview.print_summary(lab, ui.timing_table(lab.plan, progress.phases, runner.seconds, time.monotonic() - started))
    reports.print_report(ui.console, lab.plan, result)
    return result.good


def _whole(lab: Lab, host: Host, progress: ui.Progress) -> None:
    """See that no save and no restore is half done, and that the lab was not put away."""
    if Checkpoints(lab.build_dir).root.exists():
        host.start()
        host.enter()
        whole.refuse_away(lab, host)
        whole.mend(lab, host, progress.say)


def _machines(lab: Lab, host: Host, progress: ui.Progress, mirror: str | None) -> StepRunner:
    """Boxes, the host, the VMs, and the payload on each of them."""
    ssh = Ssh(lab.build_dir)
    standing = count_for(lab.plan, host).running == {node.name for node in lab.plan.nodes} and ssh.configured()
    boxes: list[Box] = []
    if not standing:  # the machines that run were made of a box that was right then
        with progress.phase("boxes", "boxes"):
            boxes = ensure_for_plan(lab.plan, mirror, lambda event: progress.say(line_of(event)))
    with progress.phase("machines", f"virtual machines: {', '.join(n.name for n in lab.plan.nodes)}"):
        files = render(lab.plan, lab.secrets)
        write_tree(lab.build_dir, files)
        host.start()
        host.enter()
        if not standing:
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
    return StepRunner(lab, files, ssh, StateFile(lab.build_dir / "state.json"), progress)


def _proven(lab: Lab, runner: StepRunner, progress: ui.Progress) -> set[Job]:
    """Name what is proven done: recorded, with today's inputs, and its quick checks pass."""
    known = runner.known_done()
    if known:
        with progress.phase("steps", "quick checks of what is done"):
            quick = verify(lab.plan, lab.build_dir, steps=tuple(sorted({j.step for j in known})), quick=True)
            drift = _failing(quick) & known
            for job in sorted(drift):
                progress.say(f"{job.node:<11} {job.step:<24} [yellow]drifted[/yellow]: runs again")
            runner.forget(drift)
            known -= drift
    return known


def _chapters(
    lab: Lab, runner: StepRunner, host: Host, progress: ui.Progress, known: set[Job], to_step: str | None
) -> Report | None:
    """Run step after step in teaching order; behind each its checks, then a checkpoint of its name.

    A checkpoint shows the lab as it was when its chapter was the last one done: none is made where the lab is past it.
    Adds to `known`. Gives the report of the first step whose checks do not pass; None where all do.
    """
    done_before = set(known)
    if not known:
        _keep(lab, host, MACHINES, progress)
    jobs = jobs_of(lab.plan, to_step=to_step)
    for step in dict.fromkeys(job.step for job in jobs):
        own = {job for job in jobs if job.step == step}
        with progress.phase("steps", f"chapter {step}"):
            runner.run(sorted(own), known)
        known |= own
        done_before -= own
        if done_before:
            progress.say(f"no checkpoint {step}: the lab is past it")
            continue
        result = _verified(lab, runner, progress, (step,))
        if not result.good:
            return result
        _keep(lab, host, step, progress)
    return None


def _keep(lab: Lab, host: Host, name: str, progress: ui.Progress) -> None:
    if Checkpoints(lab.build_dir).exists(name):
        progress.say(f"checkpoint {name} exists: it stays as it is")
        return
    with progress.phase("checkpoints", f"checkpoint {name}"):
        checkpoint.take(lab, host, name, progress)


def _rest(lab: Lab, runner: StepRunner, progress: ui.Progress, known: set[Job], to_step: str | None) -> Report:
    """Run what is not proven done, then the suite."""
    jobs = jobs_of(lab.plan, to_step=to_step)
    with progress.phase("steps", "provisioning"):
        runner.run(jobs, known)
        Vagrant(lab.build_dir).mark_provisioned([node.name for node in lab.plan.nodes])
    steps = tuple(dict.fromkeys(job.step for job in jobs))
    return _verified(lab, runner, progress, steps) if steps else Report(())


def _verified(lab: Lab, runner: StepRunner, progress: ui.Progress, steps: tuple[str, ...]) -> Report:
    """Run the suite; what it finds broken is provisioned once more, then asked again."""
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
