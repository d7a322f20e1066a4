"""libvirt's description of a golden lab's machine becomes that of another lab's."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from sample_plans import sample_plan

from lab.golden.description import adapted, domain_of, here
from lab.host.ownership import source_of

PLAN = sample_plan()
NODE = PLAN.nodes[0]
DOMAIN = """<domain type='qemu' id='7'><name>demo-controller</name><uuid>11111111-2222-3333-4444-555555555555</uuid>
<title>OpenStack Compute lab demo controller</title><description>Source: /old/.lab/demo/Vagrantfile</description>
<devices><disk type='file' device='disk'><source file='/pool/demo-controller.img' index='1'/>
<backingStore type='file' index='2'><format type='qcow2'/><source file='/pool/box.img'/><backingStore/></backingStore>
<target dev='vda' bus='virtio'/></disk>
<interface type='network'><mac address='52:54:00:00:00:00'/><source network='demo-access' portid='x' bridge='b'/>
</interface>
<interface type='network'><mac address='52:54:00:00:00:01'/><source network='demo-management'/></interface>
<interface type='network'><mac address='52:54:00:00:00:02'/><source network='demo-provider'/></interface>
<serial type='file'><source path='/old/.lab/demo/logs/controller/console.log'/></serial></devices></domain>"""
NEW = Path("/new/.lab/demo")


def test_memory_comes_back_with_this_directory_and_the_disks_own_chain() -> None:
    root = ET.fromstring(here(DOMAIN, NEW, "controller"))
    assert source_of(root.findtext("description") or "") == NEW
    assert root.find("devices/serial/source").get("path") == f"{NEW}/logs/controller/console.log"  # type: ignore[union-attr]
    assert root.find("devices/disk/backingStore") is None
    for same in ("name", "uuid", "title"):  # libvirt restores no other machine
        assert root.findtext(same) == ET.fromstring(DOMAIN).findtext(same)
    assert [mac.get("address") for mac in root.iter("mac")] == [f"52:54:00:00:00:0{n}" for n in range(3)]


@pytest.mark.parametrize(("name", "keeps"), [("demo", True), ("other", False)])
def test_a_machine_that_boots_has_the_labs_names_and_addresses(name: str, keeps: bool) -> None:
    networks = tuple(each.model_copy(update={"name": f"{name}-{each.kind}"}) for each in PLAN.networks)
    node = NODE.model_copy(update={"domain": f"{name}-controller"})
    plan = PLAN.model_copy(update={"name": name, "networks": networks})
    root = ET.fromstring(adapted(DOMAIN, plan, node, NEW, Path(f"/pool/{name}-controller.img")))
    assert root.findtext("name") == f"{name}-controller"
    assert root.findtext("title") == f"OpenStack Compute lab {name} controller"
    assert (root.findtext("uuid") is not None) == keeps
    assert [mac.get("address") for mac in root.iter("mac")] == [nic.mac for nic in NODE.nics]
    interfaces = root.findall("devices/interface/source")
    assert [each.attrib for each in interfaces] == [
        {"network": f"{name}-{kind}"} for kind in ("access", "management", "provider")
    ]
    assert [each.attrib for each in root.findall("devices/disk/source")] == [{"file": f"/pool/{name}-controller.img"}]


def test_a_machine_with_other_interfaces_is_no_node() -> None:
    with pytest.raises(ValueError, match="zip"):
        adapted(DOMAIN.replace("interface", "interfering", 2), PLAN, NODE, NEW, Path("/pool/x.img"))


def test_the_machine_is_taken_as_it_is_defined() -> None:
    inactive = (
        DOMAIN.replace("<domain ", "<inactiveDomain ").replace("</domain>", "</inactiveDomain>").replace(" id='7'", "")
    )
    both = f"<domainsnapshot><name>x</name>{DOMAIN}{inactive}</domainsnapshot>"
    found = ET.fromstring(domain_of(both))
    assert (found.tag, found.get("id")) == ("domain", None)
    assert ET.fromstring(domain_of(f"<domainsnapshot>{DOMAIN}</domainsnapshot>")).get("id") == "7"
    with pytest.raises(ValueError, match="no machine"):
        domain_of("<domainsnapshot/>")
