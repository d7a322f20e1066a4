"""The last phases of `lab up`: what is done already, the steps, the suite."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from lab.base.errors import LabError, MachineError, StepError
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
    from collections.abc import Callable, Collection, Iterable
    from concurrent.futures import Future
    from typing import Self

    from lab.verbs.run import Run
    from lab.verification.report import CheckResult


def check_while_waking(run: Run) -> tuple[CheckResult, ...]:
    """Ask the quick checks of what is done, while the lab's services wake. Give those that passed."""
    done = set(run.jobs) - not_done(run.plan, run.files, run.state.load()).keys()
    if not done:
        return ()
    with run.progress.phase("steps", "quick checks of what is done"):
        asked = run.ask(ids=quick_ids(run.plan, done))
    return tuple(check for check in asked.checks if check.good)


def check_what_is_done(run: Run, passed: tuple[CheckResult, ...] = ()) -> tuple[set[Job], Report]:
    """Name the jobs that are proven done: recorded, with today's inputs, and their quick checks pass.

    What `check_while_waking` has `passed` is not asked again. Gives the report of all of them, too.
    """
    missing = not_done(run.plan, run.files, run.state.load())
    known = {job for job in run.jobs if job not in missing}
    if not known:
        return known, Report(())
    ids = set(quick_ids(run.plan, known))
    left = ids - {check.id for check in passed}
    if passed and not left:
        return known, Report(passed)
    again = f"once more, now that the services are ready: {len(left)} checks"
    with run.progress.phase("steps", again if passed else "quick checks of what is done"):
        quick = _asked(run, ids, passed)
        drift = _failing(quick)
        for job in run.jobs:
            if job in drift:
                run.progress.say(f"{job.node:<11} {job.step:<24} drifted: runs again", "drifted")
            elif missing.get(job, "").startswith("the suite"):
                run.progress.say(f"{job.node:<11} {job.step:<24} runs again: {missing[job]}", "runs again")
        run.runner.forget(drift)
        return known - drift, quick


def run_steps(run: Run, done: set[Job], asked: Collection[str] | None = None) -> tuple[CheckResult, ...] | None:
    """Run the steps that are not proven done. Give the slow checks that passed beside the last one; None if none ran.

    The last step mostly waits: for an instance that boots. So the slow questions about the others are asked meanwhile.
    What is quick to ask is asked when all is done, and so is what that step does, or what passes with time: logs.
    Where not all steps will be asked completely, `asked` names those that will.
    """
    passed = None
    if any(job not in done for job in run.jobs):
        with _Asker(run, run.scope if asked is None else asked) as asker:
            _provision(run, "provisioning", run.jobs, done, asker.begin)
            passed = asker.passed()
    Vagrant(run.lab.build_dir).mark_provisioned([node.name for node in run.plan.nodes])
    return passed


class _Asker:
    """Asks slow checks beside the last step; a failure of the step ends it."""

    def __init__(self, run: Run, steps: Collection[str]) -> None:
        self._run, self._steps = run, steps
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="suite")
        self._asked: Future[Report] | None = None
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._pool.shutdown()

    def begin(self, last: Job) -> None:
        """Begin, where only this job is left."""
        scope = set(self._steps) - {last.step}
        ids = [c.id for c in self._run.plan.checks if c.step in scope and not c.quick and c.kind != "log"]
        if ids:
            self._run.progress.say(f"the suite begins beside {last.step}: {len(ids)} checks")
            self._asked = self._pool.submit(self._run.ask, ids=ids, check=self._check)

    def passed(self) -> tuple[CheckResult, ...]:
        """Wait for its end; what did not pass, or could not be asked, is asked again later."""
        if self._asked is None:
            return ()
        if self._asked.done():
            return self._good(self._asked)
        with self._run.progress.phase("verify", "waiting for the checks that began beside the last step"):
            return self._good(self._asked)

    @staticmethod
    def _good(asked: Future[Report]) -> tuple[CheckResult, ...]:
        try:
            return tuple(check for check in asked.result().checks if check.good)
        except LabError:
            return ()

    def _check(self) -> None:
        self._run.watch.check()
        if self._ended.is_set():
            raise MachineError("the last step failed")


def change_passwords(run: Run, passed: tuple[CheckResult, ...] = ()) -> Report | None:
    """Run the steps of a lab just made from a golden one whose passwords are others; check them, and the rest quickly.

    What of the rest has `passed` while the services woke is not asked again. Gives None where the golden lab was
    verified with other checks than today's, where no password is another one, or where a check does not pass: then the
    lab is treated like any other.
    """
    if not is_verified(run):
        return None
    missing = not_done(run.plan, run.files, run.state.load())
    done = {job for job in run.jobs if job not in missing}
    changed = {job.step for job in missing}
    if (asked := run_steps(run, done, changed)) is None:
        return None
    ids = {check.id for check in run.plan.checks if check.step in changed} | set(quick_ids(run.plan, done))
    with run.progress.phase("verify", "checks of the steps that ran, quick checks of the others"):
        result = _asked(run, ids, (*passed, *asked))
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


def verified(run: Run, steps: tuple[str, ...] | None = None, passed: tuple[CheckResult, ...] = ()) -> Report:
    """Run the suite (of these steps); what it finds broken is provisioned again, then checked again.

    What has `passed`, as of `run_steps`, is not asked a second time.
    """
    scope = run.scope if steps is None else steps
    if not scope:  # to `verify`, none would be all
        return Report(())
    with run.progress.phase("verify", "verification"):
        result = _suite(run, scope, passed)
    broken = _failing(result)
    if not broken:
        return result
    for check in result.checks:
        if not check.good:
            run.progress.say(f"{check.id} {check.outcome}: {check.message}", check.outcome)
    _provision(run, "repairing what the checks found", [job for job in run.jobs if job in broken], ())
    with run.progress.phase("verify", "verification, once more"):
        return _suite(run, scope)


def _provision(
    run: Run, what: str, jobs: Iterable[Job], done: Iterable[Job], on_last: Callable[[Job], None] = lambda _: None
) -> None:
    """Run steps, and wait for their services to report themselves: the suite looks for that, and no step awaits it.

    A step may fail for what is broken in those that are done. They are run again then, once, and it after them.
    """
    began, jobs, done = time.time(), list(jobs), set(done)
    with run.progress.phase("steps", what):
        try:
            run.runner.run(jobs, done, on_last)
        except StepError as error:
            if not (broken := _broken_below(run, done, error)):
                raise
            missing = not_done(run.plan, run.files, run.state.load())
            wanted = [job for job in run.jobs if job in broken or job in jobs]
            run.runner.run(wanted, set(run.jobs) - missing.keys() - broken, on_last)
    with run.progress.phase("services", "waiting for the services to report"):
        wait_for_services(run, began)


def _broken_below(run: Run, done: set[Job], error: StepError) -> set[Job]:
    """Name the jobs that were taken for done, and which made a step fail: their slow checks do not pass.

    A service whose user somebody has disabled, for example: no quick check logs in.
    """
    ids = [c.id for c in run.plan.checks if Job(c.node, c.step) in done and not c.quick and c.kind != "log"]
    if not ids:
        return set()
    run.progress.say(f"{error.failure.step} failed; what was done before is checked: {len(ids)} checks")
    asked = run.ask(ids=ids, on_result=run.progress.counter("checks"))
    broken = {Job(check.node, check.step) for check in asked.checks if check.outcome == "failed"}
    for job in sorted(broken, key=run.jobs.index):
        run.progress.say(f"{job.node:<11} {job.step:<24} drifted: runs again", "drifted")
    run.runner.forget(broken)
    return broken


def _keep(run: Run, name: str) -> None:
    if Checkpoints(run.lab.build_dir).exists(name):
        run.progress.say(f"checkpoint {name} exists already and is kept")
        return
    with run.progress.phase("checkpoints", f"checkpoint {name}"), run.watch.paused():
        save_restore.take(run.lab, run.host, name, run.progress)


def _suite(run: Run, scope: tuple[str, ...], passed: tuple[CheckResult, ...] = ()) -> Report:
    if passed:
        result = _asked(run, {check.id for check in run.plan.checks if check.step in scope}, passed)
    else:
        result = run.ask(steps=scope, on_result=run.progress.counter("checks"))
    run.state.save(proven.remember(run.plan, run.state.load(), result))
    return result


def _asked(run: Run, ids: set[str], passed: tuple[CheckResult, ...]) -> Report:
    """Ask these checks, but those that passed; give all of them, in the plan's order."""
    known = {check.id: check for check in passed if check.id in ids}
    left = ids - known.keys()
    asked = run.ask(ids=left, on_result=run.progress.counter("checks")).checks if left else ()
    found = {**known, **{check.id: check for check in asked}}
    return Report(tuple(found[check.id] for check in run.plan.checks if check.id in found))


def _failing(result: Report) -> set[Job]:
    return {Job(check.node, check.step) for check in result.checks if not check.good}
