"""What the verbs need to know of this host: its accelerator, proven or only assumed, and its numbers."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lab.box.store import cache_directory
from lab.hostfit import HostNumbers
from lab.plan import HostFacts
from lab.runtime.kvm import SLOWDOWN, nested_kvm, prove_host

if TYPE_CHECKING:
    from lab.plan import Plan
    from lab.runtime.host import Host


@dataclass(frozen=True)
class Known:
    """Facts of the host, and how they are known."""

    facts: HostFacts
    reason: str


def prove(wanted: Literal["auto", "kvm", "qemu"], mirror: str | None = None) -> Known:
    """Boot a guest, or take the result of this host boot's earlier one.

    Raises:
        HostError: KVM is wanted and does not work, or nothing does.
    """
    from lab.box.proof import proof_images

    kernel, initrd = proof_images(mirror=mirror)
    proof = prove_host(kernel, initrd, cache_dir=cache_directory(), wanted=wanted)
    return Known(proof.facts, proof.accelerator_reason)


def known_or_assumed(wanted: Literal["auto", "kvm", "qemu"]) -> Known:
    """Take the proof where there is one; else read the hints, and say that they are only hints."""
    guests = cache_directory() / "guests"
    if (cache_directory() / "host-proof.json").exists() and any(guests.glob("*/proof/initrd.gz")):
        return prove(wanted)
    flags = bool(re.search(r"\b(vmx|svm)\b", Path("/proc/cpuinfo").read_text()))
    kvm = wanted == "kvm" or (wanted == "auto" and flags and os.access("/dev/kvm", os.R_OK | os.W_OK))
    accelerator: Literal["kvm", "qemu"] = "kvm" if kvm else "qemu"
    nested = nested_kvm()[0] if kvm else True
    facts = HostFacts(accelerator=accelerator, nested=nested, wait_factor=SLOWDOWN[accelerator])
    return Known(facts, "assumed from the processor's flags; `lab doctor` proves it")


def host_numbers(disk: Path, plan: Plan, host: Host) -> HostNumbers:
    """Read memory, CPUs and free disk, and which nodes of the lab run already.

    `disk` need not exist yet: its nearest parent that does is asked.
    """
    memory = dict(re.findall(r"^(\w+):\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE))
    while not disk.exists():
        disk = disk.parent
    running: frozenset[str] = frozenset()
    if host.is_running():
        with host.hypervisor() as hypervisor:
            states = hypervisor.states(node.domain for node in plan.nodes)
        running = frozenset(node.name for node in plan.nodes if states[node.domain] == "running")
    return HostNumbers(
        cpus=len(os.sched_getaffinity(0)),
        memory_total_mib=int(memory["MemTotal"]) // 1024,
        memory_available_mib=int(memory["MemAvailable"]) // 1024,
        disk_free_gib=shutil.disk_usage(disk).free / 2**30,
        disk_path=str(disk),
        running=running,
    )
