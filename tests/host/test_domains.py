"""Memory and disks of all machines at once, on libvirt's own test driver: disks are names, memory is real files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import libvirt
import pytest

from lab.base.errors import MachineError
from lab.checkpoint.memory_and_disks import Machines, memory_file
from lab.host.libvirt import Hypervisor
from lab.host.ownership import Own
from lab.host.removal import remove

if TYPE_CHECKING:
    from collections.abc import Iterator

DOMAIN = """<domain type='test'><name>{name}</name><memory unit='MiB'>64</memory><os><type>hvm</type></os>
<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/pool/{name}.img'/>
<target dev='vda' bus='virtio'/></disk></devices></domain>"""
NODES = {"controller": "demo-controller", "compute1": "demo-compute1"}
TAG = "checkpoint-before"


@pytest.fixture
def hypervisor(tmp_path: Path) -> Iterator[Hypervisor]:
    file = tmp_path / "node.xml"
    file.write_text("<node/>")
    with Hypervisor(f"test://{file}", exclusive=True) as connection:
        for name in NODES.values():
            connection.connection.defineXML(DOMAIN.format(name=name)).create()
        yield connection


@pytest.fixture
def machines(hypervisor: Hypervisor) -> Machines:
    return Machines(hypervisor, NODES)


def states(machines: Machines) -> set[str]:
    return set(machines.states().values())


def snapshots(hypervisor: Hypervisor) -> dict[str, list[str]]:
    return {domain.name(): domain.snapshotListNames() for domain in hypervisor.connection.listAllDomains()}


def test_a_save_and_a_way_back(machines: Machines, hypervisor: Hypervisor, tmp_path: Path) -> None:
    machines.suspend()
    assert states(machines) == {"paused"}
    machines.save_memory(tmp_path)
    assert states(machines) == {"shut off"}
    taken = machines.take_disks(TAG)
    assert set(taken) == set(NODES)
    assert all(machines.memory_is_complete(tmp_path, node) for node in NODES)
    machines.revive(tmp_path)
    assert states(machines) == {"running"}
    machines.destroy()
    assert states(machines) == {"shut off"}
    machines.revert_disks(TAG)
    machines.revive(tmp_path)
    assert states(machines) == {"running"}
    machines.drop_disks(TAG)
    machines.drop_disks(TAG)
    assert snapshots(hypervisor) == dict.fromkeys(NODES.values(), [])


def test_memory_that_was_not_written_to_its_end_is_told(machines: Machines, tmp_path: Path) -> None:
    machines.suspend()
    machines.save_memory(tmp_path)
    file = memory_file(tmp_path, "controller")
    file.write_bytes(file.read_bytes()[:10])
    assert not machines.memory_is_complete(tmp_path, "controller")
    assert machines.memory_is_complete(tmp_path, "compute1")
    assert not machines.memory_is_complete(tmp_path / "nowhere", "compute1")


def test_mending_brings_back_who_can_come_back_and_uses_no_memory_twice(machines: Machines, tmp_path: Path) -> None:
    machines.suspend()
    machines.save_memory(tmp_path)
    memory_file(tmp_path, "compute1").write_text("half of it")
    machines.repair(tmp_path)
    assert machines.states() == {"controller": "running", "compute1": "shut off"}
    assert list(tmp_path.glob("*.mem")) == []
    machines.destroy()
    machines.repair(tmp_path)
    assert states(machines) == {"shut off"}


def test_mending_lets_those_go_on_that_were_suspended_only(machines: Machines, tmp_path: Path) -> None:
    machines.suspend()
    machines.repair(tmp_path)
    assert states(machines) == {"running"}


def test_machines_that_libvirt_has_forgotten_are_defined_with_their_snapshots(
    machines: Machines, hypervisor: Hypervisor
) -> None:
    machines.destroy()
    first = machines.take_disks("checkpoint-first")
    taken = machines.take_disks(TAG)
    before = {name: hypervisor.domain(name).UUIDString() for name in NODES.values()}  # type: ignore[union-attr]
    remove(hypervisor, list(NODES.values()), own=Own(Path("/labs/demo")), keep_volumes=True)
    assert states(machines) == {"absent"}
    for node, snapshot in taken.items():  # the second first: it does not need the one that it came after
        machines.define(node, snapshot, TAG)
    for node, snapshot in first.items():
        machines.define(node, snapshot, "checkpoint-first")
        machines.define(node, snapshot, "checkpoint-first")
    assert {name: hypervisor.domain(name).UUIDString() for name in NODES.values()} == before  # type: ignore[union-attr]
    assert {name: set(tags) for name, tags in snapshots(hypervisor).items()} == dict.fromkeys(
        NODES.values(), {TAG, "checkpoint-first"}
    )
    machines.revert_disks(TAG)


def test_the_snapshot_of_another_machine_is_refused(machines: Machines, hypervisor: Hypervisor) -> None:
    machines.destroy()
    taken = machines.take_disks(TAG)
    remove(hypervisor, list(NODES.values()), own=Own(Path("/labs/demo")))
    for name in NODES.values():
        hypervisor.connection.defineXML(DOMAIN.format(name=name))
    with pytest.raises(MachineError, match="to another machine demo-controller"):
        machines.define("controller", taken["controller"], TAG)
    assert snapshots(hypervisor) == dict.fromkeys(NODES.values(), [])


def test_a_failure_of_one_is_raised_and_all_can_be_mended(machines: Machines, tmp_path: Path) -> None:
    (tmp_path / "controller.mem").mkdir()
    machines.suspend()
    with pytest.raises(libvirt.libvirtError):
        machines.save_memory(tmp_path)
    assert machines.states()["controller"] == "paused"
    (tmp_path / "controller.mem").rmdir()
    machines.repair(tmp_path)
    assert states(machines) == {"running"}
