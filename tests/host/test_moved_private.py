"""With a real libvirtd and QEMU: a lab that was moved goes on, and of what is beside its disks nothing is removed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sample_plans import sample_plan

from lab.checkpoint.memory_and_disks import Machines, memory_file
from lab.host import records
from lab.host.ownership import Own
from lab.host.private import PrivateHost
from lab.host.relocate import relocated
from lab.host.removal import remove
from lab.machines import moved

if TYPE_CHECKING:
    from collections.abc import Iterator

_MISSING = [
    program
    for program in ("ip", "libvirtd", "qemu-system-x86_64", "qemu-img")
    if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None
]
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}"),
]

PLAN = sample_plan()
NODE = PLAN.nodes[0]
TAG = "checkpoint-one"
DOMAIN = """<domain type='qemu'><name>{domain}</name><description>Source: {build}/Vagrantfile</description>
<memory unit='MiB'>32</memory><os><type arch='x86_64'>hvm</type></os><devices>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/var/lib/libvirt/images/{domain}.img'/>
<target dev='vda' bus='virtio'/></disk>
<serial type='file'><source path='{build}/logs/{node}/console.log'/><target port='0'/></serial></devices></domain>"""
VOLUME = "<volume><name>{}</name><capacity>1048576</capacity><target><format type='qcow2'/></target></volume>"


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The build directory of a lab that runs on a private host."""
    monkeypatch.setattr(records, "STATE_ROOT", tmp_path / "state")
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant"))
    build = tmp_path / "old"
    (build / "logs" / NODE.name).mkdir(parents=True)
    moved.claim(PLAN, build, "private")
    host = PrivateHost("demo", build, reason="a test", state_root=tmp_path / "state")
    host.start()
    with host.hypervisor() as hypervisor:
        pool: Any = hypervisor.connection.storagePoolLookupByName("default")
        pool.createXML(VOLUME.format(f"{NODE.domain}.img"))
        xml = DOMAIN.format(domain=NODE.domain, build=build, node=NODE.name)
        hypervisor.connection.defineXML(xml).create()
    yield build
    host.stop()


def test_a_moved_lab_runs_on_starts_again_and_goes_back_to_its_checkpoint(build: Path, tmp_path: Path) -> None:
    host = PrivateHost("demo", build, state_root=tmp_path / "state")
    key = records.lab_key("demo", build)
    checkpoint = build / "checkpoints" / "one"
    checkpoint.mkdir(parents=True)
    with host.hypervisor() as hypervisor:
        machines = Machines(hypervisor, {NODE.name: NODE.domain})
        machines.suspend()
        machines.save_memory(checkpoint)
        snapshot = machines.take_disks(TAG)[NODE.name]
        machines.revive(checkpoint)
    qemu = [pid for pid in host.processes() if "qemu" in Path(f"/proc/{pid}/comm").read_text()]

    new = build.rename(tmp_path / "new")
    moved.follow("demo", new, "lab up", lambda _text: None)

    assert records.lab_key("demo", new) == key
    there = PrivateHost("demo", new, state_root=tmp_path / "state")
    assert (there.netns, there.state_dir) == (host.netns, host.state_dir)
    assert set(qemu) <= set(there.processes())
    with there.hypervisor() as hypervisor:
        assert hypervisor.foreign_domains([NODE.domain], new) == []
        hypervisor.power_off(NODE.domain)
        hypervisor.start(NODE.domain)  # its console cannot be opened where it was
        assert hypervisor.state(NODE.domain) == "running"
        machines = Machines(hypervisor, {NODE.name: NODE.domain})
        checkpoint = new / "checkpoints" / "one"
        machines.define(NODE.name, relocated(snapshot, new, NODE.name), TAG)
        machines.destroy()
        machines.revert_disks(TAG)
        machines.revive(checkpoint)
        assert memory_file(checkpoint, NODE.name).exists()
        assert hypervisor.state(NODE.domain) == "running"
        assert hypervisor.foreign_domains([NODE.domain], new) == []
        assert str(build) not in hypervisor.connection.lookupByName(NODE.domain).XMLDesc()
    assert not build.exists()


def test_of_a_libvirt_that_others_use_the_machines_own_disks_go(build: Path, tmp_path: Path) -> None:
    others = ["demo-compute1.img", "demo-controller.qcow2"]
    with PrivateHost("demo", build, state_root=tmp_path / "state").hypervisor() as hypervisor:
        hypervisor.exclusive = False  # as if it was the machine's
        pool: Any = hypervisor.connection.storagePoolLookupByName("default")
        for name in others:
            pool.createXML(VOLUME.format(name))
        hypervisor.connection.networkDefineXML("<network><name>demo-access</name><bridge name='virbr7'/></network>")
        removed = remove(hypervisor, [node.domain for node in PLAN.nodes], ["demo-access"], own=Own(build))
        assert removed.domains == (NODE.domain,)
        assert removed.volumes == (f"{NODE.domain}.img",)
        assert hypervisor.volumes() == others
        assert len(removed.left) == 3
        assert "demo-access" in hypervisor.networks(["demo-access"])
