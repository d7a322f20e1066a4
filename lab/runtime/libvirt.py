"""What the lab asks of libvirt. Everything here names what it touches: nothing of anybody else is ever changed."""

from __future__ import annotations

import contextlib
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import libvirt

from lab.errors import HostError, MachineError
from lab.runtime import libvirt_link as link

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

    from lab.plan import Network

POOL = "default"
POOL_DIR = "/var/lib/libvirt/images"

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


@dataclass(frozen=True)
class Removed:
    """What `Hypervisor.remove` took away."""

    domains: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.domains or self.volumes or self.networks)


class Hypervisor:
    """A connection to a libvirtd; a context manager, which turns what libvirt refuses into a MachineError.

    Where the daemon does not answer, or stops answering, that is a NoAnswerError after some 20 s. The arguments are
    those of `libvirt_link.connect`.
    """

    def __init__(
        self,
        uri: str = "qemu:///system",
        *,
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
            raise MachineError(f"libvirt says: {error}", hint="`lab up` goes on, `lab down` removes the lab") from error

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
            domain.resume()
        elif state != "running":
            self.power_off(name)  # a crashed one may still be there for whoever wants to look at it
            domain.create()

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

    def foreign_domains(self, names: Iterable[str], mark: str) -> list[str]:
        """Name those domains that exist but do not have `mark` (the build directory) in their description."""
        place = f"{mark.rstrip('/')}/"  # /labs/demo is not the home of /labs/demo2/Vagrantfile
        return [name for name in names if self.domain(name) is not None and place not in self.description(name)]

    def domains(self) -> list[str]:
        """Name all domains, foreign ones too."""
        return sorted(domain.name() for domain in self._connection.listAllDomains())

    def wait_for_state(self, name: str, wanted: State, timeout_s: float) -> None:
        """Wait until a domain is in a state; MachineError after the limit."""
        deadline = time.monotonic() + timeout_s
        while (state := self.state(name)) != wanted:
            if time.monotonic() > deadline:
                raise MachineError(f"domain {name} is {state}, not {wanted}, after {timeout_s:.0f} s")
            time.sleep(0.2)

    # Storage

    def ensure_pool(self, name: str = POOL, directory: str = POOL_DIR) -> None:
        """See to it that the storage pool exists, runs and starts with libvirtd. An existing one keeps its place."""
        pool = _found(self._connection.storagePoolLookupByName, name, libvirt.VIR_ERR_NO_STORAGE_POOL)
        if pool is None:
            xml = _element("pool", type="dir")
            ET.SubElement(xml, "name").text = name
            ET.SubElement(ET.SubElement(xml, "target"), "path").text = directory
            pool = self._connection.storagePoolDefineXML(_text(xml))
            pool.build(0)
        if not pool.isActive():
            pool.create(0)
        pool.setAutostart(1)

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

    # Networks

    def ensure_network(self, network: Network) -> None:
        """See to it that a lab network exists, runs and starts with libvirtd (as after a reboot of the host)."""
        found = self._network(network.name)
        if found is None:
            found = self._connection.networkDefineXML(network_xml(network))
        if not found.isActive():
            found.create()
        found.setAutostart(1)

    def networks(self, names: Iterable[str]) -> dict[str, bool]:
        """Tell of those networks that exist whether they are active."""
        found = {name: self._network(name) for name in names}
        return {name: bool(network.isActive()) for name, network in found.items() if network is not None}

    def subnets(self) -> dict[str, list[str]]:
        """Name the IPv4 subnets (as 192.168.121.1/24, the host's own address) of all networks, foreign ones too."""
        return {network.name(): _subnets(network.XMLDesc()) for network in self._connection.listAllNetworks()}

    def _network(self, name: str) -> Any | None:
        return _found(self._connection.networkLookupByName, name, libvirt.VIR_ERR_NO_NETWORK)

    # Removal

    def remove(
        self, domains: Sequence[str], networks: Sequence[str] = (), *, pool: str = POOL, keep_volumes: bool = False
    ) -> Removed:
        """Remove exactly these domains, the volumes that are theirs, and these networks; what is absent is fine.

        A volume is a domain's when vagrant-libvirt named it so (`DOMAIN.img`, `DOMAIN-vdb.qcow2`); boxes' base volumes
        stay, other labs may stand on them. MachineError, and nothing removed, where another domain uses a network.
        """
        self._refuse_shared(networks, domains)
        gone_domains = tuple(name for name in domains if self._remove_domain(name))
        owners = () if keep_volumes else domains
        gone_volumes = tuple(volume for name in owners for volume in self._remove_volumes(name, pool))
        gone_networks = tuple(name for name in networks if self._remove_network(name))
        return Removed(gone_domains, gone_volumes, gone_networks)

    def _refuse_shared(self, networks: Sequence[str], domains: Sequence[str]) -> None:
        for other in self._connection.listAllDomains():
            if other.name() in domains:
                continue
            sources = ET.fromstring(other.XMLDesc()).iterfind("devices/interface/source")
            shared = {source.get("network") for source in sources} & set(networks)
            if shared:
                raise MachineError(
                    f"network {shared.pop()} is used by domain {other.name()}, which is not of this lab",
                    hint="give the lab another name, or that domain another network",
                )

    def _remove_domain(self, name: str) -> bool:
        domain = self.domain(name)
        if domain is None:
            return False
        self.power_off(name)
        try:
            _undefine(domain, _EVERY_TRACE)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_INVALID_ARG:
                raise
            _undefine(domain, _EVERY_TRACE & ~_NOT_EVERYWHERE)
        return True

    def _remove_volumes(self, domain: str, pool: str) -> list[str]:
        names = [v for v in self.volumes(pool) if v.startswith((f"{domain}.", f"{domain}-vd"))]
        for name in names:
            self._connection.storagePoolLookupByName(pool).storageVolLookupByName(name).delete(0)
        return names

    def _remove_network(self, name: str) -> bool:
        network = self._network(name)
        if network is None:
            return False
        if network.isActive():
            network.destroy()
        if network.isPersistent():
            network.undefine()
        return True


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


_NOT_EVERYWHERE = libvirt.VIR_DOMAIN_UNDEFINE_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
"""flags that not every driver and version knows"""
_EVERY_TRACE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA | _NOT_EVERYWHERE
)


def _undefine(domain: Any, flags: int) -> None:
    # A transient domain is gone with its destruction.
    unless(libvirt.VIR_ERR_NO_DOMAIN, domain.undefineFlags, flags)


def unless(harmless: int, call: Any, *arguments: Any) -> None:
    """Call libvirt; the error `harmless` (VIR_ERR_…) is none."""
    try:
        call(*arguments)
    except libvirt.libvirtError as error:
        if error.get_error_code() != harmless:
            raise
