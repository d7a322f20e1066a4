"""What a look at the host finds, for the doctor to judge."""

from __future__ import annotations

import grp
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.base.environment import which
from lab.base.errors import LabError
from lab.base.process import run
from lab.base.surroundings import user_name
from lab.box.sources import host_distribution
from lab.diagnosis import pdf
from lab.host import fence
from lab.host import host as hosts
from lab.host.capacity import count, count_for, host_facts
from lab.host.neighbours import Neighbours, neighbours
from lab.machines.vagrant import vagrant_home

if TYPE_CHECKING:
    from lab.planning.hostfit import HostNumbers
    from lab.planning.plan import HostProof, Plan


@dataclass(frozen=True)
class Package:
    """A Debian package that the lab uses."""

    name: str
    why: str
    command: str = ""
    """where the host has this command from elsewhere, that will do"""
    programs: tuple[str, ...] = ()
    """further programs of it, or of what it depends on, that the lab starts"""


PACKAGES = (
    Package("vagrant", "creates the virtual machines", command="vagrant"),
    Package("vagrant-libvirt", "connects Vagrant with libvirt"),
    Package("libvirt-daemon-system", "libvirtd: networks, volumes, virtual machines", programs=("libvirtd",)),
    Package("libvirt-clients", "virsh, to inspect them by hand", command="virsh"),
    Package("qemu-system-x86", "runs the virtual machines", command="qemu-system-x86_64"),
    Package("qemu-utils", "qemu-img: the boxes' disks", command="qemu-img"),
    Package("lzop", "compresses the memory in checkpoints", command="lzop"),
    Package("dnsmasq-base", "DHCP of libvirt's networks", command="dnsmasq"),
    Package("iproute2", "network namespaces", command="ip"),
    Package("openssh-client", "the connection to the nodes", command="ssh", programs=("ssh-keygen",)),
    Package("nftables", "keeps a system libvirt's lab and this machine's services apart", command="nft"),
    Package("mmdebstrap", "installs the boxes' systems", command="mmdebstrap"),
    Package("debian-archive-keyring", "verifies the boxes' packages"),
    Package("grub-pc-bin", "makes the boxes bootable", programs=("grub-mkimage",)),
    Package("fdisk", "sfdisk: the boxes' partition table", command="sfdisk"),
    Package("e2fsprogs", "mke2fs: the boxes' file system", command="mke2fs"),
    Package("mount", "mmdebstrap mounts /proc and the packages into a new system", command="mount"),
    Package("xz-utils", "xz: unpacks the kernel's modules for the guests' images", command="xz"),
    Package("procps", "ps and free, for `lab support`", command="ps", programs=("free", "pkill")),
)


@dataclass(frozen=True)
class Seen:
    """What a look at the host found."""

    debian: bool = True
    distribution: str = "debian trixie"
    """as os-release(5) has it: name and suite"""
    machine: str = "x86_64"
    """of the kernel"""
    missing: tuple[str, ...] = ()
    """packages that are not there, nor their commands"""
    unavailable: tuple[str, ...] = ()
    """of those, the ones that this distribution's apt does not know"""
    root: bool = True
    user: str = "root"
    groups: frozenset[str] = frozenset()
    mode: str = "private"
    mode_reason: str = ""
    libvirt_refusal: str = ""
    """why the system libvirtd does not answer; empty where it does, or is not wanted"""
    libvirt_listens: bool = False
    """somebody listens at its socket, though this user may be refused there"""
    proof: HostProof | None = None
    proof_failure: str = ""
    numbers: HostNumbers | None = None
    neighbours: Neighbours = Neighbours()
    """on a system libvirt"""
    lacks_for_pdf: tuple[str, ...] = ()
    """what handouts as PDF need"""
    unfenced: str = ""
    """why nodes and the machine's services could reach each other (system mode)"""


def look(
    plan: Plan | None = None, build_dir: Path | None = None, mirror: str | None = None, *, prove: bool = True
) -> Seen:
    """Gather what `judge` needs; changes nothing but the proof's cache. `mirror`: as of `host_facts`."""
    build_dir = build_dir or Path.cwd()
    host = hosts.choose_host(plan.name if plan else "lab", build_dir)
    missing = tuple(package.name for package in PACKAGES if not _present(package))
    refusal = (hosts.why_not(hosts.SYSTEM_URI) or "") if host.mode == "system" else ""
    proof, failure = _proof(plan, mirror) if prove and "qemu-system-x86" not in missing else (None, "")
    return Seen(
        debian=which("dpkg-query") is not None,
        distribution=f"{(distribution := host_distribution()).name} {distribution.suite}".strip(),
        machine=os.uname().machine,
        missing=missing,
        unavailable=tuple(name for name in missing if not _in_apt(name)),
        root=os.geteuid() == 0,
        user=user_name(),
        groups=frozenset(_groups()),
        mode=host.mode,
        mode_reason=host.reason,
        libvirt_refusal=refusal,
        libvirt_listens=bool(refusal) and hosts.listens(hosts.SYSTEM_SOCKET),
        proof=proof,
        proof_failure=failure,
        numbers=_numbers(host, plan),
        neighbours=Neighbours() if plan is None or refusal else neighbours(host, plan, build_dir),
        lacks_for_pdf=pdf.missing(),
        unfenced=fence.why_open() if host.mode == "system" else "",
    )


def _present(package: Package) -> bool:
    """Tell whether a package is installed, or its command (or Vagrant plugin) comes from elsewhere."""
    if package.command and which(package.command):
        return True
    if package.name == "vagrant-libvirt" and any(vagrant_home().glob("gems/*/gems/vagrant-libvirt-*")):
        return True
    if which("dpkg-query") is None:
        return False
    status = run(["dpkg-query", "-W", "-f", "${db:Status-Status}", package.name], timeout_s=30, check=False)
    return status.stdout == "installed"


def _in_apt(name: str) -> bool:
    """Tell whether apt could install a package; where it has no lists yet (a fresh container), suppose so."""
    if not any(Path("/var/lib/apt/lists").glob("*_Packages*")):
        return True
    policy = run(["apt-cache", "policy", name], timeout_s=60, check=False).stdout
    return "Candidate:" in policy and "Candidate: (none)" not in policy


def _groups() -> set[str]:
    found = set[str]()
    for number in {*os.getgroups(), os.getegid()}:
        try:
            found.add(grp.getgrgid(number).gr_name)
        except KeyError:  # a group without a name, as in containers
            continue
    return found


def _numbers(host: hosts.Host, plan: Plan | None) -> HostNumbers:
    return count(host.pool_dir) if plan is None else count_for(plan, host)


def _proof(plan: Plan | None, mirror: str | None) -> tuple[HostProof | None, str]:
    """Prove the plan's accelerator; without a plan, the best there is."""
    try:
        return host_facts(plan.accelerator if plan else "auto", mirror=mirror), ""
    except LabError as error:
        return None, str(error)
