"""What of one lab is on the host, whoever else has labs here: before it is made, and after `lab down`, nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from lab.base.errors import HostError
from lab.host.host import SYSTEM_URI, choose_host
from lab.host.libvirt import Hypervisor
from lab.host.private_view import NETNS_DIR
from lab.nodes.ssh_config import SshConfig

if TYPE_CHECKING:
    from lab.host.host import Host


def traces(name: str, build_dir: Path) -> list[str]:
    """Name every process, namespace, directory, domain, volume, network and Vagrant entry of a lab."""
    host = choose_host(name, build_dir, environ={"LAB_HOST": "private"})
    netns, state = getattr(host, "netns", ""), getattr(host, "state_dir", Path("/nonexistent"))
    found = [str(path) for path in (NETNS_DIR / netns, state, SshConfig(build_dir).socket_dir()) if path.exists()]
    found += [
        f"process {pid}: {line[:120]}"
        for pid, line in processes()
        if _names(line, build_dir, netns) or _works_in(pid, build_dir)
    ]
    try:
        with Hypervisor(SYSTEM_URI) as hypervisor:
            found += _of_libvirt(name, hypervisor)
    except HostError:  # the machine has none of its own
        pass
    index = Path(os.environ.get("VAGRANT_HOME") or Path.home() / ".vagrant.d") / "data" / "machine-index" / "index"
    if index.is_file():
        machines = json.loads(index.read_text())["machines"].values()
        found += [f"Vagrant's {m['name']}" for m in machines if m.get("vagrantfile_path") == str(build_dir)]
    return found


def processes() -> list[tuple[int, str]]:
    """List the processes with their command lines, without this one and its parent."""
    own = {os.getpid(), os.getppid()}
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) not in own:
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            except OSError:  # it has ended
                continue
            found.append((int(entry.name), line))
    return sorted(found)


def qemu_pid(host: Host, domain: str) -> int:
    """Read the process id of a domain's QEMU from libvirt's own note; 0 where it does not run."""
    return _pid(_run_dir(host) / "qemu" / f"{domain}.pid")


def libvirtd_pid(host: Host) -> int:
    """Read the process id of the lab's own libvirtd; 0 where it does not run, or where it is the machine's."""
    return _pid(host.pool_dir.parents[2] / "libvirtd.pid") if host.mode == "private" else 0


def _run_dir(host: Host) -> Path:
    return host.pool_dir.parents[1] / "run" if host.mode == "private" else Path("/run/libvirt")


def _pid(path: Path) -> int:
    try:
        pid = int(path.read_text())
    except (OSError, ValueError):
        return 0
    return pid if Path(f"/proc/{pid}").exists() else 0


def _names(line: str, build_dir: Path, netns: str) -> bool:
    return f"{build_dir}/" in f"{line}/" or (bool(netns) and netns in line)


def _works_in(pid: int, build_dir: Path) -> bool:
    """Tell whether a process works in the build directory, as a Vagrant that outlived `lab` does."""
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd")).is_relative_to(build_dir)
    except OSError:
        return False


def _of_libvirt(name: str, hypervisor: Hypervisor) -> list[str]:
    domains = [d.name() for d in hypervisor.connection.listAllDomains() if d.name().startswith(f"{name}-")]
    networks = [n for n in hypervisor.subnets() if n.startswith(f"{name}-")]
    volumes = [v for v in hypervisor.volumes() if v.startswith(f"{name}-")]
    return [f"libvirt's {each}" for each in (*domains, *networks, *volumes)]
