"""The parts of `lab support`'s archive: each is gathered by itself, so that one that fails costs no other."""

from __future__ import annotations

import json
import platform
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lab import __version__
from lab.base.errors import LabError
from lab.base.process import run
from lab.base.side_by_side import for_all
from lab.diagnosis import doctor
from lab.diagnosis.doctor_look import PACKAGES
from lab.diagnosis.lab_doctor import diagnose_lab
from lab.diagnosis.node_look import ask
from lab.host.libvirt_link import NoAnswerError
from lab.nodes.ssh import Ssh

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.base.finding import Finding
    from lab.host.host import Host
    from lab.planning.plan import Plan

STATES = Path(__file__).with_name("node_states.sh")
NODE_LIMIT_S = 300.0
"""an emulated node starts a hundred programs for its answer"""
COMMAND_LIMIT_S = 30.0
LARGEST = 1_000_000
"""bytes of the end of a log that are kept"""

OF_LAB_ITSELF = frozenset({"plan.json", "state.json", "doctor.json"})
"""parts that `lab` wrote, and never with a secret"""
_OF_THE_BUILD_DIR = ("plan.json", "state.json", "Vagrantfile", "hosts", "ssh_config")
"""beside logs/. Never: seed, nodes/*/env, .vagrant (keys)"""
_VERSIONS = {
    "vagrant": ["vagrant", "--version"],
    "plugins": ["vagrant", "plugin", "list"],
    "libvirt": ["libvirtd", "--version"],
    "qemu": ["qemu-system-x86_64", "--version"],
    "kernel": ["uname", "-a"],
    "packages": ["dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Abbrev}\n", *(p.name for p in PACKAGES)],
}
_STATES = {
    "domains": ["virsh", "list", "--all"],
    "domain-stats": ["virsh", "domstats", "--state", "--balloon", "--block"],
    "networks": ["virsh", "net-list", "--all"],
    "pools": ["virsh", "pool-list", "--all", "--details"],
    "volumes": ["virsh", "vol-list", "default", "--details"],
    "addresses": ["ip", "-brief", "address"],
    "routes": ["ip", "route"],
    "df": ["df", "-h"],
    "free": ["free", "-m"],
    "processes": ["ps", "-e", "-o", "pid,ppid,stat,rss,etime,pcpu,comm", "--sort=-rss"],
    "dmesg": ["dmesg"],
}
"""without the arguments of processes, and without the domains' XML of anybody else"""


@dataclass
class Parts:
    """What was gathered."""

    texts: dict[str, str] = field(default_factory=dict)
    """by the path in the archive"""
    missing: list[str] = field(default_factory=list)
    """what could not be read, and why"""


def versions(parts: Parts) -> None:
    """Tell what is installed on the host."""
    parts.texts["versions/lab"] = f"lab {__version__}, Python {platform.python_version()}\n"
    for name, argv in _VERSIONS.items():
        try:
            done = run(argv, timeout_s=COMMAND_LIMIT_S, check=False)
            parts.texts[f"versions/{name}"] = done.stdout + done.stderr
        except LabError as error:
            parts.missing.append(f"versions/{name}: {error.message}")
    for path in (Path("/etc/os-release"), Path("/proc/cpuinfo"), Path("/proc/meminfo")):
        _add_file(parts, f"versions/{path.name}", path)


def host_states(parts: Parts, host: Host) -> None:
    """Tell what libvirt and the kernel say on the lab's host."""
    parts.texts["host/mode"] = f"{host}\n"
    silent = _silence_of(host)
    for name, argv in _STATES.items():
        if silent and argv[0] == "virsh":  # it would wait for its full limit, each time
            parts.missing.append(f"host/{name}: {silent}")
            continue
        try:
            done = host.run(argv, timeout_s=COMMAND_LIMIT_S, check=False)
        except LabError as error:
            parts.missing.append(f"host/{name}: {error.message}")
            continue
        if done.ok:
            parts.texts[f"host/{name}"] = _end(done.stdout)
        else:
            parts.missing.append(f"host/{name}: {(done.stderr.strip() or 'no answer').splitlines()[-1]}")
    if host.mode == "private":  # the machine's own logs are about everybody's machines
        logs = host.pool_dir.parents[1] / "log"
        for path in (logs / "libvirtd.log", *sorted((logs / "qemu").glob("*.log"))):
            _add_file(parts, f"host/log/{path.name}", path)


def _silence_of(host: Host) -> str:
    """Tell why the lab's libvirtd does not answer, where it runs; empty where it answers, or there is none."""
    try:
        if host.is_running():
            host.hypervisor().close()
    except NoAnswerError as error:
        return error.message
    except LabError:
        pass
    return ""


def findings(parts: Parts, plan: Plan, build_dir: Path, host: Host) -> None:
    """Let the doctor look at the host and the lab."""
    found = []
    looks: dict[str, Callable[[], list[Finding]]] = {
        "host": lambda: doctor.diagnose(plan, build_dir),
        "lab": lambda: diagnose_lab(plan, host, build_dir),
    }
    for what, look in looks.items():
        try:
            found += look()
        except LabError as error:
            parts.missing.append(f"doctor, {what}: {error.message}")
    parts.texts["doctor.json"] = json.dumps([finding.as_dict() for finding in found], indent=2) + "\n"


def build_dir_files(parts: Parts, build_dir: Path, spec_file: Path) -> None:
    """Take the spec, the plan, the state and the logs."""
    _add_file(parts, "lab.yaml", spec_file)
    for name in _OF_THE_BUILD_DIR:
        if (build_dir / name).exists():
            _add_file(parts, name, build_dir / name)
    for path in sorted((build_dir / "logs").rglob("*.log")):
        _add_file(parts, str(path.relative_to(build_dir)), path)


def node_states(parts: Parts, plan: Plan, host: Host, build_dir: Path) -> None:
    """Ask all nodes side by side: packages, units, disks, journals and logs."""
    ssh = Ssh(build_dir)
    if not ssh.configured():
        parts.missing.append("nodes: their addresses are not known, they were never up")
        return
    script = STATES.read_text(encoding="utf-8")

    def states_of(node: str) -> str | LabError:
        try:
            return ask(host, ssh, node, script, limit_s=NODE_LIMIT_S)
        except LabError as error:
            return error

    for name, answer in for_all([node.name for node in plan.nodes], states_of).items():
        if isinstance(answer, LabError):
            parts.missing.append(f"nodes/{name}: {answer.message}")
        else:
            for part, text in split(answer):
                parts.texts[f"nodes/{name}/{part}"] = _end(text)


def split(answer: str) -> list[tuple[str, str]]:
    """Take a node's answer apart at its lines "@@ NAME"."""
    pieces = re.split(r"^@@ ([\w.@-]+)\n", answer, flags=re.MULTILINE)
    return list(zip(pieces[1::2], pieces[2::2], strict=True))


def _add_file(parts: Parts, name: str, path: Path) -> None:
    try:
        parts.texts[name] = _end_of(path)
    except OSError as error:
        parts.missing.append(f"{name}: {error.strerror}")


def _end_of(path: Path) -> str:
    with path.open("rb") as file:
        size = path.stat().st_size  # of a file in /proc: 0
        file.seek(max(0, size - LARGEST))
        return _whole_lines(file.read().decode(errors="replace"), cut=size > LARGEST)


def _end(text: str) -> str:
    return _whole_lines(text[-LARGEST:], cut=len(text) > LARGEST)


def _whole_lines(text: str, *, cut: bool) -> str:
    """Drop what is left of a line that was cut: half a password is not found, and not hidden."""
    return text.partition("\n")[2] if cut else text
