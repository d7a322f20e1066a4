"""Removes a lab's domains, volumes and networks from a libvirt, and nothing else."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import libvirt

from lab.base.builddir import canonical
from lab.base.errors import MachineError
from lab.base.process import shown
from lab.host.libvirt import POOL, unless
from lab.host.ownership import in_the_way, looks_like

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lab.host.libvirt import Hypervisor
    from lab.host.ownership import Own


@dataclass(frozen=True)
class Removed:
    """What `remove` took away, and what it left alone because it is not known to be the lab's."""

    domains: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    """a line for each thing that has a name of the lab's"""

    def __bool__(self) -> bool:
        return bool(self.domains or self.volumes or self.networks)


def remove(
    hypervisor: Hypervisor,
    domains: Sequence[str],
    networks: Sequence[str] = (),
    *,
    own: Own,
    pool: str = POOL,
    keep_volumes: bool = False,
) -> Removed:
    """Remove those of these domains and networks that are the lab's, and its domains' volumes. Absent is no error.

    Boxes' base volumes stay: other labs' disks need them. MachineError, and nothing removed, where another domain
    uses a network.
    """
    foreign = [] if hypervisor.exclusive else hypervisor.foreign_domains(domains, own.build_dir)
    mine = [name for name in domains if name not in foreign]
    known = own.recorded or any(hypervisor.domain(name) is not None for name in mine)
    if hypervisor.exclusive:
        taken = list(networks)
    else:
        taken = [name for name in networks if known and not foreign and hypervisor.owns_network(name, own)]
    _refuse_shared(hypervisor, taken, mine)
    gone_volumes = [] if keep_volumes else own_volumes(hypervisor, mine, own, pool)  # while the domains tell of them
    gone_domains = tuple(name for name in mine if _remove_domain(hypervisor, name))
    for volume in gone_volumes:
        hypervisor.connection.storagePoolLookupByName(pool).storageVolLookupByName(volume).delete(0)
    gone_networks = tuple(name for name in taken if _remove_network(hypervisor, name))
    left = [f"domain {name} is not of {own.build_dir}" for name in foreign]
    if not keep_volumes:
        left += _left_volumes(hypervisor, _alike(hypervisor, mine, pool), pool)
    left += [_left_network(name) for name in hypervisor.networks(networks)]
    return Removed(gone_domains, tuple(gone_volumes), gone_networks, tuple(left))


def own_volumes(hypervisor: Hypervisor, domains: Iterable[str], own: Own, pool: str = POOL) -> list[str]:
    """Name the volumes of a lab's own domains, of those too that were cut short before they were there.

    Somebody attached a disk of another name, and may want to keep it; the same goes for one of ours that others use.
    """
    mine = list(domains)
    alike = _alike(hypervisor, mine, pool)
    if hypervisor.exclusive or not alike:
        return alike
    paths = hypervisor.volume_paths(pool)
    users = _users(hypervisor, paths)
    named = {volume for volume, names in users.items() if names & set(mine)}
    named |= {volume for each in named for volume in _backing(hypervisor, each, paths, pool)} | own.volumes
    return [volume for volume in alike if volume in named and users.get(volume, set()) <= set(mine)]


def refuse_in_the_way(hypervisor: Hypervisor, domains: Iterable[str], pool: str = POOL) -> None:
    """Refuse to let Vagrant make domains whose disks would have the names of volumes that are there.

    Raises:
        MachineError: there are such volumes.
    """
    volumes = hypervisor.volumes(pool)
    there = [volume for domain in domains for volume in in_the_way(domain, volumes)]
    if there:
        raise MachineError(
            f"the pool {pool} has volumes of the machines' names that may not be of this lab: {', '.join(there)}",
            detail="\n".join(_left_volumes(hypervisor, there, pool)),
            hint="remove what you do not need by these commands, then `lab up`; or give the lab another `name`",
        )


def _alike(hypervisor: Hypervisor, domains: Iterable[str], pool: str) -> list[str]:
    volumes = hypervisor.volumes(pool)
    return [volume for domain in domains for volume in volumes if looks_like(domain, volume)]


def _backing(hypervisor: Hypervisor, volume: str, paths: dict[str, str], pool: str) -> list[str]:
    """Name the volumes of the pool that a volume is an overlay of, as after an external snapshot."""
    found: list[str] = []
    while volume and volume not in found:
        found.append(volume)
        xml = hypervisor.connection.storagePoolLookupByName(pool).storageVolLookupByName(volume).XMLDesc()
        base = ET.fromstring(xml).findtext("backingStore/path") or ""
        volume = paths.get(str(canonical(Path(base))), "") if base else ""
    return found[1:]


def _users(hypervisor: Hypervisor, paths: dict[str, str]) -> dict[str, set[str]]:
    """Tell which domains have which volumes of the pool for disks."""
    users: dict[str, set[str]] = {}
    for domain in hypervisor.domains():
        for disk in hypervisor.disks(domain):
            users.setdefault(paths.get(disk, ""), set()).add(domain)
    return users


def _left_volumes(hypervisor: Hypervisor, names: list[str], pool: str) -> list[str]:
    users = _users(hypervisor, hypervisor.volume_paths(pool))
    lines = []
    for name in names:
        if name in users:
            lines.append(f"volume {name} is a disk of domain {', '.join(sorted(users[name]))}")
        else:
            command = shown(["virsh", "-c", "qemu:///system", "vol-delete", name, "--pool", pool])
            lines.append(f"volume {name} was left behind, or is not of this lab; if nobody needs it: {command}")
    return lines


def _left_network(name: str) -> str:
    command = f"virsh -c qemu:///system net-destroy {name}; virsh -c qemu:///system net-undefine {name}"
    return f"network {name} was not created by this lab; if nobody needs it: {command}"


def _refuse_shared(hypervisor: Hypervisor, networks: Sequence[str], domains: Sequence[str]) -> None:
    for other in hypervisor.connection.listAllDomains():
        if other.name() in domains:
            continue
        sources = ET.fromstring(other.XMLDesc()).iterfind("devices/interface/source")
        shared = {source.get("network") for source in sources} & set(networks)
        if shared:
            raise MachineError(
                f"network {shared.pop()} is used by domain {other.name()}, which is not of this lab",
                hint="give the lab another name, or that domain another network",
            )


def _remove_domain(hypervisor: Hypervisor, name: str) -> bool:
    domain = hypervisor.domain(name)
    if domain is None:
        return False
    hypervisor.power_off(name)
    try:
        _undefine(domain, _EVERY_TRACE)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_INVALID_ARG:
            raise
        _undefine(domain, _EVERY_TRACE & ~_NOT_EVERYWHERE)
    return True


def _remove_network(hypervisor: Hypervisor, name: str) -> bool:
    network = hypervisor.network(name)
    if network is None:
        return False
    if network.isActive():
        network.destroy()
    if network.isPersistent():
        network.undefine()
    return True


_NOT_EVERYWHERE = libvirt.VIR_DOMAIN_UNDEFINE_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
"""flags that not every driver and version knows"""
_EVERY_TRACE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA | _NOT_EVERYWHERE
)


def _undefine(domain: Any, flags: int) -> None:
    # A transient domain is gone with its destruction.
    unless(libvirt.VIR_ERR_NO_DOMAIN, domain.undefineFlags, flags)
