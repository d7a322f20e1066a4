"""The namespaces of a private host, in system calls.

A process that has entered a private host lives in the lab's network namespace and sees the lab's own directories where
libvirt has its (`/run/libvirt` …); everything else of the file system is as before. Both hold for its children, so
vagrant, ssh and pytest need to know nothing. Every process builds this view for itself: it does not depend on a daemon
being alive, and it ends with the process.

    python -m lab.host.private_view NETNS SEEN_AT=TAKEN_FROM… -- COMMAND…

runs one program with the view, for a caller that does not enter itself.

Linux's manual: namespaces(7), mount_namespaces(7); `ip netns exec` does the same with /sys (ip-netns(8)).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab.base.errors import HostError
from lab.host.golden_disks import DISKS_SEEN_AT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CLONE_NEWNS = 0x00020000
_CLONE_NEWNET = 0x40000000
_MS_RDONLY = 0x1
_NO_SUID_DEV_EXEC = 0xE
"""MS_NOSUID, MS_NODEV, MS_NOEXEC; statvfs(3) has them by the same numbers"""
_MS_REMOUNT = 0x20
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_SLAVE = 0x80000
_MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)

NETNS_DIR = Path("/run/netns")


def enter_view(netns: str, binds: Mapping[Path, Path]) -> None:
    """Move this process into the network namespace, and lay `binds` (seen at → taken from) over the file system.

    Namespaces belong to a thread, and a thread or child inherits those of its maker: call this from the main thread;
    a thread that runs already (a progress display) stays outside, and must not be one that talks to the lab.
    HostError where that is not so, or where the kernel refuses (no CAP_SYS_ADMIN).
    """
    if threading.current_thread() is not threading.main_thread():
        raise HostError("only the main thread can enter the private host")
    fd = os.open(NETNS_DIR / netns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call(f"enter the network namespace {netns}", "setns", fd, _CLONE_NEWNET)
    finally:
        os.close(fd)
    _call("make a mount namespace", "unshare", _CLONE_NEWNS)
    # Mounts of the host go on arriving here, none of ours goes back.
    _call("keep our mounts to ourselves", "mount", b"none", b"/", None, _MS_REC | _MS_SLAVE, None)
    for seen_at, taken_from in binds.items():
        _call(f"lay {taken_from} over {seen_at}", "mount", _raw(taken_from), _raw(seen_at), None, _MS_BIND, None)
        if seen_at == DISKS_SEEN_AT:
            # mount(2): a bind mount takes no other flag at first. In a container, those that it has must stay.
            again = _MS_REMOUNT | _MS_BIND | _MS_RDONLY | os.statvfs(seen_at).f_flag & _NO_SUID_DEV_EXEC
            _call(f"protect {seen_at}", "mount", b"none", _raw(seen_at), None, again, None)
    # /sys/class/net shows the interfaces of the namespace that sysfs was mounted in; libvirt and dnsmasq look there.
    # The cgroup mounts go with the old /sys: libvirt then leaves cgroups, and systemd-machined, alone.
    _libc.umount2(b"/sys", _MNT_DETACH)
    _call("mount /sys of the namespace", "mount", netns.encode(), b"/sys", b"sysfs", 0, None)


def lay_hosts(file: Path) -> None:
    """Lay a file over /etc/hosts for this process, in a mount namespace of its own, and for its children."""
    _call("make a mount namespace", "unshare", _CLONE_NEWNS)
    _call("keep our mounts to ourselves", "mount", b"none", b"/", None, _MS_REC | _MS_SLAVE, None)
    _call(f"lay {file} over /etc/hosts", "mount", _raw(file), b"/etc/hosts", None, _MS_BIND, None)


def inside(netns: str, binds: Mapping[Path, Path], argv: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Write the command line that runs `argv` with the view."""
    laid = [f"{seen_at}={taken_from}" for seen_at, taken_from in binds.items()]
    return [sys.executable, "-P", "-m", __spec__.name, netns, *laid, "--", *[os.fspath(word) for word in argv]]


def netns_inode(netns: str) -> int:
    """Inode that identifies the network namespace, 0 where there is none of that name."""
    try:
        path = NETNS_DIR / netns
        # An empty file of that name is what is left of a namespace after a reboot without tmpfs on /run.
        return path.stat().st_ino if path.stat().st_dev == os.stat("/proc/self/ns/net").st_dev else 0
    except OSError:
        return 0


def other_lab_of_self(netns: str) -> str:
    """Name the lab network namespace that this process is in, unless it is `netns`; empty where there is none."""
    own = inode_of("self")
    labs = (path.name for path in NETNS_DIR.glob("lab-*"))
    return next((name for name in labs if name != netns and netns_inode(name) == own), "")


def inode_of(pid: int | str) -> int:
    """Inode of the network namespace that a process lives in, 0 where it is gone or not ours to see."""
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return 0


def pids_in(inode: int) -> list[int]:
    """All processes of a network namespace, without this one and those that it descends from; none of namespace 0."""
    if not inode:  # of a process that ended meanwhile, or that is not ours to see, nothing is known either
        return []
    own = _self_and_ancestors()
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    return [pid for pid in pids if pid not in own and inode_of(pid) == inode and not _is_zombie(pid)]


def end_processes(inode: int, netns: str, *, limit_s: float) -> None:
    """End all processes of a network namespace: politely, and after `limit_s` by force.

    Raises:
        HostError: some do not end.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + limit_s
        signalled = set[int]()
        while pids := pids_in(inode):
            for pid in set(pids) - signalled:
                signalled.add(pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        else:
            return
    raise HostError(f"processes {pids} of {netns} cannot be ended", hint=f"look at `ip netns pids {netns}`")


def _self_and_ancestors() -> set[int]:
    pid, found = os.getpid(), set[int]()
    while pid > 0 and pid not in found:
        found.add(pid)
        pid = int(_stat(pid)[1]) if _stat(pid) else 0
    return found


def _is_zombie(pid: int) -> bool:
    fields = _stat(pid)
    return not fields or fields[0] == "Z"


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on: the name before it may hold blanks and brackets."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _raw(path: Path) -> bytes:
    return os.fsencode(path)


def _call(purpose: str, function: str, *arguments: object) -> None:
    if getattr(_libc, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise HostError(
            f"cannot {purpose}: {os.strerror(number)}",
            hint="a private host needs root with CAP_SYS_ADMIN and CAP_NET_ADMIN (containers: --privileged)",
        )


def _main(arguments: list[str]) -> None:
    end = arguments.index("--")
    netns, *laid = arguments[:end]
    command = arguments[end + 1 :]
    try:
        enter_view(
            netns, {Path(seen_at): Path(source) for seen_at, _, source in (text.partition("=") for text in laid)}
        )
        os.execvp(command[0], command)
    except HostError as error:
        sys.exit(str(error))
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127)


if __name__ == "__main__":
    _main(sys.argv[1:])
