"""What the lab asks of libvirt. Everything here names what it touches: nothing of anybody else is ever changed."""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import libvirt

from lab.base.builddir import canonical
from lab.base.errors import HostError, MachineError
from lab.host import libvirt_link as link
from lab.host.ownership import is_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from lab.host.ownership import Own
    from lab.planning.plan import Network

POOL = "default"
POOL_DIR = "/var/lib/libvirt/images"
QEMU_LIMIT_S = 180.0
"""for what QEMU does at once, but for the data of its disks, which it may write first on a busy host"""

State = Literal["running", "paused", "shut off", "crashed", "saved", "absent"]

# virDomainState: 2 is blocked and 4 is in shutdown, which both still run; 7 is suspended by the guest
_STATES: dict[int, State] = {
    1: "running",
    2: "running",
    3: "paused",
    4: "running",
    5: "shut off",
    6: "crashed",
    7: "paused",
}


class Hypervisor:
    """A connection to a libvirtd; a context manager, which turns what libvirt refuses into a MachineError.

    Where the daemon does not answer, or stops answering, that is a NoAnswerError after some 20 s. The arguments are
    those of `libvirt_link.connect`; `exclusive` says that all that is there is one lab's.
    """

    def __init__(
        self,
        uri: str = "qemu:///system",
        *,
        exclusive: bool = False,
        pid_files: tuple[Path, ...] = link.SYSTEM_PID_FILES,
        limit_s: float | None = None,
        hint: str = "",
    ) -> None:
        self._pid_files, self._hint = pid_files, hint
        try:
            self._connection: Any = link.connect(uri, pid_files, limit_s=limit_s, hint=hint)
        except libvirt.libvirtError as error:
            raise HostError(f"libvirt does not answer at {uri}", detail=str(error)) from error
        self.uri = uri
        self.exclusive = exclusive

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(libvirt.libvirtError):
            self.close()
        if link.silent(error):
            raise link.no_answer(self._pid_files, self._hint) from error
        if isinstance(error, libvirt.libvirtError):
            raise MachineError(
                f"libvirt says: {error}", hint="`lab up` continues, `lab down` removes the lab"
            ) from error

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    @property
    def connection(self) -> Any:
        """libvirt.virConnect, for those who look at more than this class asks for; who changes things adds a method."""
        return self._connection

    # Domains

    def domain(self, name: str) -> Any | None:
        """Find a domain (libvirt.virDomain) by its name."""
        return _found(self._connection.lookupByName, name, libvirt.VIR_ERR_NO_DOMAIN)

    def state(self, name: str) -> State:
        """Tell a domain's state; `saved` is shut off with a managed save image."""
        domain = self.domain(name)
        if domain is None:
            return "absent"
        try:
            state = _STATES[domain.state()[0]]
            return "saved" if state == "shut off" and domain.hasManagedSaveImage() else state
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:  # it went while we looked
                return "absent"
            raise

    def states(self, names: Iterable[str]) -> dict[str, State]:
        """Tell the states of domains."""
        return {name: self.state(name) for name in names}

    def uuid(self, name: str) -> str:
        """Tell a domain's UUID, which is Vagrant's id of the machine; empty where there is no such domain."""
        domain = self.domain(name)
        return "" if domain is None else str(domain.UUIDString())

    def macs(self, name: str) -> frozenset[str]:
        """List the addresses of a domain's interfaces."""
        domain = self.domain(name)
        found = () if domain is None else ET.fromstring(domain.XMLDesc()).iterfind("devices/interface/mac")
        return frozenset(mac.get("address", "").lower() for mac in found)

    def start(self, name: str) -> None:
        """Make a domain run, whatever it is doing instead: shut off, saved, paused or crashed."""
        domain = self.domain(name)
        if domain is None:
            raise MachineError(f"there is no domain {name}")
        state = self.state(name)
        if state == "paused":
            self.resume(name)
        elif state != "running":
            self.power_off(name)  # a crashed one may still be there for whoever wants to look at it
            domain.create()

    def suspend(self, name: str) -> None:
        """Stop the processors of a domain that runs."""
        self.ask_qemu(name, "pausing", lambda domain: domain.suspend())

    def resume(self, name: str) -> None:
        """Let the processors of a paused domain go on."""
        self.ask_qemu(name, "waking", lambda domain: domain.resume())

    def ask_qemu(self, name: str, what: str, call: Callable[[Any], Any], *, limit_s: float | None = None) -> Any:
        """Ask the QEMU of a domain for something that a live one does soon.

        A QEMU may be stopped, or wait for a full disk, while its libvirtd works: libvirt would wait for ever.

        Args:
            name: the domain's.
            what: is done, for the message: "pausing".
            call: gets the libvirt.virDomain.
            limit_s: QEMU_LIMIT_S without it.

        Raises:
            MachineError: it took longer, or there is no such domain.
        """
        domain = self.domain(name)
        if domain is None:
            raise MachineError(f"there is no domain {name}", hint="`lab up` makes it")
        return link.within(QEMU_LIMIT_S if limit_s is None else limit_s, f"{what} {name}", lambda: call(domain))

    def power_off(self, name: str) -> None:
        """Cut a domain's power. Fine where it does not run."""
        domain = self.domain(name)
        if domain is not None and domain.isActive():
            unless(libvirt.VIR_ERR_OPERATION_INVALID, domain.destroy)

    def description(self, name: str) -> str:
        """Read a domain's description; vagrant-libvirt writes there which Vagrantfile it comes from."""
        return self._text_of(name, "description")

    def title(self, name: str) -> str:
        """Read a domain's title; the Vagrantfile names the lab and the node there."""
        return self._text_of(name, "title")

    def _text_of(self, name: str, tag: str) -> str:
        domain = self.domain(name)
        return "" if domain is None else (ET.fromstring(domain.XMLDesc()).findtext(tag) or "")

    def foreign_domains(self, names: Iterable[str], build_dir: Path) -> list[str]:
        """Name those domains that exist, but whose description does not name this build directory."""
        there = [name for name in names if self.domain(name) is not None]
        return [name for name in there if not is_from(self.description(name), build_dir)]

    def disks(self, name: str) -> list[str]:
        """Give the paths of a domain's disks, as its XML names them, without CD-ROMs and the like."""
        domain = self.domain(name)
        found = () if domain is None else ET.fromstring(domain.XMLDesc()).iterfind("devices/disk")
        return [path for disk in found if disk.get("device", "disk") == "disk" and (path := self._path_of(disk))]

    def _path_of(self, disk: ET.Element) -> str:
        source = disk.find("source")
        if source is None:
            return ""
        pool, volume = source.get("pool"), source.get("volume")
        if pool and volume:
            places = self.volume_paths(pool)
            return next((path for path, name in places.items() if name == volume), "")
        path = source.get("file") or source.get("dev") or ""
        return str(canonical(Path(path))) if path else ""

    def domains(self) -> list[str]:
        """Name all domains, foreign ones too."""
        return sorted(domain.name() for domain in self._connection.listAllDomains())

    # Storage

    def ensure_pool(self, name: str = POOL, directory: str = POOL_DIR) -> None:
        """Make sure that the storage pool exists and runs; one that is made here starts with libvirtd."""
        pool = _found(self._connection.storagePoolLookupByName, name, libvirt.VIR_ERR_NO_STORAGE_POOL)
        if pool is None:
            xml = _element("pool", type="dir")
            ET.SubElement(xml, "name").text = name
            ET.SubElement(ET.SubElement(xml, "target"), "path").text = directory
            pool = self._connection.storagePoolDefineXML(_text(xml))
            pool.build(0)
            pool.setAutostart(1)
        if not pool.isActive():
            pool.create(0)

    def has_pool(self, name: str = POOL) -> bool:
        """Tell whether a storage pool of this name is defined."""
        return _found(self._connection.storagePoolLookupByName, name, libvirt.VIR_ERR_NO_STORAGE_POOL) is not None

    def refresh_pool(self, name: str = POOL) -> None:
        """Let libvirt see files that were put into the pool's directory."""
        self._connection.storagePoolLookupByName(name).refresh(0)

    def pool_dir(self, name: str = POOL) -> str:
        """Tell where a directory pool keeps its volumes."""
        xml = self._connection.storagePoolLookupByName(name).XMLDesc()
        return ET.fromstring(xml).findtext("target/path") or ""

    def volumes(self, pool: str = POOL) -> list[str]:
        """List a pool's volumes; of a missing or stopped pool, none."""
        found = _found(self._connection.storagePoolLookupByName, pool, libvirt.VIR_ERR_NO_STORAGE_POOL)
        return sorted(found.listVolumes()) if found is not None and found.isActive() else []

    def volume_paths(self, pool: str = POOL) -> dict[str, str]:
        """Give a pool's volumes by their paths; of a missing or stopped pool, none."""
        found = _found(self._connection.storagePoolLookupByName, pool, libvirt.VIR_ERR_NO_STORAGE_POOL)
        volumes = found.listAllVolumes() if found is not None and found.isActive() else []
        return {str(canonical(Path(volume.path()))): volume.name() for volume in volumes}

    # Networks

    def ensure_network(self, network: Network) -> None:
        """Make sure that a lab network exists, runs and starts with libvirtd (as after a reboot of the host).

        Raises:
            MachineError: one of that name, which the lab did not make, does not run.
        """
        found = self.network(network.name)
        if found is None:
            found = self._connection.networkDefineXML(network_xml(network))
        elif not self.exclusive and _bridge(found) != network.bridge:
            if not found.isActive():
                raise MachineError(
                    f"network {network.name} does not run, and was not created by this lab, so nothing was done to it",
                    hint=f"virsh -c {self.uri} net-start {network.name}, then the same command again",
                )
            return
        if not found.isActive():
            found.create()
        found.setAutostart(1)

    def owns_network(self, name: str, own: Own) -> bool:
        """Tell whether there is such a network, and it is the lab's."""
        found = self.network(name)
        return found is not None and (_bridge(found) in own.bridges or found.UUIDString() in own.networks)

    def networks(self, names: Iterable[str]) -> dict[str, bool]:
        """Tell of those networks that exist whether they are active."""
        found = {name: self.network(name) for name in names}
        return {name: bool(network.isActive()) for name, network in found.items() if network is not None}

    def subnets(self) -> dict[str, list[str]]:
        """Name the IPv4 subnets (as 192.168.121.1/24, the host's own address) of all networks, foreign ones too."""
        return {network.name(): _subnets(network.XMLDesc()) for network in self._connection.listAllNetworks()}

    def network(self, name: str) -> Any | None:
        """Find a network (libvirt.virNetwork) by its name."""
        return _found(self._connection.networkLookupByName, name, libvirt.VIR_ERR_NO_NETWORK)


def network_xml(network: Network) -> str:
    """Write a lab network for libvirt: an isolated bridge with the host's address, DHCP only where the plan says so."""
    xml = _element("network", ipv6="no")
    ET.SubElement(xml, "name").text = network.name
    ET.SubElement(xml, "bridge", name=network.bridge, stp="off", delay="0")
    ip = ET.SubElement(xml, "ip", address=str(network.host_address), netmask=str(network.cidr.netmask))
    if network.dhcp:
        hosts = [host for host in (network.cidr[1], network.cidr[-2]) if host != network.host_address]
        start = network.cidr[2] if hosts[0] != network.cidr[1] else hosts[0]
        ET.SubElement(ET.SubElement(ip, "dhcp"), "range", start=str(start), end=str(hosts[-1]))
    return _text(xml)


def _bridge(network: Any) -> str:
    bridge = ET.fromstring(network.XMLDesc()).find("bridge")
    return "" if bridge is None else bridge.get("name", "")


def _subnets(xml: str) -> list[str]:
    found = []
    for ip in ET.fromstring(xml).iterfind("ip"):
        if ip.get("family", "ipv4") == "ipv4":
            found.append(f"{ip.get('address')}/{ip.get('netmask') or ip.get('prefix')}")
    return found


def _element(tag: str, **attributes: str) -> ET.Element:
    return ET.Element(tag, attributes)


def _text(xml: ET.Element) -> str:
    return ET.tostring(xml, encoding="unicode")


def _found(lookup: Any, name: str, missing: int) -> Any | None:
    try:
        return lookup(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == missing:
            return None
        raise


def unless(harmless: int, call: Any, *arguments: Any) -> None:
    """Call libvirt; the error `harmless` (VIR_ERR_…) is none."""
    try:
        call(*arguments)
    except libvirt.libvirtError as error:
        if error.get_error_code() != harmless:
            raise
