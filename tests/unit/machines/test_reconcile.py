"""What each machine needs, from what libvirt and Vagrant know of it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import MagicMock

import pytest
from recorded_progress import RecordedProgress
from sample_plans import SECRETS, sample_plan

from lab.base.errors import MachineError
from lab.inputs.model import Spec
from lab.machines import reconcile
from lab.machines.console import console_of
from lab.machines.reconcile import ABSENT, Machines, look, start_off
from lab.planning.project import Lab
from lab.planning.secrets import Secrets
from lab.terminal.progress import LiveProgress
from lab.verbs.run import Run
from lab.verbs.up import _phases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

PLAN = sample_plan(computes=2)
NAMES = ["controller", "compute1", "compute2"]


@dataclass
class FakeHypervisor:
    """Domains by name: their state, their interfaces; of id ID-NAME."""

    domains: dict[str, str]
    macs_of: dict[str, set[str]]
    active: dict[str, bool] = field(default_factory=lambda: dict.fromkeys([n.name for n in PLAN.networks], True))
    done: list[str] = field(default_factory=list)

    def states(self, names: Iterable[str]) -> dict[str, str]:
        return {name: self.domains.get(name, "absent") for name in names}

    def uuid(self, name: str) -> str:
        return f"ID-{name}"

    def macs(self, name: str) -> frozenset[str]:
        return frozenset(self.macs_of[name])

    def networks(self, names: Iterable[str]) -> dict[str, bool]:
        return {name: self.active[name] for name in names if name in self.active}

    def ensure_network(self, network: Any) -> None:
        self.done.append(f"network {network.name}")

    def power_off(self, name: str) -> None:
        self.done.append(f"power off {name}")

    def start(self, name: str) -> None:
        self.done.append(f"start {name}")


class FakeSsh:
    def __init__(self) -> None:
        self.dropped: list[str] = []

    def drop(self, nodes: Iterable[str]) -> None:
        self.dropped += nodes


@pytest.fixture
def hypervisor() -> FakeHypervisor:
    """All machines run and are complete."""
    return FakeHypervisor(
        {node.domain: "running" for node in PLAN.nodes},
        {node.domain: {nic.mac for nic in node.nics} for node in PLAN.nodes},
    )


def looked(hypervisor: FakeHypervisor, directory: Path, known: Iterable[str] = NAMES) -> Machines:
    return look(PLAN, directory, cast("Any", hypervisor), known)


def known_to_vagrant(directory: Path, name: str, machine_id: str) -> None:
    data = directory / ".vagrant" / "machines" / name / "libvirt"
    data.mkdir(parents=True)
    (data / "id").write_text(machine_id)


def test_a_lab_that_runs_needs_nothing(hypervisor: FakeHypervisor, tmp_path: Path) -> None:
    assert not looked(hypervisor, tmp_path)


@pytest.mark.parametrize("state", ["shut off", "crashed", "paused", "saved"])
def test_a_machine_that_does_not_run_is_started_not_made(
    hypervisor: FakeHypervisor, tmp_path: Path, state: str
) -> None:
    hypervisor.domains["demo-compute1"] = state
    found = looked(hypervisor, tmp_path)
    assert (found.make, found.start) == ({}, {"compute1": state})


def test_a_new_machine_is_made_alone(hypervisor: FakeHypervisor, tmp_path: Path) -> None:
    del hypervisor.domains["demo-compute2"]
    assert looked(hypervisor, tmp_path, NAMES[:2]) == Machines({"compute2": ABSENT}, {})


def test_a_machine_that_vagrant_did_not_finish_is_made_anew(hypervisor: FakeHypervisor, tmp_path: Path) -> None:
    hypervisor.macs_of["demo-compute2"].pop()  # of its interfaces one came
    known_to_vagrant(tmp_path, "compute2", "ID-demo-compute2")
    hypervisor.domains["demo-compute2"] = "shut off"
    assert list(looked(hypervisor, tmp_path, NAMES[:2]).make) == ["compute2"]


def test_a_domain_that_vagrant_does_not_know_is_made_anew(hypervisor: FakeHypervisor, tmp_path: Path) -> None:
    known_to_vagrant(tmp_path, "compute2", "another one")
    assert list(looked(hypervisor, tmp_path, NAMES[:2]).make) == ["compute2"]


def test_machines_made_by_hand_are_adopted(hypervisor: FakeHypervisor, tmp_path: Path) -> None:
    for name in NAMES:
        known_to_vagrant(tmp_path, name, f"ID-demo-{name}")
    assert looked(hypervisor, tmp_path, []) == Machines({}, {}, tuple(NAMES))
    assert looked(hypervisor, tmp_path, NAMES[:2]) == Machines({}, {}, ("compute2",))


def test_a_noted_machine_is_never_thrown_away(hypervisor: FakeHypervisor, tmp_path: Path) -> None:
    hypervisor.macs_of["demo-compute1"].clear()  # somebody took its interfaces; its disk is there
    assert not looked(hypervisor, tmp_path)


def test_without_the_controller_the_computes_belong_to_nothing(hypervisor: FakeHypervisor, tmp_path: Path) -> None:
    del hypervisor.domains["demo-controller"]
    hypervisor.domains["demo-compute1"] = "shut off"
    found = looked(hypervisor, tmp_path)
    assert sorted(found.make) == sorted(NAMES)
    assert not found.start


def test_a_kernel_that_gave_up_is_switched_off_and_on(hypervisor: FakeHypervisor, tmp_path: Path) -> None:
    for name in ("compute1", "compute2"):
        (tmp_path / "logs" / name).mkdir(parents=True)
    panic = "[ 0.04] ---[ end Kernel panic - not syncing: IO-APIC + timer doesn't work! ]---\n"
    (tmp_path / "logs/compute1/console.log").write_text(f"{'booting' * 1000}\n{panic}")
    (tmp_path / "logs/compute2/console.log").write_text("login: ")
    found = looked(hypervisor, tmp_path)
    assert found.start == {"compute1": "stuck (kernel panic: IO-APIC + timer doesn't work!)"}
    start_off(PLAN, found, cast("Any", hypervisor), cast("Any", FakeSsh()), LiveProgress())
    assert hypervisor.done == ["power off demo-compute1", "start demo-compute1"]
    hypervisor.domains["demo-compute1"] = "shut off"  # the console is that of before
    assert looked(hypervisor, tmp_path).stuck == frozenset()


def test_a_boot_that_waits_for_a_person_is_begun_again(hypervisor: FakeHypervisor, tmp_path: Path) -> None:
    console = tmp_path / "logs/compute1/console.log"
    console.parent.mkdir(parents=True)
    console.write_text("(initramfs) ")
    assert looked(hypervisor, tmp_path).stuck == {"compute1"}


def test_networks_come_before_the_machines(hypervisor: FakeHypervisor) -> None:
    hypervisor.active = {"demo-access": True, "demo-management": False}  # and no demo-provider
    ssh = FakeSsh()
    machines = Machines({}, {"compute1": "shut off"})
    start_off(PLAN, machines, cast("Any", hypervisor), cast("Any", ssh), LiveProgress())
    assert hypervisor.done == ["network demo-management", "network demo-provider", "start demo-compute1"]
    assert ssh.dropped == ["compute1"]


def test_boxes_are_seen_to_before_lab_up_moves_onto_the_host(
    hypervisor: FakeHypervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a private host there is no way to a mirror."""
    acts: list[str] = []

    class FakeHost:
        mode = "private"

        def start(self) -> None:
            acts.append("start")

        def enter(self) -> None:
            acts.append("enter")

        @contextmanager
        def hypervisor(self) -> Iterator[FakeHypervisor]:
            yield hypervisor

    def ensure(_plan: Any, mirror: str | None, _tell: Any, *, nodes: Iterable[str]) -> list[str]:
        acts.append(f"boxes of {' '.join(nodes)} from {mirror}")
        return ["a box"]

    def make(_plan: Any, _wanted: Any, boxes: list[str], *_: Any) -> None:
        acts.append(f"make of {boxes}")
        raise KeyboardInterrupt

    monkeypatch.setattr(reconcile, "ensure_for_plan", ensure)
    monkeypatch.setattr(reconcile, "make", make)
    hypervisor.domains.clear()
    spec = Spec.model_validate({"name": "demo", "release": "zed", "box": {"mirror": "http://mirror/debian"}})
    run = Run.of(Lab(tmp_path, PLAN, Secrets(SECRETS)), cast("Any", FakeHost()), RecordedProgress())
    with pytest.raises(KeyboardInterrupt):
        _phases(run, None, spec, None, checkpoints=False)
    boxes = "boxes of controller compute1 compute2 from http://mirror/debian"
    assert acts == ["start", boxes, "enter", "make of ['a box']"]


def test_a_machine_that_does_not_boot_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The console of the machine before it does not count."""
    console = console_of(tmp_path, "compute1")
    console.parent.mkdir(parents=True)
    console.write_text("(initramfs) ")

    class FakeVagrant:
        def __init__(self, _: Path) -> None: ...

        def forget(self, _: list[str]) -> None: ...

        def up(self, names: list[str], *, check: Callable[[], None], **_: Any) -> None:
            assert names == ["compute1"]
            check()
            console.write_text("/dev/vda1 requires a manual fsck\r\n(initramfs) ")
            check()

    monkeypatch.setattr(reconcile, "Vagrant", FakeVagrant)
    for name in ("remove", "show_to_vagrant"):
        monkeypatch.setattr(reconcile, name, lambda *_, **__: None)
    hypervisor = MagicMock()
    hypervisor.__enter__.return_value.exclusive = True
    host: Any = SimpleNamespace(hypervisor=lambda: hypervisor)
    ssh: Any = SimpleNamespace(build_dir=tmp_path, forget=lambda _: None)
    machines = Machines({"compute1": ABSENT}, {})
    with pytest.raises(MachineError, match=r"compute1 does not boot: .*: /dev/vda1 requires a manual fsck"):
        reconcile.make(PLAN, machines, [], host, ssh, RecordedProgress())
