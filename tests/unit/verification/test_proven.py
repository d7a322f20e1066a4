"""What the suite said last, and what of it is believed later."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sample_plans import SECRETS, sample_plan

from lab.base.lock import lab_lock
from lab.generator.render import render
from lab.nodes.schedule import Job, jobs_of
from lab.nodes.state import State, StateFile, StepRecord
from lab.nodes.steps import inputs_digest, not_done
from lab.planning.plan import Check, HostProof, Plan
from lab.planning.project import Lab
from lab.planning.secrets import Secrets
from lab.verification import proven
from lab.verification.report import CheckResult, Outcome, Report

if TYPE_CHECKING:
    from pathlib import Path

STEPS = ("10-environment", "20-database")


def check(node: str, step: str, name: str) -> Check:
    return Check(
        id=f"{node}-{step}-{name}",
        node=node,
        step=step,
        kind="unit",
        guide="",
        command="",
        quick=True,
        args={"name": name},
    )


CHECKS = (
    check("controller", "10-environment", "a"),
    check("compute1", "10-environment", "a"),
    check("controller", "20-database", "b"),
)
PLAN = sample_plan().model_copy(update={"checks": CHECKS})


def report(*outcomes: Outcome) -> Report:
    return Report(
        tuple(
            CheckResult(c.id, c.step, c.node, outcome, "", "", 0.1) for c, outcome in zip(CHECKS, outcomes, strict=True)
        )
    )


def record(plan: Plan, job: Job) -> StepRecord:
    inputs = inputs_digest(render(plan, SECRETS), job)
    return StepRecord(inputs=inputs, seconds=1.0, finished="2026-01-01T00:00:00+00:00")


def done_state(plan: Plan = PLAN) -> State:
    state = State()
    for job in jobs_of(plan):
        state = state.with_step(*job, record(plan, job))
    return state


def test_what_passed_is_verified_until_a_step_runs() -> None:
    state = proven.remember(PLAN, done_state(), report("passed", "passed", "passed"))
    assert proven.is_verified(PLAN, state, STEPS)
    job = Job("controller", "20-database")
    assert not proven.is_verified(PLAN, state.with_step(*job, record(PLAN, job)), STEPS)


def test_other_checks_than_those_that_passed_are_not_verified() -> None:
    state = proven.remember(PLAN, done_state(), report("passed", "passed", "passed"))
    grown = PLAN.model_copy(update={"checks": (*CHECKS, check("compute2", "10-environment", "a"))})
    assert not proven.is_verified(grown, state, STEPS)
    assert proven.is_verified(grown, state, ["20-database"])


def test_what_failed_runs_again_and_is_named() -> None:
    state = proven.remember(PLAN, done_state(), report("passed", "failed", "passed"))
    assert not proven.is_verified(PLAN, state, STEPS)
    assert not_done(PLAN, render(PLAN, SECRETS), state) == {
        Job("compute1", "10-environment"): "the suite found: compute1-10-environment-a"
    }
    repaired = proven.remember(PLAN, state, report("passed", "passed", "passed"))
    assert not_done(PLAN, render(PLAN, SECRETS), repaired) == {}


def test_what_could_not_be_judged_is_neither() -> None:
    state = proven.remember(PLAN, done_state(), report("passed", "error", "passed"))
    assert not proven.is_verified(PLAN, state, ["10-environment"])
    assert not_done(PLAN, render(PLAN, SECRETS), state) == {}


def test_a_node_that_went_takes_its_drift_along() -> None:
    state = proven.remember(PLAN, done_state(), report("passed", "failed", "passed")).without_node("compute1")
    assert state.drifted == {}
    assert not state.knows("compute1")
    assert state.knows("controller")


def test_verify_leaves_a_lab_alone_that_another_process_works_on(tmp_path: Path) -> None:
    lab = Lab(tmp_path, PLAN, Secrets(SECRETS))
    with lab_lock(tmp_path, "lab up"):
        proven.note(lab, report("passed", "failed", "passed"))
    assert not (tmp_path / "state.json").exists()
    proven.note(lab, report("passed", "failed", "passed"))
    assert list(StateFile(tmp_path / "state.json").load().drifted) == ["compute1/10-environment"]


# --- which steps run again


def test_why_a_step_runs() -> None:
    state = done_state()
    gone = state.without_steps({("controller", "20-database")})
    old = gone.with_step(
        "controller", "80-first-network", StepRecord(inputs="other", seconds=1, finished="2026-01-01T00:00:00+00:00")
    )
    assert not_done(PLAN, render(PLAN, SECRETS), old) == {
        Job("controller", "20-database"): "never finished",
        Job("controller", "80-first-network"): "its inputs changed",
    }


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_only_what_depends_on_the_computes_runs_again(before: int, after: int, real_plan: dict[int, Plan]) -> None:
    old, new = real_plan[before], real_plan[after]
    secrets = dict.fromkeys(old.secrets, "secretSecret")
    state = State()
    for job in jobs_of(old):
        inputs = inputs_digest(render(old, secrets), job)
        state = state.with_step(*job, StepRecord(inputs=inputs, seconds=1, finished="2026-01-01T00:00:00+00:00"))
    again = not_done(new, render(new, secrets), state)
    assert {job for job, why in again.items() if why == "its inputs changed"} == {
        Job("controller", "10-environment"),
        Job("compute1", "10-environment"),
        Job("controller", "70-discover-hosts"),
        Job("controller", "90-first-instance"),
    }
    new_jobs = {job for job, why in again.items() if why == "never finished"}
    assert new_jobs == {job for job in jobs_of(new) if job.node == "compute2"}


@pytest.fixture(scope="module")
def real_plan() -> dict[int, Plan]:
    """Plans of the release zed with one and two compute nodes."""
    from lab.inputs.model import Spec
    from lab.planning.plan import HostFacts
    from lab.planning.project import decide

    def plan(count: int) -> Plan:
        nodes = {"compute": {"count": count}}
        spec = Spec.model_validate({"name": "demo", "release": "zed", "nodes": nodes})
        return decide(spec, HostProof(HostFacts(), "", ""))

    return {count: plan(count) for count in (1, 2)}
