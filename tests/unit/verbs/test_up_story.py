"""What `lab up` decides between machines and suite: who is taken out, what runs, whether the suite is needed."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from recorded_progress import RecordedProgress
from sample_plans import SECRETS, sample_plan

from lab.base.errors import MachineError, StepError, StepFailure
from lab.generator.render import render
from lab.host.private import PrivateHost
from lab.machines.reconcile import ABSENT, Machines
from lab.nodes.handshake import FirstContact
from lab.nodes.schedule import Job, jobs_of
from lab.nodes.ssh import Ssh
from lab.nodes.state import State, StateFile, StepRecord
from lab.nodes.steps import inputs_digest
from lab.nodes.watch import Watch
from lab.planning.plan import Check
from lab.planning.project import Lab
from lab.planning.secrets import Secrets
from lab.verbs import up_machines
from lab.verbs.run import Run
from lab.verbs.up_machines import take_out_nodes
from lab.verbs.up_steps import change_passwords, check_what_is_done, check_while_waking, is_verified, run_steps
from lab.verbs.up_steps import verified as verified_run
from lab.verification import proven
from lab.verification.report import CheckResult, Outcome, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lab.host.ownership import Own
    from lab.machines.shrink import Leaving
    from lab.nodes.steps import StepRunner

CHECK = Check(
    id="compute1-55-compute-node-unit-x",
    node="compute1",
    step="55-compute-node",
    kind="unit",
    guide="",
    command="",
    quick=True,
    args={},
)
SLOW = CHECK.model_copy(update={"id": "compute1-55-compute-node-openstack-y", "quick": False})
PLAN = sample_plan().model_copy(update={"checks": (CHECK, SLOW)})
JOB = Job("compute1", "55-compute-node")
LOG = Path("90-first-instance.log")


class FakeShrink:
    """Notes what it is asked for."""

    done: list[str] = []

    def __init__(self, *_: object) -> None:
        pass

    def out_of_openstack(self, leaving: Sequence[Leaving]) -> None:
        self.done.append(f"openstack {' '.join(node.domain for node in leaving)}")

    def machines(self, leaving: Sequence[Leaving], own: Own) -> None:
        assert own.build_dir.is_dir()
        self.done.append(f"machines {' '.join(node.name for node in leaving)}")


class Runner:
    """Takes the place of the story's own runner."""

    def __init__(self) -> None:
        self.ran: list[Job] = []
        self.forgotten: set[Job] = set()
        self.last = JOB
        self.fails = 0
        """so many times"""

    def run(self, jobs: Iterable[Job], done: Iterable[Job], on_last: Callable[[Job], None]) -> None:
        self.ran += [job for job in jobs if job not in set(done)]
        on_last(self.last)
        if self.fails:
            self.fails -= 1
            raise StepError(StepFailure(self.last.node, self.last.step, "false", 1, LOG))

    def forget(self, jobs: Iterable[Job]) -> None:
        self.forgotten |= set(jobs)


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> dict[str, Outcome]:
    """Outcomes by check; what is not named passes."""
    outcomes: dict[str, Outcome] = {}

    def verify(plan: Any, build_dir: Path, steps: Any = (), *, ids: Any = None, **_: object) -> Report:
        chosen = [c for c in plan.checks if ids is None or c.id in ids]
        return Report(
            tuple(CheckResult(c.id, c.step, c.node, outcomes.get(c.id, "passed"), "", "", 0.1) for c in chosen)
        )

    monkeypatch.setattr("lab.verbs.run.verify", verify)
    return outcomes


def story(directory: Path, state: State | None = None) -> tuple[Run, Runner]:
    if state is not None:
        StateFile(directory / "state.json").save(state)
    host = PrivateHost("demo", directory, reason="", state_root=directory / "hosts")
    run = Run.of(Lab(directory, PLAN, Secrets(SECRETS)), host, RecordedProgress())
    runner = Runner()
    return replace(run, runner=cast("StepRunner", runner)), runner


def all_done() -> State:
    files, state = render(PLAN, SECRETS), State()
    for job in jobs_of(PLAN):
        record = StepRecord(inputs=inputs_digest(files, job), seconds=1, finished="2026-01-01T00:00:00+00:00")
        state = state.with_step(*job, record)
    return state


def verified() -> State:
    report = Report(tuple(CheckResult(c.id, c.step, c.node, "passed", "", "", 0.1) for c in PLAN.checks))
    state = proven.remember(PLAN, all_done(), report)
    others = {step.id: proven.checks_digest(PLAN, step.id) for step in PLAN.steps}
    return state.model_copy(update={"verified": others})


def test_a_lab_that_needs_nothing_asks_the_quick_checks_alone(suite: dict[str, Outcome], tmp_path: Path) -> None:
    run, runner = story(tmp_path, verified())
    suite[SLOW.id] = "failed"
    done, quick = check_what_is_done(run)
    assert run_steps(run, done) is None
    assert runner.ran == []
    assert [check.id for check in quick.checks] == [CHECK.id]
    assert is_verified(run)


def test_a_step_that_drifted_runs_alone(suite: dict[str, Outcome], tmp_path: Path) -> None:
    run, runner = story(tmp_path, verified())
    suite[CHECK.id] = "failed"
    assert run_steps(run, check_what_is_done(run)[0]) is not None
    assert runner.ran == [JOB]
    assert runner.forgotten == {JOB}


def test_what_passed_while_the_services_woke_is_not_asked_again(suite: dict[str, Outcome], tmp_path: Path) -> None:
    run, _ = story(tmp_path, verified())
    passed = check_while_waking(run)
    assert [check.id for check in passed] == [CHECK.id]
    suite[CHECK.id] = "failed"
    done, quick = check_what_is_done(run, passed)
    assert done == set(run.jobs)
    assert quick.checks == passed


def test_what_failed_while_the_services_woke_is_asked_again(suite: dict[str, Outcome], tmp_path: Path) -> None:
    run, _ = story(tmp_path, verified())
    suite[CHECK.id] = "failed"
    assert check_while_waking(run) == ()
    del suite[CHECK.id]
    done, quick = check_what_is_done(run, ())
    assert done == set(run.jobs)
    assert quick.good


def test_only_what_is_done_is_asked_while_the_services_wake(suite: dict[str, Outcome], tmp_path: Path) -> None:
    assert suite == {}
    run, _ = story(tmp_path)
    assert check_while_waking(run) == ()
    own = f"{JOB.node}/{JOB.step}"
    steps = {key: record for key, record in verified().steps.items() if key != own}
    run, _ = story(tmp_path, verified().model_copy(update={"steps": steps}))
    assert CHECK.id not in {check.id for check in check_while_waking(run)}


def test_what_lab_verify_found_runs_again_and_is_not_asked(suite: dict[str, Outcome], tmp_path: Path) -> None:
    failed = CheckResult(SLOW.id, SLOW.step, SLOW.node, "failed", "", "", 0.1)
    run, runner = story(tmp_path, proven.remember(PLAN, verified(), Report((failed,))))
    done, quick = check_what_is_done(run)
    assert run_steps(run, done) == ()
    assert runner.ran == [JOB]
    assert quick.checks == ()
    assert not is_verified(run)


def test_a_suite_that_did_not_pass_last_time_runs_though_no_step_did(suite: dict[str, Outcome], tmp_path: Path) -> None:
    run, runner = story(tmp_path, all_done())
    assert run_steps(run, check_what_is_done(run)[0]) is None
    assert runner.ran == []
    assert not is_verified(run)
    assert verified_run(run).good
    assert proven.is_verified(PLAN, StateFile(tmp_path / "state.json").load(), ["55-compute-node"])


def test_slow_checks_are_asked_beside_the_last_step_and_not_again(suite: dict[str, Outcome], tmp_path: Path) -> None:
    run, runner = story(tmp_path)
    runner.last = Job("controller", "90-first-instance")
    passed = run_steps(run, set())
    assert passed is not None
    assert [check.id for check in passed] == [SLOW.id]
    suite[SLOW.id] = "failed"
    report = verified_run(run, passed=passed)
    assert report.good
    assert [check.id for check in report.checks] == [CHECK.id, SLOW.id]  # in the plan's order


def test_beside_the_last_step_only_that_is_asked_which_is_wanted(suite: dict[str, Outcome], tmp_path: Path) -> None:
    assert suite == {}
    run, runner = story(tmp_path)
    runner.last = Job("controller", "90-first-instance")
    assert run_steps(run, set(), {"30-identity"}) == ()
    assert not any("the suite begins" in text for text in cast("RecordedProgress", run.progress).lines)


def test_who_waits_for_what_was_asked_beside_the_last_step_is_told(
    suite: dict[str, Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert suite == {}
    run, runner = story(tmp_path)
    runner.last = Job("controller", "90-first-instance")
    lines = cast("RecordedProgress", run.progress).lines
    told = "verify: waiting for the checks that began beside the last step"

    def verify(*_: Any, **__: object) -> Report:
        for _turn in range(1000):
            if told in lines:
                break
            time.sleep(0.01)
        return Report(())

    monkeypatch.setattr("lab.verbs.run.verify", verify)
    assert run_steps(run, set()) == ()
    assert told in lines


def test_what_failed_beside_the_last_step_is_asked_again(suite: dict[str, Outcome], tmp_path: Path) -> None:
    run, runner = story(tmp_path)
    runner.last = Job("controller", "90-first-instance")
    suite[SLOW.id] = "failed"
    assert run_steps(run, set()) == ()
    del suite[SLOW.id]
    assert [check.id for check in verified_run(run).checks] == [CHECK.id, SLOW.id]


def test_a_step_that_fails_ends_what_is_asked_beside_it(
    suite: dict[str, Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert suite == {}
    run, runner = story(tmp_path)
    runner.last, runner.fails = Job("controller", "90-first-instance"), 1
    ended: list[str] = []

    def verify(*_: Any, check: Callable[[], None], **__: object) -> Report:
        for _turn in range(1000):
            try:
                check()
            except MachineError as error:
                ended.append(error.message)
                raise
            time.sleep(0.01)
        return Report(())

    monkeypatch.setattr("lab.verbs.run.verify", verify)
    monkeypatch.setattr(Watch, "check", lambda _: None)
    with pytest.raises(StepError):
        run_steps(run, set())
    assert ended == ["the last step failed"]


def story_whose_last_step_fails(directory: Path, times: int) -> tuple[Run, Runner]:
    """Give a lab without its first instance; the step fails so many times."""
    last = Job("controller", "90-first-instance")
    steps = {key: record for key, record in verified().steps.items() if key != f"{last.node}/{last.step}"}
    run, runner = story(directory, verified().model_copy(update={"steps": steps}))
    runner.last, runner.fails = last, times
    return run, runner


def test_what_makes_a_step_fail_runs_again_and_the_step_after_it(suite: dict[str, Outcome], tmp_path: Path) -> None:
    run, runner = story_whose_last_step_fails(tmp_path, 1)
    suite[SLOW.id] = "failed"
    assert run_steps(run, check_what_is_done(run)[0]) is not None
    assert runner.ran == [runner.last, JOB, runner.last]
    assert runner.forgotten == {JOB}


@pytest.mark.parametrize(("outcome", "times"), [("passed", 1), ("error", 1), ("failed", 2)])
def test_a_step_that_fails_for_another_reason_ends_lab_up(
    suite: dict[str, Outcome], tmp_path: Path, outcome: Outcome, times: int
) -> None:
    run, runner = story_whose_last_step_fails(tmp_path, times)
    suite[SLOW.id] = outcome
    with pytest.raises(StepError):
        run_steps(run, check_what_is_done(run)[0])
    assert runner.fails == 0


def test_a_step_that_fails_in_a_new_lab_ends_lab_up_at_once(suite: dict[str, Outcome], tmp_path: Path) -> None:
    assert suite == {}
    run, runner = story(tmp_path)
    runner.fails = 1
    with pytest.raises(StepError):
        run_steps(run, set())
    assert not any("what was done before" in text for text in cast("RecordedProgress", run.progress).lines)


def test_a_lab_from_a_golden_one_changes_its_passwords_and_checks_what_ran(
    suite: dict[str, Outcome], tmp_path: Path
) -> None:
    steps = {key: record for key, record in verified().steps.items() if key != f"{JOB.node}/{JOB.step}"}
    run, runner = story(tmp_path, verified().model_copy(update={"steps": steps}))
    report = change_passwords(run)
    assert runner.ran == [JOB]
    assert report is not None
    assert [check.id for check in report.checks] == [CHECK.id, SLOW.id]  # those of its step, all


def test_what_passed_while_it_woke_is_not_asked_after_its_passwords_changed(
    suite: dict[str, Outcome], tmp_path: Path
) -> None:
    other = next(job for job in jobs_of(PLAN) if job.step != JOB.step)
    steps = {key: record for key, record in verified().steps.items() if key != f"{other.node}/{other.step}"}
    run, runner = story(tmp_path, verified().model_copy(update={"steps": steps}))
    passed = check_while_waking(run)
    assert CHECK.id in {check.id for check in passed}
    suite[CHECK.id] = "failed"
    report = change_passwords(run, passed)
    assert runner.ran == [other]
    assert report is not None
    assert set(passed) <= set(report.checks)


def test_a_lab_from_a_golden_one_with_its_passwords_has_none_to_change(
    suite: dict[str, Outcome], tmp_path: Path
) -> None:
    for state in (verified(), verified().model_copy(update={"steps": {}, "verified": {}})):  # the other: other checks
        run, runner = story(tmp_path, state)
        assert change_passwords(run) is None
        assert runner.ran == []
    suite[SLOW.id] = "failed"
    steps = {key: record for key, record in verified().steps.items() if not key.startswith(JOB.node)}
    run, runner = story(tmp_path, verified().model_copy(update={"steps": steps}))
    assert change_passwords(run) is None  # the lab is looked at, and repaired, like any other
    assert {job.node for job in runner.ran} == {JOB.node}


def test_the_suite_mends_once_and_then_tells(suite: dict[str, Outcome], tmp_path: Path) -> None:
    run, runner = story(tmp_path, all_done())
    suite[SLOW.id] = "failed"
    assert not verified_run(run).good
    assert runner.ran == [JOB]
    assert StateFile(tmp_path / "state.json").load().drifted == {"compute1/55-compute-node": (SLOW.id,)}


@pytest.mark.parametrize(
    ("existing", "noted", "make", "expected"),
    [
        (1, ["controller", "compute1"], {}, []),
        (1, ["controller", "compute1"], {"compute2": ABSENT}, []),  # a new one is no lost one
        (3, ["controller", "compute1", "compute2", "compute3"], {}, ["compute2", "compute3"]),
        (0, ["controller", "compute1", "compute2"], {}, ["compute2"]),  # its plan was damaged
        (1, ["controller", "compute1"], {"compute1": ABSENT}, ["compute1"]),  # lost: a step of its ran once
    ],
)
def test_who_is_taken_out(
    existing: int,
    noted: list[str],
    make: dict[str, str],
    expected: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lab.verbs.up_machines.Shrink", FakeShrink)
    FakeShrink.done = []
    run, _ = story(tmp_path, all_done())
    Ssh(tmp_path).add_config("".join(f"Host {name}\n  HostName 192.168.121.2\n" for name in noted))
    take_out_nodes(run, sample_plan(computes=existing) if existing else None, Machines(make, {}))
    domains = " ".join(f"demo-{name}" for name in expected)
    assert FakeShrink.done == ([f"openstack {domains}", f"machines {' '.join(expected)}"] if expected else [])


def test_with_the_controller_openstack_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.verbs.up_machines.Shrink", FakeShrink)
    FakeShrink.done = []
    run, _ = story(tmp_path, all_done())
    take_out_nodes(run, PLAN, Machines({"controller": ABSENT, "compute1": "its controller is gone"}, {}))
    assert FakeShrink.done == ["machines controller compute1"]


@pytest.mark.parametrize(
    ("wanted", "off_s", "waits"),
    [
        (Machines({}, {}), 0.0, False),
        (Machines({}, {"compute1": "shut off"}), 0.0, True),
        (Machines({}, {}, adopt=("compute1",)), 0.0, True),  # booted by Vagrant, with the disk of a lab that was done
        (Machines({}, {}), -3600.0, True),  # it was stopped, as by a pause or in a golden lab's memory
    ],
)
def test_what_was_done_is_waited_for_if_machines_were_off_or_stopped(
    wanted: Machines, off_s: float, waits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(up_machines, "first_contact", lambda *_, **__: {"compute1": FirstContact(off_s, pushed=False)})
    monkeypatch.setattr(up_machines, "wait_for_services", lambda _, since: waited.append(since))
    run, _ = story(tmp_path, all_done())
    up_machines.wait_for_nodes(run, wanted, since=5.0)
    assert waited == ([5.0] if waits else [])
    waited.clear()
    run, _ = story(tmp_path, State())
    up_machines.wait_for_nodes(run, wanted, since=5.0)
    assert waited == []  # nothing was done yet
