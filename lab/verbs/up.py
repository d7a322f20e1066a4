"""`lab up`: the story from a spec to a verified lab."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from lab.base import builddir
from lab.base.addresses import domain_name
from lab.base.errors import DamagedFileError
from lab.base.lock import lab_lock
from lab.checkpoint import recovery as whole
from lab.checkpoint import save_restore as checkpoint
from lab.checkpoint.store import Checkpoints
from lab.generator.files import write_tree
from lab.generator.render import render
from lab.host import fence
from lab.host.capacity import count_for, host_facts
from lab.host.choice import host_for
from lab.host.ownership import own_of
from lab.host.private import why_root
from lab.inputs.load import load_spec
from lab.machines import moved
from lab.machines import reconcile as machines
from lab.machines.boxes import age_lines
from lab.machines.shrink import Leaving, Shrink
from lab.machines.vagrant import Vagrant
from lab.nodes.clock import SSH_LIMIT_S, TOLERANCE_S
from lab.nodes.handshake import greet
from lab.nodes.readiness import settle
from lab.nodes.schedule import MACHINES, Job, jobs_of
from lab.nodes.ssh import Ssh
from lab.nodes.state import StateFile
from lab.nodes.steps import StepRunner, not_done
from lab.nodes.watch import Watch
from lab.planning import changes, project
from lab.terminal import overview
from lab.terminal import progress as ui
from lab.verbs.down import down
from lab.verification import proven
from lab.verification import report as reports
from lab.verification.run import quick_ids, verify

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lab.base.progress import Progress
    from lab.box.store import Box
    from lab.generator.render import RenderedFile
    from lab.host.host import Host
    from lab.planning.plan import Plan
    from lab.planning.project import Lab
    from lab.verification.report import Report


def up(
    spec_file: Path,
    build_dir: Path | None,
    *,
    to_step: str | None = None,
    recreate: bool = False,
    checkpoints: bool = False,
) -> bool:
    """Bring a lab up; whether all its checks pass.

    `recreate` removes the lab that stands first, as `lab down` does. With `checkpoints` it comes chapter by chapter,
    with a checkpoint after each.

    Raises:
        LabError: any of its kinds, with the state such that `lab up` goes on and `lab down` removes.
    """
    progress = ui.LiveProgress()
    started = time.monotonic()
    spec = load_spec(spec_file)
    directory = project.build_dir_of(spec_file, build_dir, spec.name)
    builddir.require(directory)
    moved.refuse_lost(spec.name, directory)
    with progress.live():
        moved.settle(spec.name, directory, "lab up", progress.say)
        with progress.phase("host", "looking at the host"):
            known = host_facts(spec.accelerator, mirror=spec.box.mirror)
            plan = project.decide(spec, known)
            if to_step not in (None, MACHINES):
                overview.require_step(plan, to_step)
        if recreate:
            with progress.phase("down", "removing the lab that stands, with all that is in it"):
                _standing(directory, progress)
                down(spec_file, build_dir)
        host = host_for(plan, directory)
        with lab_lock(directory, "lab up"):
            if host.end_silent():
                progress.say("[yellow]the lab's own libvirtd did not answer[/yellow]: it was ended, another starts")
            standing = _standing(directory, progress)
            changes.compare(standing if host.exists() else None, plan).refuse_rebuild()
            overview.require_fit(plan, count_for(plan, host))
            progress.say(f"accelerator {plan.accelerator}: {known.accelerator_reason}")
            progress.say(f"host {host}")
            lab = project.from_spec(spec_file, build_dir, known)
            moved.claim(lab.plan, directory, host.mode)
            story = _Up(lab, host, progress, to_step)
            boxes = story.boxes(spec.box.mirror)
            for line in age_lines(plan, updates=bool(boxes)):
                progress.say(f"[yellow]{escape(line)}[/yellow]")
            _make_whole(lab, host, progress)
            result = story.carry_out(standing, boxes, checkpoints=checkpoints)
            if result is None:
                passed = f"{len(story.quick.checks)} quick checks passed"
                ui.console.print(f"nothing to do: {passed}; `lab verify` runs all {len(plan.checks)}")
                return True
    overview.print_summary(
        lab, ui.timing_table(lab.plan, progress.phases, story.runner.seconds, time.monotonic() - started)
    )
    reports.print_report(ui.console, lab.plan, result)
    return result.good


def _standing(directory: Path, progress: Progress) -> Plan | None:
    """Read the plan that stands; a damaged one, or a damaged state, is set aside: all is looked at anew."""
    for read in (StateFile(directory / "state.json").load, lambda: project.load_plan(directory)):
        try:
            read()
        except DamagedFileError as error:
            progress.say(
                f"[yellow]{error.message}[/yellow]; kept as {error.set_aside().name}, everything is proven anew"
            )
    return project.load_plan(directory)


def _make_whole(lab: Lab, host: Host, progress: Progress) -> None:
    """See that no save and no restore of a checkpoint is half done, and that the lab was not put away."""
    if Checkpoints(lab.build_dir).root.exists():
        host.enter()
        whole.refuse_away(lab, host)
        whole.mend(lab, host, progress.say)


class _Up:
    """One `lab up` from the machines on; the lock is held, and the plan fits the machines that stand."""

    def __init__(self, lab: Lab, host: Host, progress: Progress, to_step: str | None) -> None:
        self._lab, self._host, self._progress = lab, host, progress
        self._ssh = Ssh(lab.build_dir)
        self._state = StateFile(lab.build_dir / "state.json")
        self._files: dict[str, RenderedFile] = render(lab.plan, lab.secrets)
        self._jobs = jobs_of(lab.plan, to_step=to_step)
        self._scope = tuple(dict.fromkeys(job.step for job in self._jobs))
        self.runner = StepRunner(lab, self._files, self._ssh, self._state, progress)
        self.quick = reports.Report(())
        self.watch = Watch(host, {node.name: node.domain for node in lab.plan.nodes}, on_end=self._ssh.abort)

    def boxes(self, mirror: str | None) -> list[Box]:
        """Start the host, and see to the boxes of the machines that it lacks, before this process moves onto it."""
        self._host.start()
        if why := fence.close(self._host, self._lab.plan, self._lab.build_dir):
            self._progress.say(
                f"[yellow]nodes and this machine reach each other[/yellow] (docs/security.md): {escape(why)}"
            )
        if why := why_root(self._host):
            self._progress.say(f"[yellow]QEMU runs as root[/yellow]: {escape(why)}")
        with self._host.hypervisor() as hypervisor:
            wanted = machines.look(self._lab.plan, self._lab.build_dir, hypervisor, self._ssh.nodes())
        return machines.boxes_for(self._lab.plan, wanted, self._progress, mirror)

    def carry_out(self, standing: Plan | None, boxes: list[Box], *, checkpoints: bool) -> Report | None:
        """Bring machines and steps; give what the suite says at the end, None where nothing had to be done."""
        with self.watch.kept():
            self.bring_machines(standing, boxes)
            done = self.proven()
            if checkpoints and (broken := self.chapters(done)):
                return broken
            if not self.steps(done) and self.is_verified():
                return None
            return self.verified()

    def bring_machines(self, standing: Plan | None, boxes: list[Box]) -> None:
        """The nodes that go and those that come, and the payload on each of them."""
        lab, progress = self._lab, self._progress
        began = time.time()
        with progress.phase("machines", "looking at the virtual machines"):
            self._host.enter()
            with self._host.hypervisor() as hypervisor:
                wanted = machines.look(lab.plan, lab.build_dir, hypervisor, self._ssh.nodes())
                machines.start_off(lab.plan, wanted, hypervisor, self._ssh, progress)
        # The plan of the build directory stays that of before until they are out: who is interrupted here goes on here.
        self._take_out(standing, wanted)
        write_tree(lab.build_dir, self._files)
        if wanted.make or wanted.adopt:
            machines.make(lab.plan, wanted, boxes, self._host, self._ssh, progress)
        self.watch.start()
        with progress.phase("nodes", "the nodes answer"):
            limit_s = SSH_LIMIT_S * lab.plan.wait_factor
            for name, found in greet(
                self._ssh, lab.build_dir, [n.name for n in lab.plan.nodes], timeout_s=limit_s
            ).items():
                if abs(found.clock_off_s) > TOLERANCE_S:
                    progress.say(f"{name:<11} clock set: it was off by {found.clock_off_s:.0f} s")
        if wanted.start and self._state.load().steps:
            with progress.phase("services", "waiting for what was done before to be well"):
                self._settle(began)

    def _take_out(self, standing: Plan | None, wanted: machines.Machines) -> None:
        """Take out the nodes that the spec no longer has, and those whose machines are lost and will be made anew."""
        plan, state = self._lab.plan, self._state.load()
        names = {node.name for node in plan.nodes}
        before = [*(node.name for node in (standing.nodes if standing else ())), *self._ssh.nodes()]
        going = [Leaving(name, domain_name(plan.name, name)) for name in dict.fromkeys(before) if name not in names]
        lost = [Leaving(name, plan.node(name).domain) for name in wanted.make if state.knows(name)]
        if not going and not lost:
            return
        shrink = Shrink(self._host, self._ssh, self._state, self._progress, plan.wait_factor, self._lab.secrets.mask)
        told = [f"{node.name} (not in the spec any more)" for node in going]
        told += [f"{node.name} (its machine was lost)" for node in lost]
        with self._progress.phase("shrink", f"taking out {', '.join(told)}"):
            if machines.CONTROLLER not in wanted.make:
                shrink.out_of_openstack([*going, *lost])
            shrink.machines([*going, *lost], own_of(plan.name, self._lab.build_dir))

    def proven(self) -> set[Job]:
        """Name the jobs that are proven done: recorded, with today's inputs, and their quick checks pass."""
        missing = not_done(self._lab.plan, self._files, self._state.load())
        known = {job for job in self._jobs if job not in missing}
        if not known:
            return known
        with self._progress.phase("steps", "quick checks of what is done"):
            self.quick = self._verify(ids=quick_ids(self._lab.plan, known))
            drift = _failing(self.quick)
            for job in self._jobs:
                if job in drift:
                    self._progress.say(f"{job.node:<11} {job.step:<24} [yellow]drifted[/yellow]: runs again")
                elif missing.get(job, "").startswith("the suite"):
                    self._progress.say(f"{job.node:<11} {job.step:<24} [yellow]runs again[/yellow]: {missing[job]}")
            self.runner.forget(drift)
            return known - drift

    def steps(self, known: set[Job]) -> bool:
        """Run the steps that are not proven done; whether any ran."""
        missing = [job for job in self._jobs if job not in known]
        if missing:
            self._provision("provisioning", self._jobs, known)
        Vagrant(self._lab.build_dir).mark_provisioned([node.name for node in self._lab.plan.nodes])
        return bool(missing)

    def chapters(self, known: set[Job]) -> Report | None:
        """Run step after step in teaching order; behind each its checks, then a checkpoint of its name.

        A checkpoint shows the lab as it was when its chapter was the last one done: none is made where the lab is past
        it. Adds to `known`. Gives the report of the first step whose checks do not pass; None where all do.
        """
        before = set(known)
        if not known:
            self._keep(MACHINES)
        for step in self._scope:
            own = {job for job in self._jobs if job.step == step}
            if not own <= known:
                self._provision(f"chapter {step}", sorted(own), known)
            known |= own
            before -= own
            if before:
                if not Checkpoints(self._lab.build_dir).exists(step):
                    self._progress.say(f"no checkpoint {step}: the lab is past it")
                continue
            result = self.verified((step,))
            if not result.good:
                return result
            self._keep(step)
        return None

    def _provision(self, what: str, jobs: Iterable[Job], known: Iterable[Job]) -> None:
        """Run steps, and wait for their services to report themselves, which the suite looks for and no step awaits."""
        began = time.time()
        with self._progress.phase("steps", what):
            self.runner.run(jobs, known)
        with self._progress.phase("services", "waiting for the services to report themselves"):
            self._settle(began)

    def _settle(self, since: float) -> None:
        settle(self._lab, self._ssh, since=since, say=self._progress.say, running=lambda: self.watch.all_run)
        self.watch.check()

    def _keep(self, name: str) -> None:
        if Checkpoints(self._lab.build_dir).exists(name):
            self._progress.say(f"checkpoint {name} exists: it stays as it is")
            return
        with self._progress.phase("checkpoints", f"checkpoint {name}"), self.watch.paused():
            checkpoint.take(self._lab, self._host, name, self._progress)

    def is_verified(self) -> bool:
        """Tell whether the suite has proven all of it since the last step ran."""
        return proven.is_verified(self._lab.plan, self._state.load(), self._scope)

    def verified(self, steps: tuple[str, ...] | None = None) -> Report:
        """Run the suite (of these steps); what it finds broken is provisioned once more, then asked again."""
        scope = self._scope if steps is None else steps
        if not scope:  # to `verify`, none would be all
            return reports.Report(())
        with self._progress.phase("verify", "verification"):
            result = self._suite(scope)
        broken = _failing(result)
        if not broken:
            return result
        for check in result.checks:
            if not check.good:
                self._progress.say(f"{check.id} [yellow]{check.outcome}[/yellow]: {escape(check.message)}")
        self._provision("mending what the verification found", [job for job in self._jobs if job in broken], ())
        with self._progress.phase("verify", "verification, once more"):
            return self._suite(scope)

    def _suite(self, scope: tuple[str, ...]) -> Report:
        result = self._verify(steps=scope, on_result=self._progress.counter("checks"))
        self._state.save(proven.remember(self._lab.plan, self._state.load(), result))
        return result

    def _verify(self, **what: Any) -> Report:
        sockets = self._ssh.sockets
        return verify(self._lab.plan, self._lab.build_dir, sockets=sockets, check=self.watch.check, **what)


def _failing(result: Report) -> set[Job]:
    return {Job(check.node, check.step) for check in result.checks if not check.good}
