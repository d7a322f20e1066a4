"""Checkpoints of a complete lab, on libvirt's test driver, without ssh and suite. Crashes at every point."""

from __future__ import annotations

import json
import shutil
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from sample_plans import SECRETS, sample_plan

from lab.base import builddir
from lab.base.durable import write_text
from lab.base.errors import HostError, LockedError, MachineError, UsageError
from lab.base.lock import lab_lock
from lab.checkpoint import recovery
from lab.checkpoint import save_restore as checkpoint
from lab.checkpoint.memory_and_disks import Machines, memory_file
from lab.checkpoint.store import Checkpoints, age, tag_of
from lab.host import capacity
from lab.host.libvirt import Hypervisor
from lab.host.ownership import Own
from lab.host.removal import remove
from lab.nodes.state import State, StateFile, StepRecord
from lab.planning.project import Lab
from lab.planning.secrets import Secrets
from lab.terminal.progress import LiveProgress
from lab.verification.report import CheckResult, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.planning.plan import Plan
    from lab.verification.report import Outcome

URI = "test:///default"
DOMAIN = """<domain type='test'><name>{name}</name><memory unit='MiB'>64</memory><os><type>hvm</type></os>
<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/pool/{name}.img'/>
<target dev='vda' bus='virtio'/></disk></devices></domain>"""
RECORD = StepRecord(inputs="abc", seconds=1.0, finished="2026-01-01T00:00:00+00:00")


class TestHost:
    """A host whose libvirt is the test driver."""

    __test__ = False
    name = mode = reason = uri = URI

    pool_dir = Path("/")

    def is_running(self) -> bool:
        return True

    def start(self) -> None:
        """Nothing to start."""

    def enter(self) -> None:
        """Nowhere to enter."""

    def hypervisor(self) -> Hypervisor:
        return Hypervisor(URI, exclusive=True)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A lab of two machines that run, with the first step done."""
    plan = sample_plan()
    builddir.claim(tmp_path)
    write_text(tmp_path / "plan.json", plan.model_dump_json(), mode=0o600)
    StateFile(tmp_path / "state.json").save(steps("10-environment"))
    monkeypatch.setattr(checkpoint, "own_host", lambda *_: TestHost())
    monkeypatch.setattr(capacity, "memory_mib", lambda: (24000, 20000))
    for module in (checkpoint, recovery):
        monkeypatch.setattr(module, "step_clocks", lambda *_: {"controller": 0.0})
    monkeypatch.setattr(checkpoint, "wait_until_ready", lambda *_, **__: [])
    monkeypatch.setattr(checkpoint, "verify", lambda *_, **__: Report(()))
    with Hypervisor(URI, exclusive=True) as kept:  # while one connection is open, the driver keeps what it has
        for node in plan.nodes:
            kept.connection.defineXML(DOMAIN.format(name=node.domain)).create()
        yield Lab(tmp_path, plan, Secrets(SECRETS))
        remove(kept, [n.domain for n in plan.nodes], [n.name for n in plan.networks], own=Own(tmp_path))


def steps(*ids: str) -> State:
    return State(steps={f"{node}/{step}": RECORD for node in ("controller", "compute1") for step in ids})


def states(lab: Lab) -> set[str]:
    with recovery.machines_of(lab.plan, host()) as machines:
        return set(machines.states().values())


def host() -> Any:
    return TestHost()


def tags(lab: Lab) -> set[str]:
    with Hypervisor(URI, exclusive=True) as hypervisor:
        domains = filter(None, (hypervisor.domain(node.domain) for node in lab.plan.nodes))
        return {tag for domain in domains for tag in domain.snapshotListNames()}


def files(lab: Lab) -> set[str]:
    return {path.name for path in (lab.build_dir / "checkpoints").iterdir()}


def save(lab: Lab, name: str = "first") -> None:
    checkpoint.save(lab, name, LiveProgress())


def test_a_checkpoint_is_complete_and_the_lab_goes_on(lab: Lab) -> None:
    save(lab)
    assert states(lab) == {"running"}
    assert files(lab) == {"first"}
    found = Checkpoints(lab.build_dir).find("first")
    assert {path.name for path in found.directory.iterdir()} == {
        *("manifest.json", "plan.json", "state.json"),
        *("controller.mem", "controller.xml", "compute1.mem", "compute1.xml"),
    }
    assert found.manifest.running
    assert found.manifest.steps == ("10-environment",)
    assert found.last_step() == "10-environment"
    assert [path for path in found.directory.iterdir() if path.suffix != ".mem" and path.stat().st_mode & 0o077] == []


def test_checks_run_while_the_services_wake_and_those_that_fail_are_asked_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(lab)
    asked, awake = threading.Event(), threading.Event()
    calls: list[object] = []

    def wait(*_: object, **__: object) -> list[str]:
        assert asked.wait(30), "the checks wait for the services"
        awake.set()
        return []

    def verify(*_: object, ids: object = None, **__: object) -> Report:
        calls.append(ids)
        asked.set()
        agent: Outcome = "passed" if ids is not None and awake.is_set() else "failed"
        return Report((result("agent", agent), *(() if ids else (result("unit", "passed"),))))

    monkeypatch.setattr(checkpoint, "wait_until_ready", wait)
    monkeypatch.setattr(checkpoint, "verify", verify)
    found = checkpoint.restore(lab, "first", LiveProgress())
    assert calls == [None, ["agent"]]
    assert found == Report((result("agent", "passed"), result("unit", "passed")))


def test_what_stops_the_checks_stops_the_waiting(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    save(lab)
    stopped = threading.Event()

    def wait(*_: object, running: Callable[[], bool], **__: object) -> list[str]:
        deadline = time.monotonic() + 30
        while running() and time.monotonic() < deadline:
            time.sleep(0.01)
        if not running():
            stopped.set()
        return []

    def verify(*_: object, **__: object) -> Report:
        raise MachineError("the suite did not end")

    monkeypatch.setattr(checkpoint, "wait_until_ready", wait)
    monkeypatch.setattr(checkpoint, "verify", verify)
    with pytest.raises(MachineError, match="the suite did not end"):
        checkpoint.restore(lab, "first", LiveProgress())
    assert stopped.is_set()


def result(name: str, outcome: Outcome) -> CheckResult:
    return CheckResult(name, "10-environment", "controller", outcome, "", "", 0.0)


def test_a_restore_brings_back_machines_disks_and_state(lab: Lab) -> None:
    save(lab)
    known_hosts = lab.build_dir / "known_hosts"
    known_hosts.write_text("compute1 ssh-ed25519 OF-A-MACHINE-MADE-SINCE\n")
    StateFile(lab.build_dir / "state.json").save(steps("10-environment", "20-database"))
    with recovery.machines_of(lab.plan, host()) as machines:
        machines.destroy()
    assert checkpoint.restore(lab, "first", LiveProgress()) == Report(())
    assert states(lab) == {"running"}
    assert StateFile(lab.build_dir / "state.json").load() == steps("10-environment")
    assert known_hosts.read_text() == ""
    assert not Checkpoints(lab.build_dir).unfinished()


def test_nodes_whose_addresses_are_lost_are_not_asked_for_their_clocks(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut may empty ssh_config beside a save that did not end; `lab up` finds the addresses afterwards."""
    asked: list[object] = []

    def step_clocks(*_: object) -> dict[str, float]:
        asked.append("clocks")
        return {}

    monkeypatch.setattr(recovery, "step_clocks", step_clocks)
    half = lab.build_dir / "checkpoints" / "fault"
    half.mkdir(parents=True)
    (half / "manifest.json").touch()
    (lab.build_dir / "ssh_config").touch()
    recovery.repair(lab, host(), lambda _: None)
    assert not Checkpoints(lab.build_dir).unfinished()
    assert states(lab) == {"running"}
    assert asked == []


def test_a_halted_lab_has_disks_alone_and_comes_back_halted(lab: Lab) -> None:
    with recovery.machines_of(lab.plan, host()) as machines:
        machines.destroy()
        save(lab)
        assert list((lab.build_dir / "checkpoints" / "first").glob("*.mem")) == []
        assert states(lab) == {"shut off"}
        for node in lab.plan.nodes:
            machines._domain(node.name).create()
    assert checkpoint.restore(lab, "first", LiveProgress()) is None
    assert states(lab) == {"shut off"}


def test_deletion_takes_files_and_snapshots(lab: Lab) -> None:
    save(lab)
    save(lab, "second")
    assert tags(lab) == {tag_of("first"), tag_of("second")}
    checkpoint.delete(lab, "first", LiveProgress())
    assert tags(lab) == {tag_of("second")}
    assert files(lab) == {"second"}
    assert states(lab) == {"running"}


def test_a_lab_that_was_put_away_comes_back(lab: Lab) -> None:
    save(lab)
    save(lab, "second")
    with Hypervisor(URI, exclusive=True) as hypervisor:
        own, domains = Own(lab.build_dir), [n.domain for n in lab.plan.nodes]
        remove(hypervisor, domains, [n.name for n in lab.plan.networks], own=own, keep_volumes=True)
    with pytest.raises(UsageError, match="the lab was removed, its checkpoints were kept") as caught:
        recovery.refuse_away(lab, host())
    assert "first, second" in str(caught.value)
    with pytest.raises(UsageError, match="the lab was removed"):
        checkpoint.delete(lab, "first", LiveProgress())
    checkpoint.restore(lab, "second", LiveProgress())
    assert states(lab) == {"running"}
    with Hypervisor(URI, exclusive=True) as hypervisor:
        assert all(hypervisor.networks([n.name for n in lab.plan.networks]).values())
    recovery.refuse_away(lab, host())
    checkpoint.delete(lab, "first", LiveProgress())
    assert tags(lab) == {tag_of("second")}


# --- Crashes


class Killed(BaseException):
    """As a kill -9: nothing of the program runs after it."""


@contextmanager
def killed(monkeypatch: pytest.MonkeyPatch, where: type, method: str, *, after: bool) -> Iterator[None]:
    """Let the program end before or after a method; what it would do about a failure is not done."""
    original = getattr(where, method)

    def end(self: Any, *arguments: Any) -> Any:
        if after:
            original(self, *arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(where, method, end)
        patch.setattr(recovery, "undo", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            yield


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("where", "method", "saved"),
    [
        (Machines, "suspend", False),
        (Machines, "save_memory", False),
        (Machines, "take_disks", False),
        (Checkpoints, "begin_restore", False),
        (Checkpoints, "finish", False),
        (Machines, "revive", True),
        (Machines, "_load", True),
        (Checkpoints, "end_restore", True),
    ],
)
def test_a_save_that_is_killed_leaves_the_old_set_or_the_new_one(
    where: type, method: str, saved: bool, after: bool, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(lab, "old")
    saved = saved or (method == "finish" and after)
    with killed(monkeypatch, where, method, after=after):
        save(lab)
    recovery.repair(lab, host(), print)
    assert states(lab) == {"running"}
    assert files(lab) == ({"old", "first"} if saved else {"old"})
    assert tags(lab) == {tag_of(name) for name in files(lab)}
    if saved:
        checkpoint.restore(lab, "first", LiveProgress())
    else:
        save(lab)
    assert states(lab) == {"running"}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("method", ["destroy", "revert_disks", "revive", "_load", "_resume"])
@pytest.mark.parametrize("again", [False, True], ids=["repaired", "restored-again"])
def test_a_restore_that_is_killed_can_be_repeated_or_mended(
    method: str, after: bool, again: bool, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(lab)
    later = steps("10-environment", "20-database")
    StateFile(lab.build_dir / "state.json").save(later)
    with killed(monkeypatch, Machines, method, after=after):
        checkpoint.restore(lab, "first", LiveProgress())
    if again:
        checkpoint.restore(lab, "first", LiveProgress())
    else:
        recovery.repair(lab, host(), print)
    assert states(lab) == {"running"}
    assert not Checkpoints(lab.build_dir).unfinished()
    untouched = method == "destroy" and not after and not again
    assert StateFile(lab.build_dir / "state.json").load() == (later if untouched else steps("10-environment"))


def test_a_deletion_that_is_killed_leaves_a_half_written_one(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    save(lab)
    with killed(monkeypatch, Checkpoints, "spoil", after=True):
        checkpoint.delete(lab, "first", LiveProgress())
    assert Checkpoints(lab.build_dir).half_written() == ["first"]
    checkpoint.delete(lab, "first", LiveProgress())
    assert (files(lab), tags(lab), states(lab)) == (set(), set(), {"running"})


def test_a_reader_repairs_only_where_there_is_something_to_repair(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    with lab_lock(lab.build_dir):
        recovery.repair_for_reader(lab, host(), print)
    with killed(monkeypatch, Machines, "suspend", after=True):
        save(lab)
    assert states(lab) == {"paused"}
    with lab_lock(lab.build_dir), pytest.raises(LockedError):
        recovery.repair_for_reader(lab, host(), print)
    recovery.repair_for_reader(lab, host(), print)
    assert states(lab) == {"running"}


# --- Failures: the lab goes on as before


@pytest.mark.parametrize("method", ["suspend", "save_memory", "take_disks"])
@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()], ids=["full", "ctrl-c"])
def test_a_save_that_fails_takes_itself_back(
    method: str, error: BaseException, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = getattr(Machines, method)

    def fail(self: Machines, *arguments: Any) -> None:
        original(self, *arguments)
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Machines, method, fail)
        with pytest.raises(type(error)):
            save(lab)
    assert (files(lab), tags(lab), states(lab)) == (set(), set(), {"running"})
    save(lab)


def test_no_space(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machines, "memory_mib", lambda _: 10**9)
    with pytest.raises(HostError, match=r"no space for a checkpoint in .*, expected 1000000128 MiB") as caught:
        save(lab)
    assert caught.value.exit_code == 3
    assert not (lab.build_dir / "checkpoints").exists()


def test_no_memory_for_machines_that_are_off(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who runs or is paused has its memory already, as after a crash in the middle of bringing back."""
    save(lab)
    monkeypatch.setattr(capacity, "memory_mib", lambda: (24000, 1000))
    checkpoint.restore(lab, "first", LiveProgress())
    with recovery.machines_of(lab.plan, host()) as machines:
        machines.suspend()
        checkpoint.restore(lab, "first", LiveProgress())
        machines.destroy()
    before = unchanged(lab)
    with pytest.raises(HostError, match="does not fit on this host") as caught:
        checkpoint.restore(lab, "first", LiveProgress())
    assert "controller 5 GiB" in caught.value.detail
    assert unchanged(lab) == before


# --- Bad input: nothing is changed


def unchanged(lab: Lab) -> tuple[set[str], set[str], set[str], str]:
    return files(lab), tags(lab), states(lab), (lab.build_dir / "state.json").read_text()


def test_a_name_that_exists_is_refused(lab: Lab) -> None:
    save(lab)
    before = unchanged(lab)
    with pytest.raises(UsageError, match="checkpoint first exists"):
        save(lab)
    assert unchanged(lab) == before


@pytest.mark.parametrize("name", ["", "../up", "a b", ".hidden", "x.partial", "a" * 41, "-f"])
def test_a_name_that_cannot_be_one(name: str, lab: Lab) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a checkpoint"):
        save(lab, name)


@pytest.mark.parametrize("verb", [checkpoint.restore, checkpoint.delete])
def test_an_unknown_name(verb: Any, lab: Lab) -> None:
    with pytest.raises(UsageError, match="no checkpoint first") as caught:
        verb(lab, "first", LiveProgress())
    assert "there is none yet" in caught.value.hint
    save(lab)
    before = unchanged(lab)
    for name, hint in (("frist", "did you mean `first`?"), ("zzz", "checkpoints: first")):
        with pytest.raises(UsageError) as caught:
            verb(lab, name, LiveProgress())
        assert caught.value.hint == hint
        assert caught.value.exit_code == 2
    assert unchanged(lab) == before


def test_a_half_written_one_is_not_restored(lab: Lab) -> None:
    save(lab)
    (lab.build_dir / "checkpoints" / "first" / "manifest.json").unlink()
    with pytest.raises(UsageError, match="checkpoint first is incomplete") as caught:
        checkpoint.restore(lab, "first", LiveProgress())
    assert "lab checkpoint delete first" in caught.value.hint


def other_plans() -> dict[str, tuple[Plan, str]]:
    plan = sample_plan()
    return {
        "release": (plan.model_copy(update={"release": "epoxy"}), "release: zed -> epoxy"),
        "nodes": (sample_plan(computes=2), "node compute2: added"),
        "steps": (
            plan.model_copy(update={"steps": plan.steps[1:]}),
            "step 10-environment: done there -> not in the plan",
        ),
        "another-lab": (plan.model_copy(update={"name": "other"}), "name: demo -> other"),
    }


@pytest.mark.parametrize("which", other_plans())
def test_a_checkpoint_of_another_plan_is_refused_with_the_difference(which: str, lab: Lab) -> None:
    save(lab)
    before = unchanged(lab)
    plan, difference = other_plans()[which]
    with pytest.raises(UsageError, match="belongs to another plan") as caught:
        checkpoint.restore(Lab(lab.build_dir, plan, lab.secrets), "first", LiveProgress())
    assert difference in caught.value.detail.splitlines()
    assert unchanged(lab) == before


def test_a_chapter_that_came_later_does_not_matter(lab: Lab) -> None:
    save(lab)
    step = lab.plan.steps[-1].model_copy(update={"id": "95-quotas"})
    plan = lab.plan.model_copy(update={"steps": (*lab.plan.steps, step)})
    assert checkpoint.restore(Lab(lab.build_dir, plan, lab.secrets), "first", LiveProgress()) is not None


def test_a_lab_that_does_not_run_as_a_whole(lab: Lab) -> None:
    with recovery.machines_of(lab.plan, host()) as machines:
        machines._domain("compute1").destroy()
    with pytest.raises(MachineError, match="some machines of the lab run and some are off") as caught:
        save(lab)
    assert "compute1: shut off" in caught.value.detail


@pytest.mark.parametrize("lost", ["compute1.mem", "compute1.xml", "plan.json"])
def test_a_checkpoint_that_lost_a_file_is_refused_before_anything_is_touched(lost: str, lab: Lab) -> None:
    save(lab)
    (lab.build_dir / "checkpoints" / "first" / lost).unlink()
    before = unchanged(lab)
    with pytest.raises(MachineError, match=r"damaged|has lost") as caught:
        checkpoint.restore(lab, "first", LiveProgress())
    assert caught.value.exit_code == 4
    assert unchanged(lab) == before
    checkpoint.delete(lab, "first", LiveProgress())
    assert (files(lab), tags(lab)) == (set(), set())


@pytest.mark.parametrize("file", ["state.json", "manifest.json"])
def test_a_file_of_a_newer_version_is_refused(file: str, lab: Lab) -> None:
    save(lab)
    path = lab.build_dir / "checkpoints" / "first" / file
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 2}))
    before = unchanged(lab)
    with pytest.raises(MachineError, match="version"):
        checkpoint.restore(lab, "first", LiveProgress())
    assert unchanged(lab) == before


def test_machines_that_were_made_anew_are_not_overwritten(lab: Lab) -> None:
    save(lab)
    with Hypervisor(URI, exclusive=True) as hypervisor:
        remove(hypervisor, [node.domain for node in lab.plan.nodes], own=Own(lab.build_dir))
        for node in lab.plan.nodes:
            hypervisor.connection.defineXML(DOMAIN.format(name=node.domain)).create()
    with pytest.raises(MachineError, match="belongs to another machine demo-controller"):
        checkpoint.restore(lab, "first", LiveProgress())
    assert states(lab) == {"running"}
    checkpoint.delete(lab, "first", LiveProgress())
    assert files(lab) == set()


def test_a_directory_that_was_renamed_is_refused(lab: Lab) -> None:
    save(lab)
    root = lab.build_dir / "checkpoints"
    shutil.move(root / "first", root / "second")
    with pytest.raises(MachineError, match="directory renamed|another machine"):
        checkpoint.restore(lab, "second", LiveProgress())
    assert states(lab) == {"running"}


def test_a_locked_lab(lab: Lab) -> None:
    save(lab)
    before = unchanged(lab)
    with lab_lock(lab.build_dir, "lab up"):
        with pytest.raises(LockedError, match="lab up"):
            save(lab, "second")
        for verb in (checkpoint.restore, checkpoint.delete):
            with pytest.raises(LockedError, match="lab up"):
                cast("Any", verb)(lab, "first", LiveProgress())
    assert unchanged(lab) == before


def test_memory_files_count_in_the_size(lab: Lab) -> None:
    save(lab)
    found = Checkpoints(lab.build_dir).find("first")
    memory_file(found.directory, "controller").write_bytes(b"x" * 5 * 2**20)
    assert 5 <= found.size_mib() <= 6


def test_ages() -> None:
    now = 1_000_000.0
    assert [age(now - s, now) for s in (0, 45, 600, 3 * 3600, 3 * 86400)] == ["0 s", "45 s", "10 min", "3 h", "3 days"]
