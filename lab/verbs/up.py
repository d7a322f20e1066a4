"""`lab up`: the story from a spec to a verified lab, phase by phase."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.base import builddir
from lab.base.errors import DamagedFileError
from lab.base.lock import lab_lock
from lab.host.capacity import count_for
from lab.host.choice import host_for
from lab.inputs.load import load_spec
from lab.machines import moved
from lab.nodes.schedule import goal_of
from lab.nodes.state import StateFile
from lab.planning import changes, project
from lab.planning.refusals import require_fit
from lab.verbs import timing, up_golden
from lab.verbs import up_machines as machines
from lab.verbs import up_steps as steps
from lab.verbs.down import remove_lab
from lab.verbs.opening import host_of
from lab.verbs.run import Run
from lab.verification import veil

if TYPE_CHECKING:
    from pathlib import Path

    from lab.base.progress import Progress
    from lab.golden.fit import Fit
    from lab.host.host import Host
    from lab.inputs.model import Spec
    from lab.planning.plan import HostProof, Plan
    from lab.planning.project import Lab
    from lab.verification.report import Report


@dataclass(frozen=True)
class UpResult:
    """How `lab up` ended."""

    lab: Lab
    report: Report
    """of the suite; of the quick checks alone where nothing had to be done"""
    ran: bool = True
    """something had to be done"""
    step_seconds: dict[str, float] = field(default_factory=dict)
    """NODE/STEP -> seconds, of the steps that ran"""
    seconds: float = 0.0
    """of all of it; 0 where `lab goto` restored a checkpoint instead"""


def up(
    spec_file: Path,
    build_dir: Path | None,
    progress: Progress,
    *,
    to_step: str | None = None,
    recreate: bool = False,
    checkpoints: bool = False,
    golden: bool = True,
) -> UpResult:
    """Bring a lab up, and verify it.

    `recreate` removes the lab that exists first, as `lab down` does. With `checkpoints` it comes chapter by chapter,
    with a checkpoint after each. Without `golden` it is made from nothing, even if there is a golden lab of it.

    Raises:
        LabError: any of its kinds, with the state such that `lab up` goes on and `lab down` removes.
    """
    spec = load_spec(spec_file)
    directory = project.build_dir_of(spec_file, build_dir, spec.name)
    return bring_up(
        spec, directory, progress, to_step=to_step, recreate=recreate, checkpoints=checkpoints, golden=golden
    )


def bring_up(
    spec: Spec,
    directory: Path,
    progress: Progress,
    *,
    to_step: str | None = None,
    recreate: bool = False,
    checkpoints: bool = False,
    golden: bool = True,
) -> UpResult:
    """Do as `up` does, for a spec that is read."""
    started = time.monotonic()
    builddir.require(directory)
    veil.refuse(directory, "`lab up`")
    moved.refuse_lost(spec.name, directory)
    moved.follow(spec.name, directory, "lab up", progress.say)
    known, plan = _decide(spec, progress)
    goal = goal_of(plan, to_step)
    if recreate:
        with progress.phase("down", "removing the existing lab, with everything in it"):
            _existing_plan(directory, progress)
            remove_lab(spec, directory, progress)
    host = host_for(plan, directory)
    with lab_lock(directory, "lab up"):
        existing = _require_place(plan, host, directory, progress)
        progress.say(f"accelerator {plan.accelerator}: {known.accelerator_reason}")
        progress.say(f"host {host}")
        up_golden.remove_unfinished(project.decided(spec, plan, directory, write=False), host, progress)
        usable = golden and goal is None and not checkpoints
        fit = up_golden.choose(spec, plan, directory, host, progress) if usable else None
        run = Run.of(project.decided(spec, plan, directory), host, progress, goal)
        moved.claim(plan, directory, host.mode)
        result = _phases(run, existing, spec, fit, checkpoints=checkpoints)
        seconds = time.monotonic() - started
        if result[2]:
            phases = dict(progress.phases)
            timing.note(directory, timing.UpTimes(began=time.time() - seconds, seconds=seconds, phases=phases))
    return UpResult(*result, step_seconds=run.runner.seconds, seconds=seconds)


def _phases(
    run: Run, existing: Plan | None, spec: Spec, fit: Fit | None, *, checkpoints: bool
) -> tuple[Lab, Report, bool]:
    """Go through the phases in their order; give the lab, the last report, and whether anything had to be done."""
    began = time.time()
    restored = up_golden.begin(run, fit, spec)
    machines.start_host(run)
    boxes = machines.see_to_boxes(run, spec.box.mirror)
    machines.finish_checkpoints(run)
    with run.watch.kept():
        wanted = machines.start_machines(run)
        machines.take_out_nodes(run, existing, wanted)
        machines.write_build_directory(run)
        machines.make_machines(run, wanted, boxes)
        with up_golden.waking(run, began) if restored else contextlib.nullcontext():
            machines.wait_for_nodes(run, wanted, since=began)
            up_golden.make_own(run)
            passed = steps.check_while_waking(run) if restored else ()
        if fit is not None and (changed := steps.change_passwords(run, passed)) is not None:
            return run.lab, changed, True
        done, quick = steps.check_what_is_done(run, passed)
        if checkpoints and (broken := steps.run_chapters(run, done)):
            return run.lab, broken, True
        asked = steps.run_steps(run, done)
        if asked is None and steps.is_verified(run):
            return run.lab, quick, fit is not None
        report = steps.verified(run, passed=asked or ())
        if spec.golden == "auto":
            up_golden.keep(run, report)
        return run.lab, report, True


def _decide(spec: Spec, progress: Progress) -> tuple[HostProof, Plan]:
    """Prove the host, and decide the lab for it."""
    with progress.phase("host", "checking the host"):
        known = host_of(spec, prove=True)
        return known, project.decide(spec, known)


def _require_place(plan: Plan, host: Host, directory: Path, progress: Progress) -> Plan | None:
    """Refuse a lab that cannot follow the spec, or does not fit on the host; give the plan that exists, if any."""
    if host.end_silent():
        silent = "the lab's own libvirtd did not answer"
        progress.say(f"{silent}: it was ended, starting another one", silent)
    existing = _existing_plan(directory, progress)
    changes.compare(existing if host.exists() else None, plan).refuse_rebuild()
    for warning in require_fit(plan, count_for(plan, host)):
        progress.say(f"warning: {warning}", "warning:")
    return existing


def _existing_plan(directory: Path, progress: Progress) -> Plan | None:
    """Read the plan of the lab that exists; a damaged one, or a damaged state, is renamed: all is checked again."""
    for read in (StateFile(directory / "state.json").load, lambda: project.load_plan(directory)):
        try:
            read()
        except DamagedFileError as error:
            kept = error.set_aside().name
            progress.say(f"{error.message}; kept as {kept}, everything is checked again", error.message)
    return project.load_plan(directory)
