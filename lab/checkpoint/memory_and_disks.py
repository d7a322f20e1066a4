"""All machines of a lab at once: their memory to files and back, snapshots inside their disks.

    save:     suspend all → memory of each to a file, which ends its QEMU → a snapshot inside each disk
    revive:   memory of each from its file, still paused → resume all
    repair:   after a crash somewhere between: whatever each machine needs to run again

The memory is libvirt's save image (virDomainSave). The disk is an internal snapshot of the qcow2 volume, made by
libvirt while the machine is off: it takes the blocks that change later, and no file of its own.
All machines are suspended before one is saved, and none is resumed before all are back, so no machine ever sees
another one at a different time.
"""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import libvirt

from lab.base.errors import MachineError
from lab.base.side_by_side import for_all
from lab.checkpoint.store import build_dir_of
from lab.host.relocate import relocated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lab.host.libvirt import Hypervisor

_T = TypeVar("_T")
Describe = Callable[[str, str], str]

JOB_LIMIT_S = 300.0
"""for a save that a killed `lab` left to libvirtd"""
_MIB = 1024


class Machines:
    """The domains of one lab, `nodes` by their names: {"controller": "demo-controller"}.

    What libvirt refuses comes as its own libvirtError; the Hypervisor's `with` block makes a MachineError of it.
    """

    def __init__(self, hypervisor: Hypervisor, nodes: Mapping[str, str]) -> None:
        self._hypervisor = hypervisor
        self._connection = hypervisor.connection
        self._nodes = dict(nodes)

    def states(self) -> dict[str, str]:
        """Tell each node's state."""
        return {node: self._hypervisor.state(domain) for node, domain in self._nodes.items()}

    def memory_mib(self) -> int:
        """Give what the QEMU processes hold of the host's memory: no save image is larger."""

        def rss_kib(domain: Any) -> int:
            return int(domain.memoryStats().get("rss", 0))

        what, domains = "asking for the memory of", self._nodes.values()
        return sum(int(self._hypervisor.ask_qemu(domain, what, rss_kib)) for domain in domains) // _MIB

    def suspend(self) -> None:
        """Suspend all."""
        for domain in self._nodes.values():
            self._hypervisor.suspend(domain)

    def save_memory(self, directory: Path) -> None:
        """Write the memory of all to DIRECTORY/NODE.mem, at the same time; they are off afterwards."""
        self._each(self._nodes, lambda node: self._domain(node).save(str(memory_file(directory, node))))

    def revive(self, directory: Path, describe: Describe | None = None) -> None:
        """Bring the memory of all back, and then let all go on.

        `describe` gives the description that a node comes back with, from its name and the saved one; without it, the
        saved one, with the paths of the build directory that the checkpoint is in.
        """
        self._load(directory, self._nodes, describe)
        self._resume()

    def destroy(self) -> None:
        """Pull the plug of all that run, at the same time: QEMU takes seconds to give its memory back."""

        def destroy(node: str) -> None:
            if self._domain(node).isActive():
                self._domain(node).destroy()

        self._each(self._nodes, destroy)

    def memory_is_complete(self, directory: Path, node: str) -> bool:
        """Tell whether a node's memory was written to its end: libvirt marks the file as the last thing it does."""
        try:
            self._connection.saveImageGetXMLDesc(str(memory_file(directory, node)))
        except libvirt.libvirtError:
            if not self._connection.isAlive():  # the caller removes an incomplete file
                raise
            return False
        return True

    def repair(self, directory: Path) -> None:
        """Bring back, after a crash, those that an unfinished save in this directory has suspended or ended.

        One whose memory is incomplete stays off: it boots like any machine after a power cut. The memory is removed
        before any machine continues: with a disk that was written to since, it would ruin the file system.
        """
        for node in self._nodes:
            self._wait_for_job(node)
        off = [node for node, state in self.states().items() if state == "shut off"]
        self._load(directory, [node for node in off if self.memory_is_complete(directory, node)])
        for node in self._nodes:
            memory_file(directory, node).unlink(missing_ok=True)
        self._resume()

    # Disks

    def take_disks(self, tag: str) -> dict[str, str]:
        """Make a snapshot inside each disk; the machines must be off. Gives what `define` needs, per node."""

        def take(node: str) -> str:
            xml = ET.Element("domainsnapshot")
            ET.SubElement(xml, "name").text = tag
            snapshot = self._domain(node).snapshotCreateXML(ET.tostring(xml, encoding="unicode"))
            return _without_parent(snapshot.getXMLDesc(libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE))

        return self._each(self._nodes, take)

    def revert_disks(self, tag: str) -> None:
        """Put all disks back to a snapshot; the machines must be off, and stay so."""

        def revert(node: str) -> None:
            domain = self._domain(node)
            domain.revertToSnapshot(domain.snapshotLookupByName(tag), libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE)

        self._each(self._nodes, revert)

    def drop_disks(self, tag: str) -> None:
        """Remove a snapshot from all disks, running or not; no error if a disk has none."""
        for domain in filter(None, map(self._hypervisor.domain, self._nodes.values())):
            if tag in domain.snapshotListNames():
                domain.snapshotLookupByName(tag).delete()

    def define(self, node: str, snapshot: str, tag: str) -> None:
        """See that libvirt knows a node's domain, and the snapshot in its disk, from what `take_disks` gave.

        Raises:
            MachineError: it is of another machine, or another snapshot.
        """
        xml = ET.fromstring(snapshot)
        own = xml.find("domain")
        assert own is not None  # libvirt writes it into every snapshot's description
        domain = self._hypervisor.domain(self._nodes[node])
        if domain is None:
            domain = self._connection.defineXML(ET.tostring(own, encoding="unicode"))
        if domain.UUIDString() != own.findtext("uuid") or xml.findtext("name") != tag:
            raise MachineError(
                f"the checkpoint belongs to another machine {self._nodes[node]} than the existing one",
                hint="the machine was created again, or the directory was renamed; "
                "`lab checkpoint delete` removes the checkpoint",
            )
        if tag not in domain.snapshotListNames():
            domain.snapshotCreateXML(snapshot, libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE)

    def _domain(self, node: str) -> Any:
        domain = self._hypervisor.domain(self._nodes[node])
        if domain is None:
            raise MachineError(f"libvirt knows no machine {self._nodes[node]}", hint="`lab up` makes it")
        return domain

    def _load(self, directory: Path, nodes: Iterable[str], describe: Describe | None = None) -> None:
        """Bring memory back; a machine that was suspended when it was saved comes back suspended."""
        describe = describe or (lambda node, saved: relocated(saved, build_dir_of(directory), node))

        def load(node: str) -> None:
            path = str(memory_file(directory, node))
            saved = self._connection.saveImageGetXMLDesc(path, libvirt.VIR_DOMAIN_SAVE_IMAGE_XML_SECURE)
            here = describe(node, saved)
            if here == saved:
                self._connection.restore(path)
            else:  # as where the build directory was moved since
                self._connection.restoreFlags(path, here, 0)

        self._each(nodes, load)

    def _resume(self) -> None:
        for node, state in self.states().items():
            if state == "paused":
                self._hypervisor.resume(self._nodes[node])

    def _wait_for_job(self, node: str) -> None:
        deadline = time.monotonic() + JOB_LIMIT_S
        while (domain := self._hypervisor.domain(self._nodes[node])) and domain.isActive() and _busy(domain):
            if time.monotonic() > deadline:
                raise MachineError(f"libvirt still saves {self._nodes[node]} after {JOB_LIMIT_S:.0f} s")
            time.sleep(0.2)

    @staticmethod
    def _each(nodes: Iterable[str], work: Callable[[str], _T]) -> dict[str, _T]:
        """Do something for all nodes at the same time; a Ctrl-C waits too, since libvirt goes on by itself."""
        return for_all(nodes, work)


def _busy(domain: Any) -> bool:
    try:
        return bool(domain.jobInfo()[0] != libvirt.VIR_DOMAIN_JOB_NONE)
    except libvirt.libvirtError:  # it ended while we asked
        return False


def memory_file(directory: Path, node: str) -> Path:
    """Name the file of a node's memory in a checkpoint's directory."""
    return directory / f"{node}.mem"


def _without_parent(snapshot: str) -> str:
    """Take out the snapshot before this one, which may be gone when it is defined again."""
    xml = ET.fromstring(snapshot)
    for parent in xml.findall("parent"):
        xml.remove(parent)
    return ET.tostring(xml, encoding="unicode")
