"""What the host's processor can do, proven by booting a guest.

Three hints lie: /dev/kvm may exist, KVM_CREATE_VM may succeed and libvirt may list a domain type `kvm`, while no guest
ever gets past the firmware. So a tiny guest — a Linux kernel and an initramfs with busybox — is booted under the
accelerator, and must print a word from user space before a deadline.

The same boot tells how slow the host is, and with it how long provisioning must be ready to wait.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import re
import selectors
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Literal

from lab.base import durable, safe
from lab.base.environment import tool_environment, which
from lab.base.errors import HostError
from lab.base.process import shown
from lab.planning.plan import Accelerator, HostFacts, HostProof

QEMU = "qemu-system-x86_64"
DEADLINE_S: dict[Accelerator, float] = {"kvm": 20.0, "qemu": 90.0}

REFERENCE_S: dict[Accelerator, float] = {"kvm": 1.0, "qemu": 2.3}
"""The proof's boot: on a KVM host, rounded up; emulated, as measured on the idle reference machine (docs/host.md)."""

SLOWDOWN: dict[Accelerator, float] = {"kvm": 1.0, "qemu": 9.0}
"""Time of the services' work against that on a KVM host: `keystone-manage db_sync` takes 27 s emulated, 3 s there.
The boot alone would understate it, because much of a boot is not computing."""

MAX_WAIT_FACTOR = 20.0
"""A proof that ran while the host was busy must not turn a wait of two minutes into hours."""

EMULATED_NESTED = "the emulated processor has svm and nested paging"

_MARKER = b"LAB-GUEST-RUNS"
_CACHE_FILE = "host-proof.json"
_NESTED = Path("/sys/module")


@dataclass(frozen=True)
class Proof:
    """Whether a guest boots under an accelerator."""

    accelerator: Accelerator
    works: bool
    reason: str
    """in the user's words, also where it works"""
    seconds: float = 0.0
    """from the start of QEMU to the first word of user space"""


def prove_host(
    kernel: Path,
    initrd: Path,
    *,
    cache_dir: Path,
    wanted: Literal["auto", "kvm", "qemu"] = "auto",
    kvm_device: Path = Path("/dev/kvm"),
    modules: Path = _NESTED,
    fresh: bool = False,
) -> HostProof:
    """Find the accelerator that works here, or prove the `wanted` one.

    A boot is done once per boot of the host (and per QEMU): `cache_dir` keeps its result,
    and `fresh` does not believe it. A slow one is tried again when the host is idle.
    HostError where KVM is wanted and does not work, or where not even emulation boots.
    """
    kvm_reason = ""
    if wanted != "qemu":
        proof = _unusable(kvm_device) or _cached("kvm", kernel, initrd, cache_dir, fresh)
        if proof.works:
            nested, why = nested_kvm(modules)
            return HostProof(
                HostFacts(accelerator="kvm", nested=nested, wait_factor=wait_factor(proof)), proof.reason, why
            )
        if wanted == "kvm":
            raise HostError(f"the lab asks for KVM, which does not work here: {proof.reason}", hint=_KVM_HINT)
        kvm_reason = f"no KVM ({proof.reason}); "
    proof = _cached("qemu", kernel, initrd, cache_dir, fresh)
    if not proof.works:
        raise HostError(f"no guest boots on this host, not even emulated: {proof.reason}")
    return HostProof(
        HostFacts(accelerator="qemu", nested=True, wait_factor=wait_factor(proof)),
        kvm_reason + proof.reason,
        EMULATED_NESTED,
    )


def expected_host(
    *,
    cache_dir: Path,
    wanted: Literal["auto", "kvm", "qemu"] = "auto",
    kvm_device: Path = Path("/dev/kvm"),
    modules: Path = _NESTED,
    cpuinfo: Path = Path("/proc/cpuinfo"),
) -> HostProof:
    """Tell what earlier proofs of this boot of the host found, or else what the hints say; boots and writes nothing."""
    known = _known_proofs(cache_dir)
    hint = re.search(r"^flags\b.*\b(vmx|svm)\b", cpuinfo.read_text(), re.MULTILINE) if cpuinfo.exists() else None
    unusable = _unusable(kvm_device)
    kvm = unusable or known.get("kvm")
    if kvm is None:
        says = f"/proc/cpuinfo has {hint[1]}" if hint else "/proc/cpuinfo has neither vmx nor svm"
        kvm = Proof("kvm", hint is not None, f"not proven yet; {says}")
    if wanted != "qemu" and kvm.works:
        nested, why = nested_kvm(modules)
        return HostProof(HostFacts(accelerator="kvm", nested=nested, wait_factor=wait_factor(kvm)), kvm.reason, why)
    slow = known.get("qemu") or Proof("qemu", True, "emulation; not measured yet", REFERENCE_S["qemu"])
    reason = slow.reason if wanted == "qemu" else f"no KVM ({kvm.reason}); {slow.reason}"
    return HostProof(HostFacts(accelerator="qemu", wait_factor=wait_factor(slow)), reason, EMULATED_NESTED)


_KVM_HINT = "`accelerator: auto` falls back to emulation, which is slower but gives the same lab"


def wait_factor(proof: Proof) -> float:
    """How much longer than on a KVM host the waits of the steps must be, 1 to MAX_WAIT_FACTOR."""
    factor = SLOWDOWN[proof.accelerator] * proof.seconds / REFERENCE_S[proof.accelerator]
    return round(min(max(factor, 1.0), MAX_WAIT_FACTOR), 1)


def nested_kvm(modules: Path = _NESTED) -> tuple[bool, str]:
    """Tell whether the kernel's KVM gives guests vmx or svm, and by what that is known."""
    for module in ("kvm_intel", "kvm_amd"):
        parameter = modules / module / "parameters" / "nested"
        if parameter.is_file():
            on = parameter.read_text().strip() in ("Y", "y", "1")
            return on, f"{parameter} is {'on' if on else 'off'}"
    return False, f"neither kvm_intel nor kvm_amd is in {modules}"


def boot(accelerator: Accelerator, kernel: Path, initrd: Path, *, deadline_s: float, qemu: str = QEMU) -> Proof:
    """Boot the guest until it speaks from user space, fails, or the deadline passes.

    Any initramfs with busybox at /bin/busybox will do: the kernel is told to run `busybox echo` as its init.
    """
    engine = {"kvm": ["-accel", "kvm", "-cpu", "host"], "qemu": ["-accel", "tcg", "-cpu", "max"]}[accelerator]
    append = f"console=ttyS0 earlyprintk=ttyS0,115200 panic=-1 rdinit=/bin/busybox -- echo {_MARKER.decode()}"
    argv = [qemu, *engine, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-m", "128"]
    argv += ["-kernel", str(kernel), "-initrd", str(initrd), "-append", append, "-serial", "stdio"]
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            argv,
            env=tool_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise HostError(f"{qemu} is not installed", hint="`lab doctor --fix`") from error
    with process:
        assert process.stdout is not None
        try:
            said, in_time = _listen(process.stdout, started + deadline_s)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    seconds = round(time.monotonic() - started, 2)
    if _spoke(said):
        return Proof(accelerator, True, f"a guest booted in {seconds:.1f} s", seconds)
    return Proof(accelerator, False, _failure(said, in_time, deadline_s, argv), seconds)


def _listen(stdout: IO[bytes], deadline: float) -> tuple[bytes, bool]:
    """Read until user space speaks or the output ends (True) or the deadline passes (False)."""
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not selector.select(left):
                continue
            piece = os.read(stdout.fileno(), 65536)
            said += piece
            if not piece or _spoke(said):
                return said, True
    return said, False


def _spoke(said: bytes) -> bool:
    """The kernel prints the marker too, within its command line: user space prints it at a line's start."""
    return b"\n" + _MARKER in said


def _failure(said: bytes, ended: bool, deadline_s: float, argv: list[str]) -> str:
    lines = said.decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    if "Linux version" in said.decode(errors="replace"):
        how = "ended" if ended else f"did not reach user space in {deadline_s:.0f} s"
        return f"the guest's kernel started, but {how}; its last line: {last}"
    if ended:
        return f"QEMU ended: {last or shown(argv)}"
    return f"a guest did not get past the firmware in {deadline_s:.0f} s"


def _holder(device: Path) -> str:
    """Say who may use a device: in a container its group often has a number without a name, or nobody's."""
    found = device.stat()
    if found.st_mode & 0o060 != 0o060 or found.st_gid == 0:
        return "only root has it"
    try:
        return f"the group {grp.getgrgid(found.st_gid).gr_name} has it"
    except KeyError:
        return f"the group {found.st_gid} has it, which has no name here"


def _unusable(device: Path) -> Proof | None:
    """What can be said without booting; never cached, since the user may repair it at any time."""
    if not device.exists():
        return Proof("kvm", False, f"{device} is absent")
    if not os.access(device, os.R_OK | os.W_OK):
        return Proof("kvm", False, f"permission denied on {device}; {_holder(device)}")
    return None


def _cached(accelerator: Accelerator, kernel: Path, initrd: Path, cache_dir: Path, fresh: bool) -> Proof:
    proofs = _known_proofs(cache_dir)
    known = proofs.get(accelerator)
    if known and not fresh and not _worth_another(known):
        return known
    proof = boot(accelerator, kernel, initrd, deadline_s=DEADLINE_S[accelerator])
    if known and not fresh and (not proof.works or proof.seconds > known.seconds):
        return known
    proofs[accelerator] = proof
    # An earlier run by root may own the cache, or others may reach into it: then the next one proves again.
    with contextlib.suppress(OSError, HostError):
        content = {"key": _key(), "proofs": {name: asdict(proof) for name, proof in proofs.items()}}
        place = safe.make(cache_dir, mode=0o755)
        durable.write_text(place / _CACHE_FILE, json.dumps(content, indent=1) + "\n", mode=0o644)
    return proofs[accelerator]


def _worth_another(proof: Proof) -> bool:
    """Tell whether a slow boot was perhaps one on a busy host, which is idle now."""
    idle = os.getloadavg()[0] < 0.5 * (os.cpu_count() or 1)
    return proof.works and proof.seconds > 2 * REFERENCE_S[proof.accelerator] and idle


def _known_proofs(cache_dir: Path) -> dict[Accelerator, Proof]:
    try:
        cache = json.loads((safe.require(cache_dir) / _CACHE_FILE).read_bytes())
        if cache["key"] == _key():
            return {name: Proof(**proof) for name, proof in cache["proofs"].items()}
    except (HostError, OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return {}


def _key() -> list[str]:
    """What a proof depends on: the host's boot, and QEMU."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    qemu = Path(which(QEMU) or QEMU).resolve()  # /bin and /usr/bin are the same, whatever PATH says first
    version = f"{qemu.stat().st_size} {qemu.stat().st_mtime_ns}" if qemu.exists() else ""
    return [boot_id, str(qemu), version]
