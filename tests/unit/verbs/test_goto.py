from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from recorded_progress import RecordedProgress
from sample_plans import SECRETS, sample_plan

from lab.base.durable import write_text
from lab.base.errors import UsageError
from lab.checkpoint import save_restore as checkpoint
from lab.checkpoint.store import Checkpoint, Checkpoints, Manifest
from lab.nodes.schedule import MACHINES, jobs_of
from lab.nodes.state import State, StateFile, StepRecord
from lab.planning.project import Lab
from lab.planning.secrets import Secrets
from lab.verbs import goto
from lab.verbs.up import UpResult
from lab.verification.report import CheckResult, Report

PLAN = sample_plan()
RECORD = StepRecord(inputs="x", seconds=1, finished="2026-01-01T00:00:00+00:00")
LAB = Lab(Path("build"), PLAN, Secrets(SECRETS))
IDS = [step.id for step in PLAN.steps]
SPEC = "name: demo\nrelease: zed\n"


class Story:
    """What `goto` did with the lab, in order."""

    def __init__(self) -> None:
        self.acts: list[str] = []
        self.away = False
        self.restored: Report | None = Report(())

    def up(self, _spec: Any, _directory: Path, _progress: Any, *, to_step: str | None) -> UpResult:
        self.acts.append(f"up --to {to_step}")
        return UpResult(LAB, Report(()))

    def restore(self, _lab: Any, name: str, _progress: Any) -> Report | None:
        self.acts.append(f"restore {name}")
        return self.restored


@pytest.fixture
def story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Story:
    made = Story()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab.yaml").write_text(SPEC)
    build(tmp_path).mkdir(parents=True)
    write_text(build(tmp_path) / "plan.json", PLAN.model_dump_json(), mode=0o600)
    monkeypatch.setattr(goto, "bring_up", made.up)
    monkeypatch.setattr(checkpoint, "restore", made.restore)
    monkeypatch.setattr(goto, "opened", lambda *_: LAB)
    monkeypatch.setattr(goto, "_away", lambda *_: made.away)
    return made


def build(tmp_path: Path) -> Path:
    return tmp_path / ".lab" / "demo"


def stand(tmp_path: Path, count: int) -> None:
    """Put the lab after so many steps."""
    done = {f"{job.node}/{job.step}": RECORD for job in jobs_of(PLAN) if job.step in IDS[:count]}
    StateFile(build(tmp_path) / "state.json").save(State(steps=done))


def keep(tmp_path: Path, *names: str) -> None:
    store = Checkpoints(build(tmp_path))
    for name in names:
        steps = tuple(IDS[: IDS.index(name) + 1]) if name in IDS else ()
        store.finish(store.begin(name, PLAN, State()), Manifest(created=1.0, running=True, steps=steps))


def to(tmp_path: Path, chapter: str) -> bool:
    return goto.goto(tmp_path / "lab.yaml", None, chapter, RecordedProgress()).report.good


def test_the_checkpoint_of_the_step_before(story: Story, tmp_path: Path) -> None:
    stand(tmp_path, 5)
    keep(tmp_path, MACHINES, "10-environment", "20-database")
    assert to(tmp_path, "50-compute-controller")
    assert story.acts == ["restore 20-database"]


def test_it_is_restored_even_where_the_lab_stands_there(story: Story, tmp_path: Path) -> None:
    stand(tmp_path, 2)
    keep(tmp_path, "20-database")
    assert to(tmp_path, "compute-controller")
    assert story.acts == ["restore 20-database"]


def test_the_first_chapter(story: Story, tmp_path: Path) -> None:
    stand(tmp_path, 5)
    keep(tmp_path, MACHINES, "10-environment")
    assert to(tmp_path, "10-environment")
    assert story.acts == [f"restore {MACHINES}"]


def test_the_nearest_earlier_one_and_steps_where_the_lab_is_past_it(story: Story, tmp_path: Path) -> None:
    stand(tmp_path, 6)
    keep(tmp_path, MACHINES, "20-database")
    assert to(tmp_path, "60-network-controller")
    assert story.acts == ["restore 20-database", f"up --to {IDS[IDS.index('60-network-controller') - 1]}"]


def test_a_lab_that_is_not_past_it_is_provisioned_from_where_it_stands(story: Story, tmp_path: Path) -> None:
    stand(tmp_path, 3)
    keep(tmp_path, "10-environment")
    assert to(tmp_path, "60-network-controller")
    assert story.acts == [f"up --to {IDS[IDS.index('60-network-controller') - 1]}"]


def test_a_lab_that_was_put_away_comes_back_first(story: Story, tmp_path: Path) -> None:
    stand(tmp_path, 3)
    keep(tmp_path, "10-environment")
    story.away = True
    assert to(tmp_path, "60-network-controller")
    assert story.acts == ["restore 10-environment", f"up --to {IDS[IDS.index('60-network-controller') - 1]}"]


def test_nothing_there_yet(story: Story, tmp_path: Path) -> None:
    assert to(tmp_path, "10-environment")
    assert story.acts == [f"up --to {MACHINES}"]


def test_past_it_and_no_way_back(story: Story, tmp_path: Path) -> None:
    stand(tmp_path, 3)
    keep(tmp_path, "20-database")
    with pytest.raises(UsageError, match=r"the lab is past 10-environment \(20-database, 50-compute-controller done\)"):
        to(tmp_path, "20-database")
    assert story.acts == []


def test_a_failed_check_after_the_restore_is_told(story: Story, tmp_path: Path) -> None:
    keep(tmp_path, "20-database")
    failed = CheckResult("id", "20-database", "controller", "failed", "no", "", 0.1)
    story.restored = Report((failed,))
    assert not to(tmp_path, "50-compute-controller")


def test_a_halted_checkpoint_is_booted(story: Story, tmp_path: Path) -> None:
    keep(tmp_path, "20-database")
    story.restored = None
    assert to(tmp_path, "50-compute-controller")
    assert story.acts == ["restore 20-database", "up --to 20-database"]


@pytest.mark.parametrize(("chapter", "hint"), [("databse", "did you mean `20-database`? "), ("zzz", "")])
def test_an_unknown_chapter(chapter: str, hint: str, story: Story, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"no step {chapter} in lab demo") as caught:
        to(tmp_path, chapter)
    assert caught.value.hint == f"{hint}steps: {', '.join(IDS)}"
    assert story.acts == []


def test_a_checkpoint_that_only_bears_a_chapters_name_is_not_taken(tmp_path: Path) -> None:
    late = Checkpoint(tmp_path / "20-database", Manifest(created=1.0, running=True, steps=tuple(IDS[:4])))
    users = Checkpoint(tmp_path / "mine", Manifest(created=1.0, running=True, steps=tuple(IDS[:2])))
    good = Checkpoint(tmp_path / "10-environment", Manifest(created=1.0, running=True, steps=tuple(IDS[:1])))
    assert goto.nearest([late, users, good], IDS[:3]) == good
    assert goto.nearest([late, users], IDS[:3]) is None
