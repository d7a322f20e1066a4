"""A libvirt of the lab's own, for hosts that have none running: containers, CI machines, laptops without systemd.

    /run/netns/lab-NAME-HASH                the network namespace: bridges, dnsmasq and VMs' taps live here alone
    /var/lib/compute-lab/NAME-HASH/         the state directory
        host/etc|lib|cache|log|run          what libvirt sees as /etc/libvirt, /var/lib/libvirt …
        libvirtd.pid  virtlogd.pid
        golden                              the golden lab that its disks are on top of

HASH is of the build directory, so two labs never meet, not even of one name. VMs outlive libvirtd, virtlogd and `lab`;
`start()` brings back what is missing and leaves alone what runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab.base import durable, lock, safe
from lab.base.environment import which
from lab.base.errors import HostError
from lab.base.process import Completed, put_aside, run, tail_of
from lab.base.rights import same_with_sudo
from lab.host import golden_disks
from lab.host import private_conf as conf
from lab.host import private_view as view
from lab.host.libvirt import Hypervisor
from lab.host.libvirt_link import NoAnswerError
from lab.host.records import STATE_ROOT, lab_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BINDS = {
    Path("/etc/libvirt"): "etc",
    Path("/var/lib/libvirt"): "lib",
    Path("/var/cache/libvirt"): "cache",
    Path("/var/log/libvirt"): "log",
    Path("/run/libvirt"): "run",
}

_START_LIMIT_S = 60.0
_STOP_LIMIT_S = 10.0


class PrivateHost:
    """One lab's own libvirtd in its own network and mount namespace. Needs root."""

    mode = "private"
    uri = "qemu:///system"
    """as seen by a process that has entered"""

    def __init__(
        self, name: str, build_dir: Path, *, reason: str = "", state_root: Path = STATE_ROOT, key: str = ""
    ) -> None:
        """Name the host of a lab; `key` (NAME-HASH) finds one whose build directory is gone."""
        key = key or lab_key(name, build_dir)
        self.name = name
        self.reason = reason
        self.netns = f"lab-{key}"
        self.state_dir = state_root / key
        self._was_entered = False

    def __str__(self) -> str:
        return f"private (own libvirtd in network namespace {self.netns}): {self.reason}"

    @property
    def _kvm(self) -> Path:
        return self.state_dir / "host" / "kvm"

    def qemu_account(self) -> conf.QemuAccount:
        """Tell who its virtual machines run as, once it has started."""
        return conf.qemu_account(self._kvm)

    @property
    def pool_dir(self) -> Path:
        """The images of the pool `default`, by a path that is valid inside and outside."""
        return self.state_dir / "host" / "lib" / "images"

    @property
    def log(self) -> Path:
        """What libvirtd says."""
        return self.state_dir / "host" / "log" / "libvirtd.log"

    def is_closed(self) -> bool:
        """Tell whether it exists and this user cannot see what is on it."""
        return os.geteuid() != 0 and self.exists()

    def exists(self) -> bool:
        """Tell whether anything of it is on this machine: running, or left by a reboot."""
        return self.state_dir.exists() or (view.NETNS_DIR / self.netns).exists()

    def has_machines(self) -> bool:
        """Tell whether its libvirtd knows, or will know when it runs again, any machine."""
        return any((self.state_dir / "host" / "etc" / "qemu").glob("*.xml"))

    def is_running(self) -> bool:
        """Tell whether its libvirtd is alive."""
        inode = view.netns_inode(self.netns)
        return inode != 0 and view.inode_of(self._pid_of("libvirtd")) == inode

    def processes(self) -> list[int]:
        """List what lives on it: libvirtd, DHCP servers, virtual machines; without this process and its ancestors."""
        return view.pids_in(view.netns_inode(self.netns))

    def entered(self) -> bool:
        """Tell whether this process has entered it."""
        return view.inode_of("self") == view.netns_inode(self.netns)

    def start(self) -> None:
        """Bring up what does not run: namespace, libvirtd, the pool `default`. Virtual machines that run stay."""
        if os.geteuid() != 0:
            raise HostError(
                f"a private libvirtd is needed ({self.reason}), and it needs root", hint=f"run: {same_with_sudo()}"
            )
        other = view.other_lab_of_self(self.netns)
        if other or (self._was_entered and not self.entered()):
            # `ip netns add` would name the new namespace in our own mount namespace only.
            raise HostError(
                f"this process runs on the private host {other or 'that it has removed'}: it cannot start another",
                hint="leave that shell, and start from a shell of the machine itself",
            )
        with self._starting():
            self.end_silent()
            self._make_namespace()
            if not self.is_running():
                if not self.processes():
                    self._remove_bridges()
                self._prepare_directories()
            self._start_virtlogd()
            if not self.is_running():
                self._put_logs_aside()
                self._start("libvirtd")
            with self._first_answer() as hypervisor:
                hypervisor.ensure_pool()

    @contextlib.contextmanager
    def _starting(self) -> Iterator[None]:
        """Let one process at a time start it: two would both find no libvirtd, and start two on one directory."""
        deadline = time.monotonic() + _START_LIMIT_S * 2
        while True:
            self.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self.state_dir, os.O_RDONLY | os.O_DIRECTORY)
            try:
                lock.take(fd, f"the private host of lab {self.name}", limit_s=max(0.0, deadline - time.monotonic()))
                if _is_at(fd, self.state_dir):  # else its holder was `lab down`, which has removed it
                    yield
                    return
            finally:
                os.close(fd)

    def end_silent(self) -> bool:
        """End its libvirtd where that lives and does not answer, as one that is stopped; whether it did.

        The virtual machines are processes of their own and run on; `start` starts a libvirtd that finds them.
        """
        if not self.is_running():
            return False
        try:
            self.hypervisor().close()
        except NoAnswerError:
            pid = self._pid_of("libvirtd")
            if not self.is_running():  # the pid file names a process of this namespace, or nothing of ours
                return True
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + _STOP_LIMIT_S
            while self.is_running() and self._pid_of("libvirtd") == pid:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            return True
        except HostError:  # it is starting, or ending
            return False
        return False

    def show_golden(self, golden: Path) -> None:
        """Start it again, without any machine, so that the next machines have the disks of a golden lab below theirs.

        Raises:
            HostError: as of `start`.
        """
        self.stop()
        golden_disks.note(self.state_dir, golden)
        self.start()

    def enter(self) -> None:
        """Move this process onto the host, and with it its children and later threads; from the main thread."""
        if self.entered():
            return
        if not self.is_running():
            raise HostError(f"the private libvirtd of lab {self.name} does not run", hint="`lab up` starts it")
        view.enter_view(self.netns, self._binds())
        self._was_entered = True

    def hypervisor(self, limit_s: float | None = None) -> Hypervisor:
        """Connect to its libvirtd, from inside or outside; `limit_s` as of `libvirt_link.connect`."""
        try:
            fd = os.open(self.state_dir / "host" / "run", os.O_PATH | os.O_CLOEXEC)
        except OSError as error:
            raise HostError(f"lab {self.name} has no libvirtd of its own", hint="`lab up` starts it") from error
        try:
            # By way of /proc, because the path of a socket has at most 107 characters (unix(7)).
            return Hypervisor(
                f"qemu+unix:///system?socket=/proc/self/fd/{fd}/libvirt-sock",
                exclusive=True,
                pid_files=(self.state_dir / "libvirtd.pid",),
                limit_s=limit_s,
                hint="`lab up` ends it and starts another; the virtual machines keep running",
            )
        finally:
            os.close(fd)

    def command(self, argv: Sequence[str | os.PathLike[str]]) -> list[str]:
        """Write the command line that runs a program on it: as it is for a process that has entered."""
        words = [os.fspath(word) for word in argv]
        return words if self.entered() else view.inside(self.netns, self._binds(), words)

    def run(self, argv: Sequence[str | os.PathLike[str]], *, timeout_s: float, check: bool = True) -> Completed:
        """Run one program on it, without entering."""
        return run(self.command(argv), timeout_s=timeout_s, check=check)

    def stop(self, *, keep_volumes: bool = False) -> None:
        """Remove it: every process of the namespace (VMs too), the namespace, the state directory. Idempotent.

        With `keep_volumes` the state directory stays, as after a reboot of the machine: `start` goes on from it.
        A process that has entered may call this, but has no libvirt and no network afterwards.
        """
        inode = view.netns_inode(self.netns)
        if inode:
            view.end_processes(inode, self.netns, limit_s=_STOP_LIMIT_S)
        path = view.NETNS_DIR / self.netns
        if path.exists():
            if inode:
                run(["ip", "netns", "delete", self.netns], timeout_s=30)
            else:
                path.unlink()
        if keep_volumes:
            return
        if self.state_dir.exists():
            shutil.rmtree(self.state_dir)
        durable.remove_empty(self.state_dir.parent)

    def _make_namespace(self) -> None:
        path = view.NETNS_DIR / self.netns
        if not view.netns_inode(self.netns):
            path.unlink(missing_ok=True)
            run(["ip", "netns", "add", self.netns], timeout_s=30)
        run(["ip", "-n", self.netns, "link", "set", "lo", "up"], timeout_s=30)

    def _remove_bridges(self) -> None:
        """Remove the bridges of a libvirtd that is gone with all its children: a new one would not take them over."""
        shown = run(["ip", "-n", self.netns, "-json", "link", "show", "type", "bridge"], timeout_s=30).stdout
        for link in json.loads(shown or "[]"):
            if link:  # iproute2 prints {} for what the filter left out
                run(["ip", "-n", self.netns, "link", "delete", link["ifname"]], timeout_s=30)

    def _prepare_directories(self) -> None:
        host = self.state_dir / "host"
        safe.make(self.state_dir)
        self.state_dir.chmod(0o700)
        if not self.processes():
            # Nothing is alive: what it calls running is from before a reboot. /run would be empty then.
            shutil.rmtree(host / "run", ignore_errors=True)
        for seen_at, sub in _BINDS.items():
            # The daemons' helpers (dnsmasq) run as other users: passable below the state directory, which is not.
            (host / sub).mkdir(parents=True, exist_ok=True)
            (host / sub).chmod(0o755)
            seen_at.mkdir(parents=True, exist_ok=True)
        for sub, mode in (("lib/images", 0o711), ("log/qemu", 0o755)):
            (host / sub).mkdir(exist_ok=True)
            (host / sub).chmod(mode)
        etc = host / "etc"
        conf.make_kvm(self._kvm)
        conf.write_configuration(etc, self.qemu_account(), logd=which("virtlogd") is not None)

    def _start_virtlogd(self) -> None:
        """Start what writes the consoles, if libvirtd uses it and it does not run."""
        if view.inode_of(self._pid_of("virtlogd")) != view.netns_inode(self.netns) and self._wants_virtlogd():
            self._start("virtlogd")

    def _wants_virtlogd(self) -> bool:
        return 'stdio_handler = "logd"' in (self.state_dir / "host" / "etc" / "qemu.conf").read_text()

    def _put_logs_aside(self) -> None:
        """Limit the logs that virtlogd does not limit."""
        qemus = () if self._wants_virtlogd() else (self.log.parent / "qemu").glob("*.log")
        for log in (self.log, *qemus):
            put_aside(log)

    def _start(self, daemon: str) -> None:
        pid_file = self.state_dir / f"{daemon}.pid"
        pid_file.unlink(missing_ok=True)
        # It gets no system bus: firewalld, polkit and machined of the host have no business with it.
        run(
            view.inside(self.netns, self._binds(), [daemon, "--daemon", "--pid-file", pid_file]),
            timeout_s=_START_LIMIT_S,
            env={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"},
        )

    def _first_answer(self) -> Hypervisor:
        """Wait for libvirtd: `--daemon` returns before its drivers, which may refuse, have started."""
        deadline = time.monotonic() + _START_LIMIT_S
        while True:
            try:
                return self.hypervisor(limit_s=_START_LIMIT_S)
            except HostError as error:
                if not self.is_running() or time.monotonic() > deadline:
                    detail = f"{error.detail}\n{tail_of(self.log, 5)}\nfull log: {self.log}"
                    raise HostError("the lab's own libvirtd does not answer", detail=detail) from error
            time.sleep(0.2)

    def _binds(self) -> dict[Path, Path]:
        binds = {seen_at: self.state_dir / "host" / sub for seen_at, sub in _BINDS.items()}
        binds |= golden_disks.binds(self.state_dir)
        return {**binds, conf.KVM_DEVICE: self._kvm} if self._kvm.exists() and conf.KVM_DEVICE.exists() else binds

    def _pid_of(self, daemon: str) -> int:
        try:
            text = (self.state_dir / f"{daemon}.pid").read_text()
        except OSError:
            return 0
        return int(text) if re.fullmatch(r"\s*\d+\s*", text) else 0


def _is_at(fd: int, path: Path) -> bool:
    """Tell whether an open directory is the one that has this name now."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except OSError:
        return False


def why_root(host: object) -> str:
    """Tell why a host's virtual machines run as root; empty where they do not, or where that is not the lab's."""
    return host.qemu_account().why_root if isinstance(host, PrivateHost) else ""
