"""What a look at a lab, or at the rest of one, finds: libvirt's objects, files, and the nodes. Changes nothing."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import libvirt

from lab.base.errors import HostError, LabError, MachineError
from lab.base.process import run, shown
from lab.base.side_by_side import for_all
from lab.box.store import cache_directory, list_boxes
from lab.diagnosis.node_look import NodeSeen, look_at_node
from lab.host.capacity import memory_mib
from lab.host.libvirt import POOL
from lab.host.libvirt_link import NoAnswerError
from lab.host.ownership import is_from, looks_like, own_of
from lab.host.removal import own_volumes
from lab.machines.console import console_of, stands_still
from lab.nodes.ssh import Ssh
from lab.nodes.ssh_config import SshConfig
from lab.nodes.state import StateFile

if TYPE_CHECKING:
    from lab.host.host import Host
    from lab.host.libvirt import Hypervisor, State
    from lab.host.ownership import Own
    from lab.planning.plan import Node, Plan

PoolState = Literal["active", "inactive", "missing"]


@dataclass(frozen=True)
class DomainSeen:
    """A node's domain, as libvirt tells of it."""

    state: State = "absent"
    reason: str = ""
    """why it is in that state, where that is bad news: crashed, failed, I/O error"""
    ours: bool = True
    """its description names this build directory"""
    known_to_vagrant: bool = True
    """the build directory's .vagrant has its id"""
    address: str = ""
    """by DHCP, on the access network"""
    stuck: str = ""
    """why it does not go on by itself, where the console ends with a panic or the prompt of its initial RAM disk"""
    base_gone: str = ""
    """the image that its disk is based on, if that is missing"""


@dataclass(frozen=True)
class LabSeen:
    """What a look at a lab found."""

    mode: str = "private"
    libvirtd: str = ""
    """why it does not answer; empty where it does. If it does not, what only libvirt can tell is unknown"""
    stop_libvirtd: str = ""
    """the command that ends libvirtd, to be started again; the machines run on"""
    pool: PoolState = "active"
    networks: dict[str, bool] = field(default_factory=dict)
    """those that exist, and whether they are active"""
    domains: dict[str, DomainSeen] = field(default_factory=dict)
    """by the nodes' names"""
    left_over: dict[str, bool] = field(default_factory=dict)
    """volumes of the names of nodes that have no domain, and whether they are known to be the lab's"""
    nodes: dict[str, NodeSeen | str] = field(default_factory=dict)
    """what the nodes that could be asked said, or why they did not answer"""
    boxes_missing: tuple[str, ...] = ()
    """the plan's boxes that the cache does not hold"""
    free_mib: dict[str, int] = field(default_factory=dict)
    """of the host's file systems that the lab writes to, by a path on each"""
    memory_available_mib: int = 0
    oom_kills: tuple[str, ...] = ()
    """QEMU processes that this host's kernel killed since its boot because memory ran out, in its words"""
    damaged: str = ""
    """what is wrong with state.json"""


def look_at_lab(plan: Plan, host: Host, build_dir: Path) -> LabSeen:
    """Look at the host's part of a lab, then at all nodes that may be alive, side by side."""
    seen = _libvirt(plan, host, build_dir)
    if seen.libvirtd:
        alive = [node.name for node in plan.nodes]
    else:
        alive = [node.name for node in plan.nodes if seen.domains[node.name].state == "running"]
    ssh, known = Ssh(build_dir), SshConfig(build_dir).nodes()

    def ask(name: str) -> NodeSeen | str:
        return look_at_node(host, ssh, name) if name in known else "its address is not known yet"

    return replace(seen, nodes=for_all(alive, ask))


def _libvirt(plan: Plan, host: Host, build_dir: Path) -> LabSeen:
    """Look at everything but the nodes."""
    around: dict[str, Any] = {
        "mode": host.mode,
        "stop_libvirtd": "systemctl restart libvirtd"
        if host.mode == "system"
        else shown(["pkill", "-F", host.pool_dir.parents[2] / "libvirtd.pid"]),
        "boxes_missing": _boxes_missing(plan),
        "free_mib": _free_mib([host.pool_dir, build_dir, cache_directory()]),
        "memory_available_mib": memory_mib()[1],
        "oom_kills": _oom_kills(),
        "damaged": _damage(build_dir),
    }
    try:
        if not host.is_running():
            return LabSeen(libvirtd="it does not run", **around)
        with host.hypervisor() as hypervisor:
            domains = {node.name: _domain(hypervisor, plan, node, host, build_dir) for node in plan.nodes}
            return LabSeen(
                pool=_pool(hypervisor),
                networks=hypervisor.networks(network.name for network in plan.networks),
                domains=domains,
                left_over=_left_over(hypervisor, plan, domains, own_of(plan.name, build_dir)),
                **around,
            )
    except NoAnswerError as error:
        return LabSeen(libvirtd=error.message, **around)
    except (HostError, MachineError) as error:
        return LabSeen(libvirtd=(error.detail or error.message).splitlines()[0], **around)


def _left_over(hypervisor: Hypervisor, plan: Plan, domains: dict[str, DomainSeen], own: Own) -> dict[str, bool]:
    absent = [node.domain for node in plan.nodes if domains[node.name].state == "absent"]
    ours = own_volumes(hypervisor, absent, own)
    alike = [v for v in hypervisor.volumes() if any(looks_like(domain, v) for domain in absent)]
    return {volume: volume in ours for volume in alike}


def _pool(hypervisor: Hypervisor) -> PoolState:
    if not hypervisor.has_pool():
        return "missing"
    return "active" if hypervisor.connection.storagePoolLookupByName(POOL).isActive() else "inactive"


def _domain(hypervisor: Hypervisor, plan: Plan, node: Node, host: Host, build_dir: Path) -> DomainSeen:
    domain = hypervisor.domain(node.domain)
    state = hypervisor.state(node.domain)
    if domain is None or state == "absent":
        return DomainSeen()
    id_file = build_dir / ".vagrant" / "machines" / node.name / "libvirt" / "id"
    vagrants = id_file.read_text().strip() if id_file.is_file() else ""
    return DomainSeen(
        state=state,
        reason=_bad_news(*domain.state()),
        ours=is_from(hypervisor.description(node.domain), build_dir),
        known_to_vagrant=vagrants == domain.UUIDString(),
        address=_lease(hypervisor, plan, node),
        stuck=stands_still(console_of(build_dir, node.name)) if state == "running" else "",
        base_gone=_missing_base(hypervisor, node, host),
    )


_BAD_NEWS = {
    (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED): "its QEMU ended or was killed",
    (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_FAILED): "its QEMU did not start",
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR): "its disk could not be written",
}


def _bad_news(state: int, reason: int) -> str:
    return _BAD_NEWS.get((state, reason), "")


def _lease(hypervisor: Hypervisor, plan: Plan, node: Node) -> str:
    access = next(network.name for network in plan.networks if network.kind == "access")
    mac = node.nic("access").mac
    if not hypervisor.networks([access]).get(access):
        return ""
    try:
        leases = hypervisor.connection.networkLookupByName(access).DHCPLeases(mac)
    except libvirt.libvirtError:  # a driver without leases
        return ""
    return next((str(lease["ipaddr"]) for lease in leases), "")


def _missing_base(hypervisor: Hypervisor, node: Node, host: Host) -> str:
    """Name the base image of a node's disk, where the volume names one that is not in the pool's directory."""
    volume = f"{node.domain}.img"
    if volume not in hypervisor.volumes():
        return ""
    xml = hypervisor.connection.storagePoolLookupByName(POOL).storageVolLookupByName(volume).XMLDesc()
    base = ET.fromstring(xml).findtext("backingStore/path") or ""
    return "" if not base or (host.pool_dir / Path(base).name).exists() else Path(base).name


def _boxes_missing(plan: Plan) -> tuple[str, ...]:
    """Name the boxes that are not in the cache."""
    return tuple(sorted({node.box for node in plan.nodes} - {box.name for box in list_boxes()}))


def _free_mib(paths: list[Path]) -> dict[str, int]:
    """Tell the free space of each file system among these places, under the first path that is on it."""
    found: dict[int, tuple[str, int]] = {}
    for path in paths:
        place = next(p for p in (path, *path.parents) if p.exists())
        found.setdefault(place.stat().st_dev, (str(path), shutil.disk_usage(place).free // 2**20))
    return dict(found.values())


def _oom_kills() -> tuple[str, ...]:
    """Read the kernel's log for VMs that it killed; a user who may not read it sees none."""
    try:
        text = run(["dmesg"], timeout_s=15, check=False).stdout
    except LabError:
        return ()
    return tuple(re.findall(r"[Oo]ut of memory: Kill.* process (\d+ \((?:qemu|CPU )[^)]*\))", text))


def _damage(build_dir: Path) -> str:
    try:
        StateFile(build_dir / "state.json").load()
    except MachineError as error:
        return error.message
    return ""
