"""`lab up --checkpoints`: chapter by chapter, with fakes for the nodes, the suite and the saving."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from recorded_progress import RecordedProgress
from sample_plans import SECRETS, sample_plan

from lab.checkpoint import save_restore as checkpoint
from lab.host.private import PrivateHost
from lab.nodes.schedule import MACHINES, Job, jobs_of
from lab.planning.project import Lab
from lab.planning.secrets import Secrets
from lab.verbs.run import Run
from lab.verbs.up_steps import run_chapters, run_steps, verified
from lab.verification import proven
from lab.verification.report import CheckResult, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from lab.nodes.steps import StepRunner

PLAN = sample_plan()
IDS = [step.id for step in PLAN.steps]


class Story:
    """A runner, a suite and a saver that note what they are asked for."""

    def __init__(self) -> None:
        self.acts: list[str] = []
        self.broken: set[str] = set()
        self.seconds: dict[str, float] = {}

    def run(self, jobs: Iterable[Job], done: Collection[Job], on_last: Callable[[Job], None]) -> None:
        assert callable(on_last)
        todo = sorted({job.step for job in jobs if job not in set(done)})
        self.acts += [f"run {step}" for step in todo]

    def settle(self, *_: object, **__: object) -> list[str]:
        self.acts.append("settle")
        return []

    def verify(self, _plan: Any, _build: Any, *, steps: tuple[str, ...], **_: object) -> Report:
        self.acts += [f"verify {' '.join(steps)}"]
        bad = [s for s in steps if s in self.broken]
        return Report(tuple(CheckResult(f"c-{s}", s, "controller", "failed", "no", "", 0.1) for s in bad))

    def take(self, lab: Lab, _host: Any, name: str, _progress: Any) -> None:
        (lab.build_dir / "checkpoints" / name).mkdir(parents=True)
        self.acts.append(f"save {name}")


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> Story:
    made = Story()
    monkeypatch.setattr("lab.verbs.up_machines.wait_until_ready", made.settle)
    monkeypatch.setattr("lab.verbs.run.verify", made.verify)
    monkeypatch.setattr(checkpoint, "take", made.take)
    monkeypatch.setattr(proven, "remember", lambda _plan, state, _result: state)
    return made


def a_run(story: Story, tmp_path: Path, to_step: str | None) -> Run:
    host = PrivateHost("demo", tmp_path, reason="", state_root=tmp_path / "hosts")
    run = Run.of(Lab(tmp_path, PLAN, Secrets(SECRETS)), host, RecordedProgress(), to_step)
    return replace(run, runner=cast("StepRunner", story))


def chapters(story: Story, tmp_path: Path, known: set[Job], to_step: str | None) -> Report | None:
    return run_chapters(a_run(story, tmp_path, to_step), known)


def jobs(*steps: str) -> set[Job]:
    return {job for job in jobs_of(PLAN) if job.step in steps}


def test_each_chapter_is_run_checked_and_kept(story: Story, tmp_path: Path) -> None:
    known: set[Job] = set()
    assert chapters(story, tmp_path, known, "20-database") is None
    assert story.acts == [
        f"save {MACHINES}",
        *("run 10-environment", "settle", "verify 10-environment", "save 10-environment"),
        *("run 20-database", "settle", "verify 20-database", "save 20-database"),
    ]
    assert known == jobs("10-environment", "20-database")


def test_what_is_done_is_not_run_again_and_what_exists_stays(story: Story, tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "10-environment").mkdir(parents=True)
    known = jobs("10-environment")
    assert chapters(story, tmp_path, known, "20-database") is None
    assert story.acts == [
        "verify 10-environment",
        *("run 20-database", "settle", "verify 20-database", "save 20-database"),
    ]


def test_no_checkpoint_of_a_chapter_that_the_lab_is_past(story: Story, tmp_path: Path) -> None:
    known = jobs("10-environment", "50-compute-controller")
    assert chapters(story, tmp_path, known, "50-compute-controller") is None
    assert story.acts == [
        *("run 20-database", "settle"),
        *("verify 50-compute-controller", "save 50-compute-controller"),
    ]


def test_a_chapter_whose_checks_fail_is_mended_once_and_is_the_end(story: Story, tmp_path: Path) -> None:
    story.broken = {"20-database"}
    result = chapters(story, tmp_path, set(), None)
    assert result is not None
    assert not result.good
    assert story.acts[-6:] == ["run 20-database", "settle", "verify 20-database"] * 2


def test_up_to_the_machines_alone_runs_and_verifies_nothing(story: Story, tmp_path: Path) -> None:
    run = a_run(story, tmp_path, MACHINES)
    assert run_steps(run, set()) is None
    assert verified(run) == Report(())
    assert story.acts == []
