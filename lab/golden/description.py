"""libvirt's description of a golden lab's machine, for the lab that is made from it. Pure."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from lab.host.relocate import relocated

if TYPE_CHECKING:
    from pathlib import Path

    from lab.planning.plan import Node, Plan


def domain_of(snapshot: str) -> str:
    """Take a machine's description out of that of a snapshot of its disk: as it is defined, not as it ran.

    Raises:
        ValueError: it has none.
    """
    root = ET.fromstring(snapshot)
    found = root.find("inactiveDomain")
    found = root.find("domain") if found is None else found
    if found is None:
        raise ValueError("no machine in it")
    found.tag = "domain"
    return ET.tostring(found, encoding="unicode")


def here(xml: str, build_dir: Path, node: str) -> str:
    """Give the description with this build directory's paths, and without the images below the disks: libvirt looks.

    If there is nothing to change, it is the same text.
    """
    moved = relocated(xml, build_dir, node)
    root = ET.fromstring(moved)
    chains = [(disk, chain) for disk in root.iterfind("devices/disk") for chain in disk.findall("backingStore")]
    for disk, chain in chains:
        disk.remove(chain)
    return ET.tostring(root, encoding="unicode") if chains else moved


def adapted(xml: str, plan: Plan, node: Node, build_dir: Path, disk: Path) -> str:
    """Give the description of a machine that boots: with this lab's names, addresses and disk.

    It keeps its UUID if the machine has the same name as the golden lab's; otherwise libvirt gives it a new one.
    """
    root = ET.fromstring(here(xml, build_dir, node.name))
    if root.findtext("name") != node.domain:
        for uuid in root.findall("uuid"):
            root.remove(uuid)
    _set_text(root, "name", node.domain)
    if root.find("title") is not None:
        _set_text(root, "title", f"OpenStack Compute lab {plan.name} {node.name}")
    names = {network.kind: network.name for network in plan.networks}
    interfaces = root.findall("devices/interface")
    for interface, nic in zip(interfaces, node.nics, strict=True):
        _set(interface, "mac", "address", nic.mac)
        source = interface.find("source")
        if source is not None:
            source.attrib.clear()
            source.set("network", names[nic.network])
    for source in root.findall("devices/disk[@device='disk']/source")[:1]:
        source.attrib.pop("index", None)
        source.set("file", str(disk))
    return ET.tostring(root, encoding="unicode")


def _set_text(root: ET.Element, tag: str, text: str) -> None:
    found = root.find(tag)
    if found is not None:
        found.text = text


def _set(parent: ET.Element, tag: str, key: str, value: str) -> None:
    found = parent.find(tag)
    if found is not None:
        found.set(key, value)
