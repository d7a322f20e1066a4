"""`lab halt`, `resume`, `pause`, `unpause` on libvirt's test driver; a guest that does not feel its power button."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from recorded_progress import RecordedProgress
from sample_plans import SECRETS, sample_plan

from lab.base import builddir
from lab.base.errors import LockedError, MachineError, UsageError
from lab.base.lock import lab_lock
from lab.base.process import Completed
from lab.host.libvirt import Hypervisor
from lab.machines import power as machines
from lab.planning.project import Lab
from lab.planning.secrets import Secrets
from lab.verbs import power
from lab.verification import report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLAN = sample_plan(computes=2)
DOMAINS = [node.domain for node in PLAN.nodes]
XML = "<domain type='test'><name>{}</name><memory>65536</memory><os><type>hvm</type></os></domain>"


class FakeHost:
    """A host with libvirt's test driver, which keeps its domains from one connection to the next."""

    mode = "private"

    def __init__(self, file: Path) -> None:
        file.write_text("<node/>")
        self._hypervisor = Hypervisor(f"test://{file}")
        self._hypervisor.close = lambda: None  # type: ignore[method-assign]
        self.entered = False

    def is_running(self) -> bool:
        return True

    def start(self) -> None:
        pass

    def enter(self) -> None:
        self.entered = True

    def hypervisor(self) -> Hypervisor:
        return self._hypervisor

    def define(self) -> None:
        for name in DOMAINS:
            self._hypervisor._connection.defineXML(XML.format(name))

    def states(self) -> list[str]:
        return list(self._hypervisor.states(DOMAINS).values())


class FakeSsh:
    """Nodes that answer at once, with a clock that is two minutes late after a pause."""

    said: list[str] = []  # noqa: RUF012

    def __init__(self, build_dir: Path) -> None:
        pass

    def abort(self) -> None: ...

    def close(self) -> None:
        self.said.append("close")

    def wait_ready(self, node: str, timeout_s: float) -> None:
        self.said.append(f"{node} ready?")

    def run(self, node: str, command: list[str], **_: object) -> Completed:
        self.said.append(f"{node} {' '.join(command[:3])}")
        return Completed(tuple(command), 0, f"{time.time() - 120:.3f}", "", 0.0)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    fake = FakeHost(tmp_path / "node.xml")
    FakeSsh.said = []
    monkeypatch.setattr(power, "own_host", lambda *_: fake)
    monkeypatch.setattr(power, "Ssh", FakeSsh)

    def settle(*_: object, **__: object) -> list[str]:
        FakeSsh.said.append("settle")
        return []

    def verify(*_: object, **__: object) -> report.Report:
        FakeSsh.said.append("verify")
        return report.Report(())

    monkeypatch.setattr(power, "wait_until_ready", settle)
    monkeypatch.setattr(power, "verify", verify)
    return fake


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(builddir.claim(tmp_path / "build"), PLAN, Secrets(SECRETS))


@pytest.fixture
def progress() -> RecordedProgress:
    return RecordedProgress()


@pytest.mark.parametrize("check", [True, False])
def test_the_checks_may_be_left_to_the_suite(host: FakeHost, lab: Lab, progress: RecordedProgress, check: bool) -> None:
    host.define()
    assert power.resume(lab, progress, check=check).good
    assert "settle" in FakeSsh.said
    assert ("verify" in FakeSsh.said) == check


def test_halt_and_resume(host: FakeHost, lab: Lab, progress: RecordedProgress) -> None:
    host.define()
    assert power.resume(lab, progress).good
    assert host.states() == ["running"] * 3
    assert host.entered
    assert power.halt(lab, progress)
    assert host.states() == ["shut off"] * 3
    text = "\n".join(progress.lines)
    assert "shutting down: demo-compute1, demo-compute2" in text
    assert text.index("shutting down: demo-compute1") < text.index("shutting down: demo-controller")
    assert not power.halt(lab, progress)


def test_clocks_are_set_before_anything_is_asked(host: FakeHost, lab: Lab, progress: RecordedProgress) -> None:
    host.define()
    power.resume(lab, progress)
    sets = [n for n, said in enumerate(FakeSsh.said) if "sudo date --utc" in said]
    assert len(sets) == 3
    assert max(sets) < FakeSsh.said.index("settle") < FakeSsh.said.index("verify")


def test_networks_that_are_off_or_gone_come_back(host: FakeHost, lab: Lab, progress: RecordedProgress) -> None:
    host.define()
    power.resume(lab, progress)
    host.hypervisor()._connection.networkLookupByName("demo-management").destroy()
    power.resume(lab, progress)
    assert host.hypervisor().networks([n.name for n in PLAN.networks]) == {n.name: True for n in PLAN.networks}


def test_pause_and_unpause(host: FakeHost, lab: Lab, progress: RecordedProgress) -> None:
    host.define()
    power.resume(lab, progress)
    assert power.unpause(lab, progress) is None  # it runs
    assert power.pause(lab)
    assert host.states() == ["paused"] * 3
    assert not power.pause(lab)
    assert power.unpause(lab, progress) == report.Report(())
    assert host.states() == ["running"] * 3
    power.pause(lab)
    power.halt(lab, progress)  # a paused guest would not feel the button
    assert host.states() == ["shut off"] * 3


def test_what_cannot_be_is_one_message(host: FakeHost, lab: Lab, progress: RecordedProgress) -> None:
    for verb in (power.halt, power.resume, power.unpause):
        with pytest.raises(UsageError, match="lab demo has no virtual machines") as caught:
            verb(lab, progress)
        assert caught.value.hint == "`lab up` makes them"
    with pytest.raises(UsageError, match="lab demo has no virtual machines") as caught:
        power.pause(lab)
    assert caught.value.hint == "`lab up` makes them"
    host.define()
    with pytest.raises(UsageError, match="is not running: nothing to pause"):
        power.pause(lab)
    with pytest.raises(UsageError, match="is halted, not paused"):
        power.unpause(lab, progress)
    host.hypervisor().domain(DOMAINS[2]).undefine()  # type: ignore[union-attr]
    with pytest.raises(MachineError, match="no virtual machine demo-compute2"):
        power.resume(lab, progress)
    assert "running" not in host.states()


def test_one_at_a_time(host: FakeHost, lab: Lab, progress: RecordedProgress) -> None:
    host.define()
    with lab_lock(lab.build_dir, "lab up"), pytest.raises(LockedError, match="works on this lab"):
        power.halt(lab, progress)


class Stubborn:
    """A guest that feels the power button only when it has booted, or never."""

    def __init__(self, feels_at: float) -> None:
        self.feels_at, self.pressed, self.off, self.cut = feels_at, 0, False, False

    def domain(self, _name: str) -> Stubborn:
        return self

    def state(self, _name: str) -> str:
        return "shut off" if self.off else "running"

    def ask_qemu(self, _name: str, _what: str, call: Callable[[Stubborn], None], *, limit_s: float) -> None:
        assert limit_s > 0
        call(self)

    def shutdown(self) -> None:
        self.pressed += 1
        self.off = time.monotonic() >= self.feels_at

    def destroy(self) -> None:
        self.off = self.cut = True


def test_the_button_is_pressed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "_LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(machines, "_PRESS_AGAIN_S", 0.02)
    guest: Any = Stubborn(time.monotonic() + 0.2)
    machines.shut_down(guest, ["x"], timeout_s=30, say=pytest.fail)
    assert guest.pressed > 1
    assert not guest.cut


def test_who_does_not_follow_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "_LOOK_EVERY_S", 0.01)
    guest: Any = Stubborn(float("inf"))
    told: list[str] = []
    machines.shut_down(guest, ["demo-compute1"], timeout_s=0.1, say=told.append)
    assert guest.cut
    assert guest.pressed == 1
    assert told == ["demo-compute1 did not shut down within 0 s: switching it off"]
