"""The two ways to run on a host, and the choice between them.

- system: the running system libvirtd is used as it is;
- private: the lab brings its own (lab.host.private).
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lab.base.environment import sudo_words, which
from lab.base.errors import HostError, UsageError
from lab.base.process import Completed, run
from lab.host import records
from lab.host.libvirt import POOL_DIR, Hypervisor
from lab.host.private import PrivateHost
from lab.host.records import STATE_ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


SYSTEM_URI = "qemu:///system"
SYSTEM_SOCKET = Path("/run/libvirt/libvirt-sock")


class Host(Protocol):
    """Where the lab's virtual machines live. `str()` tells the user which way was chosen and why."""

    name: str
    mode: str
    """system or private"""
    reason: str
    uri: str
    """of libvirt, for a process that has entered"""

    @property
    def pool_dir(self) -> Path:
        """The directory of the pool `default`, by a path that is valid inside and outside."""

    def exists(self) -> bool:
        """Tell whether there can be anything of the lab."""

    def is_closed(self) -> bool:
        """Tell whether there is something of the lab that this user cannot see."""

    def is_running(self) -> bool:
        """Tell whether libvirtd answers or lives."""

    def has_machines(self) -> bool:
        """Tell whether there can be machines on it, also while its libvirtd does not run."""

    def start(self) -> None:
        """Bring up what does not run, with the pool `default`. HostError where that cannot be."""

    def end_silent(self) -> bool:
        """End a libvirtd that is the lab's own and does not answer, so that `start` starts another; whether it did."""

    def enter(self) -> None:
        """Move this process onto the host: from the main thread, before threads that talk to the lab."""

    def hypervisor(self) -> Hypervisor:
        """Connect to its libvirt, entered or not."""

    def command(self, argv: Sequence[str | os.PathLike[str]]) -> list[str]:
        """Write the command line that runs a program on it, for a process that may not have entered."""

    def run(self, argv: Sequence[str | os.PathLike[str]], *, timeout_s: float, check: bool = True) -> Completed:
        """Run one program on it, without entering."""

    def stop(self, *, keep_volumes: bool = False) -> None:
        """Remove what `start` made; the volumes stay on request."""


class SystemHost:
    """The machine's own libvirtd."""

    mode = "system"
    uri = SYSTEM_URI

    def __init__(self, name: str, *, reason: str = "") -> None:
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"system ({SYSTEM_URI}): {self.reason}"

    @property
    def pool_dir(self) -> Path:
        """Where the pool `default` keeps its volumes, or will."""
        if why_not(SYSTEM_URI) is not None:
            return Path(POOL_DIR)
        with self.hypervisor() as hypervisor:
            return Path(hypervisor.pool_dir() if hypervisor.has_pool() else POOL_DIR)

    def is_closed(self) -> bool:
        """Tell that nothing is hidden: who is asked answers this user, or nobody does."""
        return False

    def exists(self) -> bool:
        """Tell whether there can be anything of the lab: wherever libvirt answers."""
        return self.is_running()

    def is_running(self) -> bool:
        """Tell whether libvirtd answers."""
        return why_not(SYSTEM_URI) is None

    def has_machines(self) -> bool:
        """Tell that there can be some: only a libvirtd that answers could tell more."""
        return True

    def start(self) -> None:
        """See that libvirtd answers and has the pool `default`; starting it is doctor's."""
        refusal = why_not(SYSTEM_URI)
        if refusal is not None:
            raise HostError(f"{SYSTEM_URI} does not answer", detail=refusal, hint="`lab doctor --fix`")
        with self.hypervisor() as hypervisor:
            hypervisor.ensure_pool()

    def end_silent(self) -> bool:
        """Leave it: it is the machine's."""
        return False

    def enter(self) -> None:
        """Every process is on it already."""

    def hypervisor(self) -> Hypervisor:
        """Connect to libvirtd."""
        return Hypervisor(SYSTEM_URI)

    def command(self, argv: Sequence[str | os.PathLike[str]]) -> list[str]:
        """Write it as it is: every process is on it already."""
        return [os.fspath(word) for word in argv]

    def run(self, argv: Sequence[str | os.PathLike[str]], *, timeout_s: float, check: bool = True) -> Completed:
        """Run one program."""
        return run(argv, timeout_s=timeout_s, check=check)

    def stop(self, *, keep_volumes: bool = False) -> None:
        """Leave libvirtd and the pool: they are the machine's."""


def choose_host(
    name: str,
    build_dir: Path,
    *,
    environ: Mapping[str, str] | None = None,
    systemd: Path = Path("/run/systemd/system"),
    system_uri: str = SYSTEM_URI,
    system_socket: Path = SYSTEM_SOCKET,
    state_root: Path = STATE_ROOT,
) -> Host:
    """Choose where lab `name` runs, without changing anything.

    The variable LAB_HOST decides: system, private, or auto. A lab stays where it is.

    Raises:
        UsageError: LAB_HOST is another word.
    """
    environ = os.environ if environ is None else environ
    word = environ.get("LAB_HOST") or "auto"
    if word not in ("auto", "system", "private"):
        raise UsageError(f"LAB_HOST is {word!r}", hint="one of auto, system, private")

    def private(reason: str) -> PrivateHost:
        return PrivateHost(name, build_dir, reason=reason, state_root=state_root)

    if word != "auto":
        reason = "asked for by LAB_HOST"
        return SystemHost(name, reason=reason) if word == "system" else private(reason)
    if private("").exists():
        return private("this lab already has it")
    record = records.load(records.lab_key(name, build_dir))
    if record is not None and record.mode == "system":
        return SystemHost(name, reason="this lab exists there")
    refusal = why_not(system_uri)
    if refusal is None:
        return SystemHost(name, reason="its libvirtd answers")
    if systemd.is_dir():
        # The package's socket unit would answer: libvirt is not installed, masked, or closed to this user.
        return SystemHost(name, reason=f"this machine runs systemd, but its libvirtd does not answer: {refusal}")
    if os.geteuid() != 0 and listens(system_socket):
        # Root would get an answer, and use it: say what keeps this user out, not that there is no libvirtd.
        return SystemHost(name, reason=f"its libvirtd is closed to this user: {refusal}")
    return private("no libvirtd answers and no systemd could start one")


def listens(path: Path) -> bool:
    """Tell whether somebody listens at a unix socket, this user being let in or not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as client:
        try:
            client.connect(os.fspath(path))
        except (PermissionError, BlockingIOError):
            return True
        except OSError:
            return False
    return True


def why_not(uri: str) -> str | None:
    """Tell in libvirt's words why it does not answer; None where it does."""
    try:
        with Hypervisor(uri):
            return None
    except HostError as error:
        return error.detail or error.message


def sudo(argv: Sequence[str]) -> list[str]:
    """Put sudo before a command where this process is not root; HostError where there is no sudo."""
    if os.geteuid() == 0:
        return list(argv)
    if which("sudo") is None:
        raise HostError("root is needed, and sudo is not installed", hint="become root and try again")
    return [*sudo_words(), *argv]
