"""Paths of a build directory in libvirt's descriptions of domains, for a lab whose directory was moved.

vagrant-libvirt writes two into a domain: the line `Source:` of its description, and the file of its console. They are
in the running domain, in the one that it starts as, in each of its snapshots, and in saved memory.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import libvirt

from lab.host.ownership import source_of

if TYPE_CHECKING:
    from pathlib import Path

    from lab.host.libvirt import Hypervisor


def relocated(xml: str, build_dir: Path, node: str) -> str:
    """Give a domain's (or snapshot's, with the domain's in it) XML with the paths of this build directory."""
    root = ET.fromstring(xml)
    domains = [each for each in root.iter() if each.tag in ("domain", "inactiveDomain")]
    changed = [_relocate(domain, build_dir, node) for domain in domains]
    return ET.tostring(root, encoding="unicode") if any(changed) else xml


def _relocate(domain: ET.Element, build_dir: Path, node: str) -> bool:
    description = domain.find("description")
    old = None if description is None else source_of(description.text or "")
    if description is None or old is None or old == build_dir:
        return False
    description.text = _described(description.text or "", build_dir)
    console = f"/logs/{node}/console.log"
    for device in ("serial", "console"):
        for source in domain.iterfind(f"devices/{device}/source"):
            if source.get("path", "").endswith(console):
                source.set("path", f"{build_dir}{console}")
    return True


def _described(description: str, build_dir: Path) -> str:
    lines = description.splitlines()
    return "\n".join(f"Source: {build_dir}/Vagrantfile" if source_of(line) else line for line in lines)


def relocate_domain(hypervisor: Hypervisor, name: str, build_dir: Path, node: str) -> None:
    """Make a domain and its snapshots know this build directory; fine where it does already, or is not there.

    A console that is open stays open: on the same file system it is the file that was moved.
    """
    domain = hypervisor.domain(name)
    if domain is None:
        return
    flags = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
    xml = domain.XMLDesc(flags)
    hypervisor.connection.defineXML(relocated(xml, build_dir, node))
    if domain.isActive():
        described = _described(hypervisor.description(name), build_dir)
        domain.setMetadata(
            libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, described, None, None, libvirt.VIR_DOMAIN_AFFECT_LIVE
        )
    elif domain.hasManagedSaveImage():
        saved = domain.managedSaveGetXMLDesc(libvirt.VIR_DOMAIN_SAVE_IMAGE_XML_SECURE)
        domain.managedSaveDefineXML(relocated(saved, build_dir, node))
    for snapshot in domain.listAllSnapshots():
        _relocate_snapshot(domain, snapshot, build_dir, node)


def _relocate_snapshot(domain: Any, snapshot: Any, build_dir: Path, node: str) -> None:
    flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE
    if snapshot.isCurrent():
        flags |= libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT
    xml = snapshot.getXMLDesc(libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE)
    if (new := relocated(xml, build_dir, node)) != xml:
        domain.snapshotCreateXML(new, flags)
