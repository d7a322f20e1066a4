"""A private host is started for a lab that has machines, and for one that gets them; for no other: it would stay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from recorded_progress import RecordedProgress
from sample_plans import SECRETS, sample_plan

from lab.base import builddir
from lab.base.errors import UsageError
from lab.checkpoint import recovery, save_restore
from lab.checkpoint.store import Checkpoints, Manifest
from lab.cli import look
from lab.host.private import PrivateHost
from lab.nodes.state import State
from lab.planning.project import Lab
from lab.planning.secrets import Secrets
from lab.teaching.exercise import bench
from lab.verbs import opening, power

if TYPE_CHECKING:
    from collections.abc import Callable


class StartedError(Exception):
    pass


class NoticedHost(PrivateHost):
    """A private host whose start is noticed, and does nothing."""

    def start(self) -> None:
        raise StartedError


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab that was rendered, on a machine whose labs are private."""
    lab = Lab(builddir.claim(tmp_path / "build"), sample_plan(), Secrets(SECRETS))
    monkeypatch.setattr(opening, "existing", lambda *_: lab)
    for room in ("host.choice", "verbs.power", "checkpoint.save_restore", "teaching.exercise.bench"):
        monkeypatch.setattr(f"lab.{room}.own_host", lambda *_: host_of(lab))
    return lab


def host_of(lab: Lab) -> NoticedHost:
    return NoticedHost("demo", lab.build_dir, state_root=lab.build_dir.parent / "hosts")


def checkpoint(lab: Lab) -> None:
    store = Checkpoints(lab.build_dir)
    partial = store.begin("first", lab.plan, State())
    store.finish(partial, Manifest(created=0.0, running=False, steps=()))


VERBS: dict[str, Callable[[Lab], object]] = {
    "verify, ssh": lambda _: look.existing_lab(Path("lab.yaml"), None),
    "halt": lambda lab: power.halt(lab, RecordedProgress()),
    "pause": power.pause,
    "unpause": lambda lab: power.unpause(lab, RecordedProgress()),
    "resume": lambda lab: power.resume(lab, RecordedProgress()),
    "checkpoint save": lambda lab: save_restore.save(lab, "first", RecordedProgress()),
    "exercise start, grade": lambda lab: bench.LabBench(lab, RecordedProgress()),
}


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_nothing_is_started_for_a_lab_without_machines(lab: Lab, verb: Callable[[Lab], object]) -> None:
    with pytest.raises(UsageError, match="lab demo has no virtual machines") as caught:
        verb(lab)
    assert caught.value.hint == "`lab up` makes them"
    assert not host_of(lab).exists()


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_the_host_of_machines_is_started(lab: Lab, verb: Callable[[Lab], object]) -> None:
    known = host_of(lab).state_dir / "host" / "etc" / "qemu"
    known.mkdir(parents=True)
    (known / "demo-controller.xml").write_text("<domain/>")
    with pytest.raises(StartedError):
        verb(lab)


def test_a_lab_that_was_put_away_is_told_so(lab: Lab) -> None:
    checkpoint(lab)
    for verb in (VERBS["verify, ssh"], lambda lab: save_restore.delete(lab, "first", RecordedProgress())):
        with pytest.raises(UsageError, match="the lab was removed, its checkpoints were kept"):
            verb(lab)
    with pytest.raises(StartedError):
        save_restore.restore(lab, "first", RecordedProgress())


def test_machines_can_be_made_by_hand(lab: Lab) -> None:
    with pytest.raises(StartedError):  # lab exec -- vagrant up
        look.existing_lab(Path("lab.yaml"), None, without_machines=True)
    with pytest.raises(UsageError):
        recovery.start_host(lab, host_of(lab))
