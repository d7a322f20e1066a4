"""What a host needs to run a lab, why, whether it has it, and the command that repairs it.

`look` (lab.diagnosis.doctor_look) gathers what there is, `judge` compares it with the needs and is pure, `fix` runs the
repair commands.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from lab.base.errors import HostError
from lab.base.finding import Finding
from lab.base.process import CommandError, run, shown, tail_of
from lab.base.rights import same_with_sudo
from lab.box.store import cache_directory
from lab.diagnosis import pdf
from lab.diagnosis.doctor_look import PACKAGES, Seen, look
from lab.host import host as hosts
from lab.host.neighbours import collisions
from lab.planning.hostfit import HostNumbers, default_memory_mib, fit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.planning.plan import Plan


APT_LIMIT_S = 300.0
"""for an apt that somebody else runs, as the machine's daily one"""
_APT_EVERY_S = 5.0


def diagnose(plan: Plan | None = None, build_dir: Path | None = None, mirror: str | None = None) -> list[Finding]:
    """Look at the host and judge it; with a plan, also whether that lab fits and collides with nothing."""
    return judge(look(plan, build_dir, mirror), plan)


def fix(say: Callable[[str], None] = print) -> None:
    """Run the commands that repair what can be repaired, after showing each. HostError where one fails."""
    seen = look(prove=False)
    for command in repair_commands(seen):
        argv = hosts.sudo(command)
        say(f"{'(as root, with sudo) ' if argv[0] == 'sudo' else ''}$ {shown(command)}")
        _run_when_apt_is_free(argv, cache_directory() / "logs" / "doctor.log", say)


def _run_when_apt_is_free(argv: list[str], log: Path, say: Callable[[str], None]) -> None:
    """Run a command, again where another apt works: `apt-get update` waits for no lock, whatever its options."""
    deadline = time.monotonic() + APT_LIMIT_S
    told = False
    while True:
        # In the terminal's foreground, where sudo can ask; what it says goes to the log.
        done = run(argv, timeout_s=1800, tty=True, log=log, check=False)
        if done.ok:
            return
        busy = next((line for line in tail_of(log, 3).splitlines() if "Could not get lock" in line), "")
        if not busy:
            raise CommandError(f"{argv[0]} failed with exit code {done.returncode}", done)
        if not told:
            say(f"waiting for another apt: {busy}")
            told = True
        if time.monotonic() > deadline:
            hint = "wait until it has ended, then run this again"
            raise HostError(f"another apt is running: waited {APT_LIMIT_S:.0f} s for it", detail=busy, hint=hint)
        time.sleep(_APT_EVERY_S)


def judge(seen: Seen, plan: Plan | None = None) -> list[Finding]:
    """Compare what was seen with what is needed. Pure."""
    findings = [*_packages(seen), *_standing(seen), *_processor(seen)]
    if seen.numbers is not None:
        findings += _room(seen.numbers, plan)
    findings.append(_pdf(seen))
    if plan is not None and seen.mode == "system":
        # Where root's lab would collide, it gets a private host (lab.host.choice).
        findings += [replace(finding, fatal=not seen.root) for finding in collisions(seen.neighbours, plan)]
    return [replace(finding, repair="", advice="") if finding.ok else finding for finding in findings]


def repair_commands(seen: Seen) -> list[list[str]]:
    """List what `fix` runs, in order; packages in one go."""
    commands: list[list[str]] = []
    wanted = [name for name in seen.missing if name not in seen.unavailable]
    if seen.debian and wanted:
        quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "-o", "DPkg::Lock::Timeout=300"]
        commands += [["apt-get", "update"], [*quiet, "install", "--no-install-recommends", *wanted]]
    if seen.mode == "system":
        if seen.libvirt_refusal and not _closed(seen):
            commands.append(["systemctl", "enable", "--now", "libvirtd.socket"])
        if _closed(seen) and _missing_groups(seen):
            commands.append(["usermod", "-aG", ",".join(_missing_groups(seen)), seen.user])
    return commands


def _packages(seen: Seen) -> list[Finding]:
    kind = _kind_of_machine(seen)
    if not seen.debian:
        return [kind]
    findings = [kind]
    for package in PACKAGES:
        absent = package.name in seen.missing
        repair, advice = _as_root(seen, "apt-get", "install", package.name), ""
        if package.name in seen.unavailable:
            repair, advice = "", f"this distribution has no such package: install it from its makers; or {CONTAINER}"
        found = "missing" if absent else "installed"
        name = f"package-{package.name}"
        findings.append(Finding(name, package.name, not absent, found, package.why, repair, advice=advice))
    return findings


PROVEN = ("debian bookworm", "debian trixie")
"""distributions that the project is made for and tried on; others may do"""
CONTAINER = "./lab-container up, in a checkout, brings the lab up in a container (podman or Docker) on any Linux"


def _pdf(seen: Seen) -> Finding:
    """Note what is missing for handouts as PDF, which a lab does not need."""
    lacking = seen.lacks_for_pdf
    found = f"missing: {', '.join(lacking)}" if lacking else "WeasyPrint and its libraries"
    why = "only for `lab handout --format pdf`"
    advice = "or print the HTML page from a browser"
    return Finding("pdf", "PDF", not lacking, found, why, pdf.repair(lacking), fatal=False, advice=advice)


def _kind_of_machine(seen: Seen) -> Finding:
    """Say whether the lab runs on such a machine itself, and what to do where it does not."""
    found = f"{seen.distribution or 'unknown'}, {seen.machine}"
    if seen.machine != "x86_64":
        why = "boxes and virtual machines are for x86-64"
        return Finding("distribution", "amd64", False, found, why, advice="use a machine with such a processor")
    if not seen.debian:
        why = "boxes are made of Debian's packages by its own tools, and there is no dpkg here"
        return Finding("distribution", "Debian 12 or 13", False, found, why, advice=CONTAINER)
    why = "what the lab needs comes from its packages"
    if seen.distribution not in PROVEN:
        why += "; nobody has tried it on this one"
        return Finding("distribution", "Debian 12 or 13", False, found, why, fatal=False, advice=CONTAINER)
    return Finding("distribution", "Debian 12 or 13", True, found, why)


def _as_root(seen: Seen, *words: str) -> str:
    return shown([*([] if seen.root else ["sudo"]), *words])


def _standing(seen: Seen) -> list[Finding]:
    what = f"libvirt ({seen.mode})"
    if seen.mode == "private":
        ok = seen.root
        found = "root" if ok else f"user {seen.user}"
        why = f"the lab starts its own libvirtd, which needs root: {seen.mode_reason}"
        return [Finding("root", what, ok, found, why, "" if ok else same_with_sudo())]
    if not seen.libvirt_refusal:
        return [Finding("libvirtd", what, True, "answers", seen.mode_reason), _fence(seen)]
    if _closed(seen) and not _missing_groups(seen):
        repair, advice = "", "an administrator can admit this user: auth_unix_rw in /etc/libvirt/libvirtd.conf"
    elif _closed(seen):
        repair = _as_root(seen, "usermod", "-aG", ",".join(_missing_groups(seen)), seen.user)
        advice = "then log in again, because a session keeps its groups"
    else:
        repair, advice = _as_root(seen, "systemctl", "enable", "--now", "libvirtd.socket"), ""
    why = "the lab's machines live there"
    return [Finding("libvirtd", what, False, seen.libvirt_refusal, why, repair, advice=advice)]


def _fence(seen: Seen) -> Finding:
    """Note where a lab on the machine's libvirt could not be kept apart from the machine."""
    why = (
        "nodes can reach services of this machine, and its users can reach services of the lab "
        "that have no password (docs/security.md)"
    )
    if not seen.unfenced:
        return Finding("fence", "packet filter", True, "nft", "keeps nodes and this machine's services apart")
    repair = "apt-get install nftables" if seen.root else "run the lab with sudo"
    return Finding("fence", "packet filter", False, seen.unfenced, why, repair, fatal=False)


def _closed(seen: Seen) -> bool:
    """Tell whether libvirtd is there, but not for this user."""
    return bool(seen.libvirt_refusal) and not seen.root and (bool(_missing_groups(seen)) or seen.libvirt_listens)


def _missing_groups(seen: Seen) -> list[str]:
    return [] if seen.root else [group for group in ("libvirt", "kvm") if group not in seen.groups]


def _processor(seen: Seen) -> list[Finding]:
    if seen.proof is None:
        return [Finding("accelerator", "a guest boots", False, "not proven", seen.proof_failure or "needs QEMU first")]
    facts = seen.proof.facts
    why = seen.proof.accelerator_reason
    if facts.accelerator == "qemu":
        why += f"; waits are {facts.wait_factor:g} times those of a KVM host"
    kvm = Finding("accelerator", "KVM", facts.accelerator == "kvm", facts.accelerator, why, fatal=False)
    nested = Finding(
        "nested",
        "nested virtualization",
        facts.nested,
        "yes" if facts.nested else "no",
        f"instances under KVM on the compute nodes: {seen.proof.nested_reason}",
        _NESTED_REPAIR,
        fatal=False,
        advice="while no VM runs; on an AMD processor the module is kvm_amd",
    )
    return [kvm, nested]


_NESTED_REPAIR = """\
echo 'options kvm_intel nested=1' | sudo tee /etc/modprobe.d/kvm-nested.conf
sudo modprobe -r kvm_intel && sudo modprobe kvm_intel"""


def _room(numbers: HostNumbers, plan: Plan | None) -> list[Finding]:
    memory = f"{numbers.memory_available_mib / 1024:.1f} of {numbers.memory_total_mib / 1024:.1f} GiB available"
    disk = f"{numbers.disk_free_gib:.0f} GiB free in {numbers.disk_path}"
    result = fit(plan, numbers) if plan is not None else None
    if result is None:  # no spec: the default lab
        need_mib = default_memory_mib()
        why = f"the default lab needs {need_mib / 1024:.1f} GiB"
        small = numbers.memory_available_mib < need_mib
        tight = numbers.disk_free_gib < _DEFAULT_DISK_GIB
        room = f"boxes and nodes need about {_DEFAULT_DISK_GIB:.0f} GiB"
        return [
            Finding("memory", "memory", not small, memory, why, fatal=False, advice=_LESS),
            Finding("disk", "disk", not tight, disk, room, fatal=False, advice=_FREE),
        ]
    problems = {text.partition(":")[0]: text for text in result.problems}
    return [
        Finding("memory", "memory", "memory" not in problems, memory, problems.get("memory", "the lab fits")),
        Finding("disk", "disk", "disk" not in problems, disk, problems.get("disk", "the lab fits")),
        *(Finding("tight", "size", False, text, fatal=False) for text in result.warnings),
    ]


_DEFAULT_DISK_GIB = 15.0
_FREE = "free some space"
_LESS = "ask for less in nodes.controller.memory and nodes.compute.memory"
