"""The lab's use of libvirt, on libvirt's own test driver: a hypervisor in memory.

`test:///default` is one for the complete process; a file of one's own gives each connection a fresh one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from sample_plans import sample_plan

from lab.base.errors import HostError, MachineError
from lab.host.libvirt import Hypervisor, network_xml

if TYPE_CHECKING:
    from collections.abc import Iterator

DOMAIN = """<domain type='test'><name>{name}</name><description>Source: {source}</description>
<memory unit='MiB'>64</memory><os><type>hvm</type></os><devices>{devices}</devices></domain>"""
POOL = "default-pool"
NODE = f"""<node>
<network><name>default</name><bridge name='virbr0'/><ip address='192.168.122.1' netmask='255.255.255.0'/></network>
<pool type='dir'><name>{POOL}</name><target><path>/default-pool</path></target></pool>
</node>"""
PLAN = sample_plan()
NETWORKS = [network.name for network in PLAN.networks]
DOMAINS = [node.domain for node in PLAN.nodes]


@pytest.fixture
def hypervisor(tmp_path: Path) -> Iterator[Hypervisor]:
    file = tmp_path / "node.xml"
    file.write_text(NODE)
    with Hypervisor(f"test://{file}") as connection:
        yield connection


def define(hypervisor: Hypervisor, name: str, *, source: str = "/labs/demo/Vagrantfile", network: str = "") -> None:
    devices = f"<interface type='network'><source network='{network}'/></interface>" if network else ""
    hypervisor._connection.defineXML(DOMAIN.format(name=name, source=source, devices=devices))


def test_states(hypervisor: Hypervisor) -> None:
    define(hypervisor, "demo-controller")
    domain = hypervisor.domain("demo-controller")
    assert domain is not None
    assert hypervisor.states(DOMAINS) == {"demo-controller": "shut off", "demo-compute1": "absent"}
    domain.create()
    assert hypervisor.state("demo-controller") == "running"
    domain.suspend()
    assert hypervisor.state("demo-controller") == "paused"
    domain.resume()
    domain.managedSave()
    assert hypervisor.state("demo-controller") == "saved"


def test_whatever_a_domain_does_it_runs_then(hypervisor: Hypervisor) -> None:
    define(hypervisor, "demo-controller")
    domain = hypervisor.domain("demo-controller")
    assert domain is not None
    hypervisor.start("demo-controller")
    hypervisor.start("demo-controller")
    assert hypervisor.state("demo-controller") == "running"
    domain.suspend()
    hypervisor.start("demo-controller")
    assert hypervisor.state("demo-controller") == "running"
    hypervisor.power_off("demo-controller")
    hypervisor.power_off("demo-controller")
    assert hypervisor.state("demo-controller") == "shut off"
    hypervisor.power_off("nobody")
    with pytest.raises(MachineError, match="no domain nobody"):
        hypervisor.start("nobody")


def test_a_domain_is_known_by_its_uuid_and_interfaces(hypervisor: Hypervisor) -> None:
    define(hypervisor, "demo-controller", network="default")
    assert len(hypervisor.macs("demo-controller")) == 1
    assert len(hypervisor.uuid("demo-controller")) == 36
    assert (hypervisor.macs("nobody"), hypervisor.uuid("nobody")) == (frozenset(), "")


def test_foreign_domains_are_told_by_their_description(hypervisor: Hypervisor) -> None:
    define(hypervisor, "demo-controller", source="/labs/demo/Vagrantfile")
    define(hypervisor, "demo-compute1", source="/elsewhere/Vagrantfile")
    assert hypervisor.foreign_domains([*DOMAINS, "demo-compute2"], Path("/labs/demo")) == ["demo-compute1"]


def test_networks_are_made_once_and_start_with_libvirtd(hypervisor: Hypervisor) -> None:
    for _ in range(2):
        for network in PLAN.networks:
            hypervisor.ensure_network(network)
    assert hypervisor.networks([*NETWORKS, "none"]) == dict.fromkeys(NETWORKS, True)
    found = hypervisor._connection.networkLookupByName(NETWORKS[0])
    assert found.autostart()
    found.destroy()
    hypervisor.ensure_network(PLAN.networks[0])
    assert found.isActive()


def test_subnets_of_all_networks(hypervisor: Hypervisor) -> None:
    hypervisor.ensure_network(PLAN.networks[1])
    subnets = hypervisor.subnets()
    assert subnets[NETWORKS[1]] == ["10.0.0.1/255.255.255.0"]
    assert subnets["default"] == ["192.168.122.1/255.255.255.0"]


def test_a_network_of_the_labs_name_that_it_did_not_make_is_left_as_it_is(hypervisor: Hypervisor) -> None:
    network = PLAN.networks[0]
    theirs = f"<network><name>{network.name}</name><bridge name='virbr7'/><ip address='10.9.0.1'/></network>"
    found = hypervisor.connection.networkDefineXML(theirs)
    with pytest.raises(MachineError, match="was not created by this lab"):
        hypervisor.ensure_network(network)
    assert not found.isActive()
    found.create()
    hypervisor.ensure_network(network)
    assert not found.autostart()


def test_a_pool_that_somebody_made_keeps_its_autostart(hypervisor: Hypervisor) -> None:
    pool = hypervisor.connection.storagePoolLookupByName(POOL)
    pool.setAutostart(0)
    pool.destroy()
    hypervisor.ensure_pool(POOL)
    assert (pool.isActive(), pool.autostart()) == (1, 0)
    hypervisor.ensure_pool()
    assert hypervisor.connection.storagePoolLookupByName("default").autostart() == 1


def test_the_pool_is_made_started_and_kept(hypervisor: Hypervisor) -> None:
    assert not hypervisor.has_pool()
    hypervisor.ensure_pool()
    assert hypervisor.pool_dir() == "/var/lib/libvirt/images"
    hypervisor.ensure_pool(directory="/elsewhere")
    assert hypervisor.pool_dir() == "/var/lib/libvirt/images"
    hypervisor.refresh_pool()
    assert hypervisor.volumes() == []
    assert hypervisor.volumes("no-such-pool") == []


def test_the_access_network_serves_dhcp_and_the_others_do_not() -> None:
    ranges = {}
    for network in PLAN.networks:
        xml = ET.fromstring(network_xml(network))
        assert xml.find("forward") is None
        found = xml.find("ip/dhcp/range")
        ranges[network.kind] = None if found is None else (found.get("start"), found.get("end"))
    assert ranges == {"access": ("192.168.121.2", "192.168.121.254"), "management": None, "provider": None}


def test_what_libvirt_refuses_is_an_error_of_ours() -> None:
    with pytest.raises(MachineError, match="libvirt says: .*no-such-pool"), Hypervisor("test:///default") as connection:
        connection.refresh_pool("no-such-pool")


def test_no_libvirt_is_the_hosts_fault_and_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HostError, match="libvirt does not answer at qemu"):
        Hypervisor("qemu+unix:///system?socket=/no/such/socket")
    assert capfd.readouterr().err == ""
