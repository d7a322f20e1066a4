"""What is taken off a libvirt, and what stays there: on libvirt's own test driver."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from sample_plans import sample_plan

from lab.base.errors import HostError, MachineError
from lab.host import host as hosts
from lab.host import records
from lab.host.host import SystemHost
from lab.host.libvirt import Hypervisor
from lab.host.neighbours import require_no_collision
from lab.host.ownership import Own, own_of
from lab.host.removal import Removed, own_volumes, remove
from lab.machines import reconcile
from lab.machines.reconcile import ABSENT, Machines
from lab.terminal.progress import LiveProgress

if TYPE_CHECKING:
    from collections.abc import Iterator

DOMAIN = """<domain type='test'><name>{name}</name><description>Source: {source}/Vagrantfile</description>
<memory unit='MiB'>64</memory><os><type>hvm</type></os><devices>{devices}</devices></domain>"""
DISK = "<disk type='file' device='disk'><source file='/pool/{}'/><target dev='vd{}'/></disk>"
CDROM = "<disk type='file' device='cdrom'><source file='/pool/{}'/><target dev='hdc'/></disk>"
VOLUME = "<volume><name>{}</name><capacity>1048576</capacity>{}</volume>"
BACKING = "<backingStore><path>/pool/{}</path><format type='qcow2'/></backingStore>"
NODE = """<node>
<network><name>default</name><bridge name='virbr0'/><ip address='192.168.122.1' netmask='255.255.255.0'/></network>
<pool type='dir'><name>default</name><target><path>/pool</path></target></pool>
</node>"""
PLAN = sample_plan()
NETWORKS = [network.name for network in PLAN.networks]
DOMAINS = [node.domain for node in PLAN.nodes]
BUILD = Path("/labs/demo")
OWN = Own(BUILD, frozenset(network.bridge for network in PLAN.networks))
FOREIGN_NETWORK = (
    f"<network><name>{NETWORKS[0]}</name><bridge name='virbr9'/>"
    "<ip address='192.168.121.1' netmask='255.255.255.0'/></network>"
)


@pytest.fixture
def hypervisor(tmp_path: Path) -> Iterator[Hypervisor]:
    """A machine's libvirt, with things of others."""
    (tmp_path / "node.xml").write_text(NODE)
    with Hypervisor(f"test://{tmp_path}/node.xml") as connection:
        yield connection


def define(
    hypervisor: Hypervisor, name: str, *disks: str, source: str = str(BUILD), network: str = "", more: str = ""
) -> Any:
    devices = f"<interface type='network'><source network='{network}'/></interface>" if network else ""
    devices += "".join(DISK.format(disk, "abc"[number]) for number, disk in enumerate(disks)) + more
    return hypervisor.connection.defineXML(DOMAIN.format(name=name, source=source, devices=devices))


def add_volumes(hypervisor: Hypervisor, *names: str, backing: str = "") -> None:
    pool = hypervisor.connection.storagePoolLookupByName("default")
    for name in names:
        pool.createXML(VOLUME.format(name, BACKING.format(backing) if backing else ""))


def everything(hypervisor: Hypervisor) -> tuple[list[str], list[str], list[str]]:
    return hypervisor.domains(), sorted(hypervisor.subnets()), hypervisor.volumes()


def test_removal_takes_exactly_the_labs_things(hypervisor: Hypervisor) -> None:
    add_volumes(hypervisor, "demo-compute10.img", "box.img", "demo-controllers.img")
    define(hypervisor, "demo-compute10", "demo-compute10.img")
    before = everything(hypervisor)
    for network in PLAN.networks:
        hypervisor.ensure_network(network)
    add_volumes(hypervisor, "demo-controller.img", "demo-compute1.img", "demo-compute1-vdb.qcow2", backing="box.img")
    define(hypervisor, DOMAINS[0], "demo-controller.img", network=NETWORKS[0]).create()
    hypervisor.connection.lookupByName(DOMAINS[0]).snapshotCreateXML("<domainsnapshot><name>s</name></domainsnapshot>")
    saved = define(hypervisor, DOMAINS[1], "demo-compute1.img", "demo-compute1-vdb.qcow2", network=NETWORKS[0])
    saved.create()
    saved.managedSave()

    removed = remove(hypervisor, DOMAINS, NETWORKS, own=OWN)

    volumes = ("demo-controller.img", "demo-compute1-vdb.qcow2", "demo-compute1.img")
    assert removed == Removed(tuple(DOMAINS), volumes, tuple(NETWORKS))
    assert everything(hypervisor) == before
    assert remove(hypervisor, DOMAINS, NETWORKS, own=OWN) == Removed()


def test_volumes_of_machines_that_were_never_made_stay_and_are_reported(hypervisor: Hypervisor) -> None:
    add_volumes(hypervisor, "demo-controller.qcow2", "demo-compute1.img")
    before = everything(hypervisor)
    removed = remove(hypervisor, DOMAINS, NETWORKS, own=OWN)
    assert everything(hypervisor) == before
    assert not removed
    assert [line.split()[1] for line in removed.left] == ["demo-controller.qcow2", "demo-compute1.img"]
    assert "virsh -c qemu:///system vol-delete demo-compute1.img --pool default" in removed.left[1]


def test_what_somebody_keeps_beside_a_machines_disk_stays(hypervisor: Hypervisor) -> None:
    """A copy that nobody uses, a disk of another name in the machine, a CD-ROM, a disk that another machine has too."""
    kept = ["demo-compute1.iso", "demo-compute1.shared", "demo-controller.backup", "my-data.qcow2"]
    add_volumes(hypervisor, "demo-controller.img", "demo-compute1.img", *kept)
    define(hypervisor, DOMAINS[0], "demo-controller.img", "my-data.qcow2")
    define(hypervisor, DOMAINS[1], "demo-compute1.img", "demo-compute1.shared", more=CDROM.format("demo-compute1.iso"))
    define(hypervisor, "somebody", "demo-compute1.shared", source="/elsewhere")
    removed = remove(hypervisor, DOMAINS, own=OWN)
    assert sorted(removed.volumes) == ["demo-compute1.img", "demo-controller.img"]
    assert hypervisor.volumes() == kept
    assert "volume demo-compute1.shared is a disk of domain somebody" in removed.left


def test_an_overlay_goes_with_what_it_is_laid_over_but_not_with_its_box(hypervisor: Hypervisor) -> None:
    add_volumes(hypervisor, "box.img")
    add_volumes(hypervisor, "demo-controller.img", backing="box.img")
    add_volumes(hypervisor, "demo-controller.snap", backing="demo-controller.img")
    define(hypervisor, DOMAINS[0], "demo-controller.snap")
    assert len(remove(hypervisor, DOMAINS, own=OWN).volumes) == 2
    assert hypervisor.volumes() == ["box.img"]


def test_a_volume_that_the_lab_noted_goes_without_its_domain(hypervisor: Hypervisor) -> None:
    """Vagrant was cut short between the disk and the domain."""
    add_volumes(hypervisor, "demo-controller.img", "demo-compute1.img")
    own = replace(OWN, volumes=frozenset(["demo-controller.img"]))
    assert remove(hypervisor, DOMAINS, own=own).volumes == ("demo-controller.img",)
    assert hypervisor.volumes() == ["demo-compute1.img"]
    define(hypervisor, "rescue", "demo-compute1.img", source="/elsewhere")
    assert own_volumes(hypervisor, DOMAINS, replace(OWN, volumes=frozenset(["demo-compute1.img"]))) == []


def test_on_a_private_host_everything_is_the_labs(tmp_path: Path) -> None:
    (tmp_path / "node.xml").write_text(NODE)
    with Hypervisor(f"test://{tmp_path}/node.xml", exclusive=True) as hypervisor:
        add_volumes(hypervisor, "demo-controller.img", "box.img")
        hypervisor.connection.networkDefineXML(FOREIGN_NETWORK)
        define(hypervisor, DOMAINS[1], source="/by/hand")
        removed = remove(hypervisor, DOMAINS, NETWORKS, own=OWN)
        assert removed == Removed((DOMAINS[1],), ("demo-controller.img",), (NETWORKS[0],))
        assert everything(hypervisor) == ([], ["default"], ["box.img"])


def test_volumes_are_kept_on_request(hypervisor: Hypervisor) -> None:
    add_volumes(hypervisor, "demo-controller.img")
    define(hypervisor, "demo-controller", "demo-controller.img")
    assert remove(hypervisor, DOMAINS, own=OWN, keep_volumes=True) == Removed(("demo-controller",))
    assert hypervisor.volumes() == ["demo-controller.img"]


def test_domains_and_networks_of_a_namesake_stay(hypervisor: Hypervisor) -> None:
    """Its networks have the same names and bridges, and are not to be told from ours."""
    for network in PLAN.networks:
        hypervisor.ensure_network(network)
    add_volumes(hypervisor, "demo-controller.img")
    define(hypervisor, DOMAINS[0], "demo-controller.img", source="/srv/labs/demo")
    before = everything(hypervisor)
    removed = remove(hypervisor, DOMAINS, NETWORKS, own=replace(OWN, recorded=True))
    assert everything(hypervisor) == before
    assert removed.left[0] == "domain demo-controller is not of /labs/demo"


def test_networks_of_a_lab_that_was_never_made_stay(hypervisor: Hypervisor) -> None:
    for network in PLAN.networks:
        hypervisor.ensure_network(network)
    before = everything(hypervisor)
    assert not remove(hypervisor, DOMAINS, NETWORKS, own=OWN)
    assert everything(hypervisor) == before
    assert remove(hypervisor, DOMAINS, NETWORKS, own=replace(OWN, recorded=True)).networks == tuple(NETWORKS)


def test_a_network_of_another_bridge_stays_unless_vagrant_noted_it(hypervisor: Hypervisor) -> None:
    theirs = hypervisor.connection.networkDefineXML(FOREIGN_NETWORK)
    define(hypervisor, DOMAINS[0])
    removed = remove(hypervisor, DOMAINS, NETWORKS, own=OWN)
    assert (removed.domains, removed.networks) == ((DOMAINS[0],), ())
    assert f"virsh -c qemu:///system net-undefine {NETWORKS[0]}" in removed.left[0]
    by_hand = replace(OWN, recorded=True, networks=frozenset([theirs.UUIDString()]))
    assert remove(hypervisor, DOMAINS, NETWORKS, own=by_hand).networks == (NETWORKS[0],)


def test_a_network_that_another_domain_uses_stops_the_removal(hypervisor: Hypervisor) -> None:
    hypervisor.ensure_network(PLAN.networks[0])
    define(hypervisor, DOMAINS[0], network=NETWORKS[0])
    define(hypervisor, "somebody", network=NETWORKS[0])
    before = everything(hypervisor)
    with pytest.raises(MachineError, match="is used by domain somebody"):
        remove(hypervisor, DOMAINS, NETWORKS, own=OWN)
    assert everything(hypervisor) == before


class Ssh:
    def __init__(self, build_dir: Path) -> None:
        self.build_dir = build_dir

    def forget(self, _names: list[str]) -> None:
        pass


class Host:
    """A machine's libvirt that outlives its connections."""

    mode = "system"

    def __init__(self, hypervisor: Hypervisor) -> None:
        self._hypervisor = hypervisor

    @contextmanager
    def hypervisor(self) -> Iterator[Hypervisor]:
        yield self._hypervisor


def make(hypervisor: Hypervisor, build: Path, nodes: dict[str, str]) -> None:
    reconcile.make(
        PLAN, Machines(nodes, {}), [], cast("Any", Host(hypervisor)), cast("Any", Ssh(build)), LiveProgress()
    )


def test_a_machine_that_was_cut_short_is_made_again_and_nobodys_disk_is_taken_for_its_own(
    hypervisor: Hypervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "STATE_ROOT", tmp_path / "state")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(reconcile, "show_to_vagrant", lambda *_: None)

    def cut_short(_vagrant: Any, names: list[str], **_: Any) -> None:
        add_volumes(hypervisor, *(f"demo-{name}.img" for name in names))
        raise KeyboardInterrupt

    monkeypatch.setattr("lab.machines.reconcile.Vagrant.up", cut_short)
    records.save(records.record_of(PLAN, tmp_path, "system"))
    for _ in range(2):  # the second `lab up` takes away what the first left
        with pytest.raises(KeyboardInterrupt):
            make(hypervisor, tmp_path, {"controller": ABSENT})
        assert hypervisor.volumes() == ["demo-controller.img"]
    add_volumes(hypervisor, "demo-compute1.img")  # somebody's
    with pytest.raises(MachineError, match="that may not be of this lab: demo-compute1.img") as caught:
        make(hypervisor, tmp_path, {"controller": ABSENT, "compute1": ABSENT})
    assert "vol-delete demo-compute1.img --pool default" in caught.value.detail
    assert hypervisor.volumes() == ["demo-compute1.img"]
    assert own_of("demo", tmp_path).volumes == {"demo-controller.img"}


def test_a_lab_whose_names_are_taken_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "node.xml").write_text(NODE.replace("<node>", f"<node>{FOREIGN_NETWORK}"))
    monkeypatch.setattr(hosts, "SYSTEM_URI", f"test://{tmp_path}/node.xml")
    monkeypatch.setattr("lab.host.neighbours._routes", lambda _bridges: ())
    monkeypatch.setattr(Hypervisor, "volumes", lambda *_: ["demo-compute1.img", "demo-controller.qcow2"])
    with pytest.raises(HostError) as caught:
        require_no_collision(PLAN, SystemHost("demo"), tmp_path)
    assert f"network {NETWORKS[0]}: not of this lab" in caught.value.detail
    assert "volume demo-compute1.img: not of this lab" in caught.value.detail
    assert "demo-controller" not in caught.value.detail
