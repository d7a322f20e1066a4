"""A QEMU that is stopped under a libvirtd that works: libvirt would wait for its answer for ever."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from lab.base.errors import MachineError
from lab.checkpoint.memory_and_disks import Machines
from lab.host import libvirt as host_libvirt
from lab.host.libvirt import Hypervisor
from lab.machines import power

if TYPE_CHECKING:
    from collections.abc import Iterator


class StuckQemu:
    """A libvirt.virDomain of such a QEMU: only pulling its plug works."""

    def __init__(self) -> None:
        self.off = False
        self.answers = threading.Event()

    def state(self) -> list[int]:
        return [5 if self.off else 1]

    def hasManagedSaveImage(self) -> bool:  # noqa: N802 - libvirt's name
        return False

    def suspend(self) -> None:
        self.answers.wait()

    resume = shutdown = suspend

    def memoryStats(self) -> dict[str, int]:  # noqa: N802 - libvirt's name
        self.answers.wait()
        return {}

    def destroy(self) -> None:
        self.off = True


class StuckHypervisor(Hypervisor):
    """libvirt's test driver, on which every domain is the stuck one."""

    def __init__(self) -> None:
        super().__init__("test:///default")
        self.qemu = StuckQemu()

    def domain(self, name: str) -> Any:
        return self.qemu


@pytest.fixture
def hypervisor(monkeypatch: pytest.MonkeyPatch) -> Iterator[StuckHypervisor]:
    monkeypatch.setattr(host_libvirt, "QEMU_LIMIT_S", 0.2)
    monkeypatch.setattr(power, "_PRESS_LIMIT_S", 0.1)
    with StuckHypervisor() as hypervisor:
        yield hypervisor
        hypervisor.qemu.answers.set()


@pytest.mark.parametrize("part", ["memory_mib", "suspend"])
def test_a_save_ends_with_the_name_of_the_machine(hypervisor: StuckHypervisor, part: str) -> None:
    machines = Machines(hypervisor, {"controller": "demo-controller"})
    with pytest.raises(MachineError, match="demo-controller did not end within 0 s") as caught:
        getattr(machines, part)()
    assert "does not answer libvirt" in caught.value.hint


def test_pausing_and_waking_end(hypervisor: StuckHypervisor) -> None:
    with pytest.raises(MachineError, match="pausing demo-controller did not end"):
        power.pause(hypervisor, ["demo-controller"])
    with pytest.raises(MachineError, match="waking demo-controller did not end"):
        hypervisor.resume("demo-controller")


def test_a_halt_cuts_it_off(hypervisor: StuckHypervisor) -> None:
    told: list[str] = []
    power.shut_down(hypervisor, ["demo-controller"], timeout_s=0.3, say=told.append)
    assert hypervisor.qemu.off
    assert told == ["demo-controller did not shut down within 0 s: switching it off"]
