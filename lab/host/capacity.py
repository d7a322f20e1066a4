"""What is known of the host before anything is built: its accelerator, and how much it has."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lab.box.proof import proof_images
from lab.box.store import cache_directory
from lab.host.kvm import expected_host, prove_host
from lab.host.libvirt_link import NoAnswerError
from lab.planning.hostfit import HostNumbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.host.host import Host
    from lab.planning.plan import HostProof, Plan

IN_MEMORY = frozenset({"running", "paused"})
"""states in which a machine has its memory"""
_BLOCK = 512
"""bytes: the unit of st_blocks (stat(2))"""
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def host_facts(
    wanted: Literal["auto", "kvm", "qemu"] = "auto",
    *,
    mirror: str | None = None,
    prove: bool = True,
    fresh: bool = False,
) -> HostProof:
    """Tell the accelerator, nesting and wait factor of this host, with the reasons.

    `prove` boots a guest where that has not been done since the host booted (up to 20 s, and the guest's packages are
    fetched once, from `mirror` or the host's); without it nothing is touched, and what is not proven says so.

    HostError as of `prove_host`.
    """
    if not prove:
        return expected_host(cache_dir=cache_directory(), wanted=wanted)
    kernel, initrd = proof_images(mirror=mirror)
    return prove_host(kernel, initrd, cache_dir=cache_directory(), wanted=wanted, fresh=fresh)


def count(
    pool: Path,
    *,
    running: frozenset[str] = frozenset(),
    written_gib: Mapping[str, float] | None = None,
    boxes_present: bool = False,
) -> HostNumbers:
    """Count processors, memory and the free space where `pool` is, or will be."""
    place = next(path for path in (pool, *pool.parents) if os.path.exists(path))
    total, available = memory_mib()
    return HostNumbers(
        cpus=len(os.sched_getaffinity(0)),
        memory_total_mib=total,
        memory_available_mib=available,
        disk_free_gib=round(shutil.disk_usage(place).free / 2**30, 1),
        disk_path=str(place),
        running=running,
        written_gib=written_gib or {},
        boxes_present=boxes_present,
    )


def count_for(plan: Plan, host: Host) -> HostNumbers:
    """Count as `count` does, for a lab some of whose nodes may run already."""
    if not host.is_running():
        return count(host.pool_dir, written_gib=written_gib(plan, host.pool_dir))
    try:
        with host.hypervisor() as hypervisor:
            states = hypervisor.states(node.domain for node in plan.nodes)
        running = frozenset(node.name for node in plan.nodes if states[node.domain] in IN_MEMORY)
    except NoAnswerError:  # its machines run on, as far as anybody can tell
        running = frozenset(node.name for node in plan.nodes)
    return count(host.pool_dir, running=running, written_gib=written_gib(plan, host.pool_dir))


def written_gib(plan: Plan, pool: Path) -> dict[str, float]:
    """Measure the disks that the nodes have: what their files take, by the name of the node."""
    found: dict[str, float] = {}
    for node in plan.nodes:
        with contextlib.suppress(OSError):
            found[node.name] = (pool / f"{node.domain}.img").stat().st_blocks * _BLOCK / 2**30
    return found


def memory_mib(meminfo: Path = Path("/proc/meminfo"), limits: tuple[Path, ...] = _CGROUP_LIMITS) -> tuple[int, int]:
    """Read (total, available) memory; in a container that has a limit, no more than that."""
    text = meminfo.read_text()
    found = {
        key: int(kib) // 1024 for key, kib in re.findall(r"^(MemTotal|MemAvailable):\s+(\d+) kB", text, re.MULTILINE)
    }
    total, available = found["MemTotal"], found["MemAvailable"]
    for limit in limits:
        if limit.is_file() and (words := limit.read_text().split()) and words[0].isdigit():
            total = min(total, int(words[0]) // 2**20)
    return total, min(total, available)
