"""Does the plan fit on the host? Pure: the host's numbers are given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.inputs.model import NodesSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.planning.plan import Node, Plan

OVERHEAD_MIB = {"kvm": 160, "qemu": 420}
"""what QEMU itself takes beside a guest's memory; the emulator keeps translated code"""
RESERVE_MIB = 512
"""left to the host"""
WRITTEN_GIB = {"controller": 3.0, "compute": 1.5}
"""what a provisioned node has written to its disk"""
PRELOADED_GIB = {"controller": 2.0, "compute": 1.5}
"""written in addition where the packages are installed in the node"""
BOX_GIB = {"controller": 2.2, "compute": 1.6}
"""a box in the pool, once for all nodes of its role"""


@dataclass(frozen=True)
class HostNumbers:
    """What the host has. memory_available_mib is /proc/meminfo's MemAvailable."""

    cpus: int
    memory_total_mib: int
    memory_available_mib: int
    disk_free_gib: float
    """of the file system that holds the lab's disks"""
    disk_path: str = ""
    running: frozenset[str] = frozenset()
    """nodes of this lab that run already, or are paused: their memory is taken, and counted no second time"""
    written_gib: Mapping[str, float] = field(default_factory=dict)
    """by node that has a disk: what that holds, and need not be written again"""
    boxes_present: bool = False
    """the boxes are in the pool: their space is taken"""


@dataclass(frozen=True)
class Fit:
    """What does not fit, and what is tight; empty where everything fits."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def memory_need_mib(plan: Plan, running: frozenset[str] = frozenset()) -> int:
    """Give what the nodes that do not run yet will take of the host's memory."""
    return sum(n.memory_mib + OVERHEAD_MIB[plan.accelerator] for n in plan.nodes if n.name not in running)


def disk_need_gib(plan: Plan, *, boxes_present: bool = False, written_gib: Mapping[str, float] | None = None) -> float:
    """Estimate what the lab will write yet, boxes included: a node that has a disk has its box too."""
    have = written_gib or {}

    def written(node: Node) -> float:
        estimate = WRITTEN_GIB[node.role] + (PRELOADED_GIB[node.role] if plan.flavour == "preloaded" else 0)
        return max(0.0, estimate - have.get(node.name, 0.0))

    there = {node.role for node in plan.nodes if node.name in have}
    boxes = 0.0 if boxes_present else sum(BOX_GIB[role] for role in {node.role for node in plan.nodes} - there)
    return boxes + sum(map(written, plan.nodes))


def default_memory_mib() -> int:
    """Give the memory that a lab of the default sizes takes on a host that emulates, with what is left to the host."""
    sizes = NodesSpec()
    computes = sizes.compute.count * (sizes.compute.memory_mib + OVERHEAD_MIB["qemu"])
    return sizes.controller.memory_mib + OVERHEAD_MIB["qemu"] + computes + RESERVE_MIB


def fit(plan: Plan, host: HostNumbers) -> Fit:
    """Compare a plan with the host's numbers."""
    result = Fit()
    waiting = [node for node in plan.nodes if node.name not in host.running]
    need = memory_need_mib(plan, host.running)
    if waiting and need + RESERVE_MIB > host.memory_available_mib:
        result.problems.append(
            f"memory: found {_gib(host.memory_available_mib)} available of {_gib(host.memory_total_mib)}, "
            f"expected {_gib(need + RESERVE_MIB)} ({_sizes(waiting)}, and QEMU's own) — "
            "less in nodes.controller.memory or nodes.compute.memory, or fewer in nodes.compute.count"
        )
    disk = disk_need_gib(plan, boxes_present=host.boxes_present, written_gib=host.written_gib)
    where = f" in {host.disk_path}" if host.disk_path else ""
    if waiting and disk > host.disk_free_gib:
        result.problems.append(
            f"disk: found {host.disk_free_gib:.1f} GiB free{where}, expected about {disk:.1f} GiB — "
            "free some with `lab box remove`, or with `lab down` of other labs"
        )
    elif waiting and (full := _full_gib(plan, host.written_gib)) > host.disk_free_gib:
        result.warnings.append(
            f"disk: {host.disk_free_gib:.1f} GiB free{where} hold what the lab writes (about {disk:.1f} GiB), "
            f"not the full size of its disks ({full:.0f} GiB)"
        )
    if plan.accelerator == "qemu" and any(node.nested and node.cpus > 1 for node in plan.nodes):
        result.warnings.append(
            "CPUs: an emulated compute node with more than one CPU may hang when its first instance runs under KVM — "
            "nodes.compute.cpus: 1"
        )
    cpus = sum(node.cpus for node in plan.nodes)
    for node in plan.nodes:
        if node.cpus > host.cpus:
            result.warnings.append(
                f"CPUs: {node.name} has {node.cpus}, the host {host.cpus}: more than it can run at once"
            )
            break
    if cpus > 2 * host.cpus:
        result.warnings.append(
            f"CPUs: the nodes have {cpus} together, the host {host.cpus}: they will wait for each other"
        )
    return result


def _full_gib(plan: Plan, written_gib: Mapping[str, float]) -> float:
    """Give what the disks can still grow by."""
    return sum(max(0.0, node.disk_gib - written_gib.get(node.name, 0.0)) for node in plan.nodes)


def _sizes(nodes: list[Node]) -> str:
    """List the nodes' memory; many of the same size together."""
    sizes: dict[tuple[str, int], list[str]] = {}
    for node in nodes:
        sizes.setdefault((node.role, node.memory_mib), []).append(node.name)
    return ", ".join(
        f"{names[0]} {_gib(mib)}" if len(names) == 1 else f"{names[0]} to {names[-1]} {_gib(mib)} each"
        for (_, mib), names in sizes.items()
    )


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f} GiB".replace(".0 GiB", " GiB")
