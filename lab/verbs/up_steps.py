"""The last phases of `lab up`: what is done already, the steps, the suite."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lab.checkpoint import save_restore
from lab.checkpoint.store import Checkpoints
from lab.machines.vagrant import Vagrant
from lab.nodes.schedule import MACHINES, Job
from lab.nodes.steps import not_done
from lab.verbs.up_machines import wait_for_services
from lab.verification import proven
from lab.verification.report import Report
from lab.verification.run import quick_ids

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.verbs.run import Run
    from lab.verification.report import CheckResult


def check_while_waking(run: Run) -> tuple[CheckResult, ...]:
    """Ask the quick checks of a lab whose steps are all done, while its services wake. Give those that passed."""
    if not_done(run.plan, run.files, run.state.load()):
        return ()
    with run.progress.phase("steps", "quick checks of what is done"):
        asked = run.ask(ids=quick_ids(run.plan, set(run.jobs)))
    return tuple(check for check in asked.checks if check.good)


def check_what_is_done(run: Run, passed: tuple[CheckResult, ...] = ()) -> tuple[set[Job], Report]:
    """Name the jobs that are proven done: recorded, with today's inputs, and their quick checks pass.

    What `check_while_waking` has `passed` is not asked again. Gives the report of all of them, too.
    """
    missing = not_done(run.plan, run.files, run.state.load())
    known = {job for job in run.jobs if job not in missing}
    if not known:
        return known, Report(())
    wanted = set(quick_ids(run.plan, known)) - {check.id for check in passed}
    if passed and not wanted:
        return known, Report(passed)
    again = f"once more, now that the services are ready: {len(wanted)} checks"
    with run.progress.phase("steps", again if passed else "quick checks of what is done"):
        quick = Report((*passed, *run.ask(ids=wanted).checks))
        drift = _failing(quick)
        for job in run.jobs:
            if job in drift:
                run.progress.say(f"{job.node:<11} {job.step:<24} drifted: runs again", "drifted")
            elif missing.get(job, "").startswith("the suite"):
                run.progress.say(f"{job.node:<11} {job.step:<24} runs again: {missing[job]}", "runs again")
        run.runner.forget(drift)
        return known - drift, quick


def run_steps(run: Run, done: set[Job]) -> bool:
    """Run the steps that are not proven done; tell whether there were any."""
    missing = [job for job in run.jobs if job not in done]
    if missing:
        _provision(run, "provisioning", run.jobs, done)
    Vagrant(run.lab.build_dir).mark_provisioned([node.name for node in run.plan.nodes])
    return bool(missing)


def change_passwords(run: Run) -> Report | None:
    """Run the steps of a lab just made from a golden one whose passwords are others; check them, and the rest quickly.

    The golden lab was verified: nothing is asked before. Gives None where that was with other checks than today's,
    where no password is another one, or where a check does not pass: then the lab is treated like any other.
    """
    if not is_verified(run):
        return None
    missing = not_done(run.plan, run.files, run.state.load())
    done = {job for job in run.jobs if job not in missing}
    if not run_steps(run, done):
        return None
    changed = {job.step for job in missing}
    ids = {check.id for check in run.plan.checks if check.step in changed} | set(quick_ids(run.plan, done))
    with run.progress.phase("verify", "checks of the steps that ran, quick checks of the others"):
        result = run.ask(ids=ids, on_result=run.progress.counter("checks"))
    complete = Report(tuple(check for check in result.checks if check.step in changed))
    run.state.save(proven.remember(run.plan, run.state.load(), complete))
    return result if result.good else None


def run_chapters(run: Run, done: set[Job]) -> Report | None:
    """Run step after step in teaching order; after each its checks, then a checkpoint of its name.

    A checkpoint shows the lab as it was when its chapter was the last one done: none is made where the lab is past it.
    Adds to `done`. Gives the report of the first step whose checks do not pass; None where all do.
    """
    later = set(done)
    if not done:
        _keep(run, MACHINES)
    for step in run.scope:
        own = {job for job in run.jobs if job.step == step}
        if not own <= done:
            _provision(run, f"chapter {step}", sorted(own), done)
        done |= own
        later -= own
        if later:
            if not Checkpoints(run.lab.build_dir).exists(step):
                run.progress.say(f"no checkpoint {step}: the lab is past it")
            continue
        result = verified(run, (step,))
        if not result.good:
            return result
        _keep(run, step)
    return None


def is_verified(run: Run) -> bool:
    """Tell whether the suite has proven all of it since the last step ran."""
    return proven.is_verified(run.plan, run.state.load(), run.scope)


def verified(run: Run, steps: tuple[str, ...] | None = None) -> Report:
    """Run the suite (of these steps); what it finds broken is provisioned again, then checked again."""
    scope = run.scope if steps is None else steps
    if not scope:  # to `verify`, none would be all
        return Report(())
    with run.progress.phase("verify", "verification"):
        result = _suite(run, scope)
    broken = _failing(result)
    if not broken:
        return result
    for check in result.checks:
        if not check.good:
            run.progress.say(f"{check.id} {check.outcome}: {check.message}", check.outcome)
    _provision(run, "repairing what the checks found", [job for job in run.jobs if job in broken], ())
    with run.progress.phase("verify", "verification, once more"):
        return _suite(run, scope)


def _provision(run: Run, what: str, jobs: Iterable[Job], done: Iterable[Job]) -> None:
    """Run steps, and wait for their services to report themselves: the suite looks for that, and no step awaits it."""
    began = time.time()
    with run.progress.phase("steps", what):
        run.runner.run(jobs, done)
    with run.progress.phase("services", "waiting for the services to report"):
        wait_for_services(run, began)


def _keep(run: Run, name: str) -> None:
    if Checkpoints(run.lab.build_dir).exists(name):
        run.progress.say(f"checkpoint {name} exists already and is kept")
        return
    with run.progress.phase("checkpoints", f"checkpoint {name}"), run.watch.paused():
        save_restore.take(run.lab, run.host, name, run.progress)


def _suite(run: Run, scope: tuple[str, ...]) -> Report:
    result = run.ask(steps=scope, on_result=run.progress.counter("checks"))
    run.state.save(proven.remember(run.plan, run.state.load(), result))
    return result


def _failing(result: Report) -> set[Job]:
    return {Job(check.node, check.step) for check in result.checks if not check.good}
