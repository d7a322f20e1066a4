"""What labs take of this machine: blocks of their disks, memory of their QEMUs, with and without page sharing."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from faults.traces import qemu_pid

from lab.host import page_sharing
from lab.host.host import choose_host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.inputs.model import Spec

PASSES = 2
"""of the kernel over all memory: it shares a page when it meets it for the second time"""
VMSTAT = "cat /proc/vmstat"
_LIMIT_S = 1800.0


def disk_mib(spec: Spec, build_dir: Path) -> int:
    """Give the blocks of a lab's own disks, and of the images of its boxes."""
    host = choose_host(spec.name, build_dir)
    return sum(path.stat().st_blocks for path in host.pool_dir.glob("*")) // 2048


def rss_mib(spec: Spec, build_dir: Path) -> int:
    """Give the resident memory of a lab's QEMUs; pages that are shared count in full."""
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in _qemus(spec, build_dir)) // _PER_MIB


def pss_mib(spec: Spec, build_dir: Path) -> int:
    """Give the memory of a lab's QEMUs; of a page that n processes share, each has one n-th (proc(5): smaps_rollup)."""
    rollups = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in _qemus(spec, build_dir))
    return sum(int(kib) for text in rollups for kib in re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)) // 1024


def pressure(vmstat: str | None = None) -> int:
    """Count the pages that a machine (this one) has swapped out, and the processes that it has killed for memory."""
    text = Path("/proc/vmstat").read_text() if vmstat is None else vmstat
    found = re.findall(r"^(?:pswpout|oom_kill) (\d+)$", text, re.MULTILINE)
    assert found, "no vmstat"
    return sum(map(int, found))


def available_mib() -> int:
    """Give the memory of this machine that programs could still have (proc(5): MemAvailable)."""
    (kib,) = re.findall(r"^MemAvailable:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(kib) // 1024


def nodes(spec: Spec) -> list[str]:
    """Name the nodes of a lab."""
    return ["controller", *(f"compute{n + 1}" for n in range(spec.nodes.compute.count))]


def passes() -> int:
    """Count the passes of the kernel over all memory that it may share."""
    return int((page_sharing.KSM / "full_scans").read_text())


def is_sharing() -> bool:
    """Tell whether `lab` has switched page sharing on: that of somebody else is left alone."""
    return page_sharing.NOTE.exists() and (page_sharing.KSM / "run").read_text().strip() == "1"


def wait_for_passes(until: int) -> bool:
    """Wait for the passes; tell whether they came in time."""
    deadline = time.monotonic() + _LIMIT_S
    while passes() < until and time.monotonic() < deadline:
        time.sleep(2)
    return passes() >= until


def unshared_pss_mib(spec: Spec, build_dir: Path) -> int:
    """Take all shared pages apart, look, and let the kernel share again (admin-guide/mm/ksm.rst: run)."""
    run = page_sharing.KSM / "run"
    run.write_text("2")
    try:
        return pss_mib(spec, build_dir)
    finally:
        run.write_text("1")


_PER_MIB = 2**20 // os.sysconf("SC_PAGE_SIZE")


def _qemus(spec: Spec, build_dir: Path) -> Iterator[int]:
    host = choose_host(spec.name, build_dir)
    for node in nodes(spec):
        yield qemu_pid(host, f"{spec.name}-{node}")
