"""Vagrant through python-vagrant, with what that library leaves out: limits, errors that say why, and a log.

python-vagrant 1.0.0 sends stderr to /dev/null, knows no time limit and loses track of its child on Ctrl-C; its reads
(`status`) swallow failures. So only `up` and `ssh-config` go through it, and this class runs the commands that it
makes. Their state, stopping and removing them is libvirt's (lab.host.libvirt).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from lab.base import durable, safe
from lab.base.environment import tool_environment, which
from lab.base.errors import HostError, MachineError
from lab.base.lock import take
from lab.base.process import put_aside
from lab.base.surroundings import home

logging.getLogger("vagrant").setLevel(logging.ERROR)  # where Vagrant is missing, the import below would say so itself
import vagrant as python_vagrant  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

OnLine = Callable[[str, str], None]
"""called with a machine's name ("" for Vagrant itself) and what was said of it"""

LOG = "logs/vagrant.log"

# A box upload and two minutes of boot are far below; vagrant-libvirt itself gives up waiting for an address at 600.
UP_LIMIT_S = 1800.0
READ_LIMIT_S = 120.0

LOCK = ".vagrant/lab.lock"
"""held by a running vagrant itself, so that the next one knows of it even where `lab` was killed"""
_EARLIER_LIMIT_S = 180.0
"""for one that an ended `lab` left behind; it is told to leave when `lab` ends"""
_INDEX_LIMIT_S = 60.0
"""Vagrant holds the lock of its list for the time of a read and a write"""

_GRACE_S = 60.0
"""for Vagrant to release its locks and to undo a half-made machine after an interrupt"""
_CHECK_EVERY_S = 15.0
_TAIL_LINES = 15
_MACHINE_LINE = re.compile(r"(?:==> | {4})(?P<machine>[A-Za-z0-9][\w.-]*): ?(?P<text>.*)")
_PROGRESS_BAR = re.compile(r"Progress: +\d+%")
_BACKTRACE = re.compile(r"\s*(?:\d+: )?(?:from )?\S+:\d+:in [`'][^']*'")
"""a line of Ruby's; the first one, which ends with the message, is not meant"""

_SETTINGS = {
    "VAGRANT_CHECKPOINT_DISABLE": "1",  # Vagrant does not ask its makers for new versions
    "VAGRANT_BOX_UPDATE_CHECK_DISABLE": "1",
    "VAGRANT_DEFAULT_PROVIDER": "libvirt",
    "VAGRANT_NO_COLOR": "1",
}
_NOT_INHERITED = ("VAGRANT_CWD", "VAGRANT_VAGRANTFILE", "VAGRANT_DOTFILE_PATH", "VAGRANT_LOG", "VAGRANT_NO_PARALLEL")


def vagrant_home(environ: Mapping[str, str] | None = None) -> Path:
    """Give the directory where Vagrant keeps boxes, plugins and its list of machines."""
    named = (os.environ if environ is None else environ).get("VAGRANT_HOME")
    return Path(named) if named else home() / ".vagrant.d"


class Vagrant:
    """The machines of one build directory.

    Every method raises MachineError with the end of what Vagrant said where it fails or takes too long, and HostError
    where it is not installed. On Ctrl-C Vagrant gets the signal too and is waited for, so that its locks are released.
    """

    def __init__(self, build_dir: Path, *, env: Mapping[str, str] | None = None) -> None:
        self._build_dir = build_dir.absolute()
        self._data = build_dir / ".vagrant" / "machines"
        own = os.environ if env is None else env
        self._env = tool_environment(_SETTINGS, {k: v for k, v in own.items() if k not in _NOT_INHERITED})
        self.log = build_dir / LOG

    def up(
        self,
        names: Iterable[str] = (),
        *,
        on_line: OnLine | None = None,
        timeout_s: float = UP_LIMIT_S,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Create or start machines (all, where none are named), side by side, without provisioning them.

        `check` is called now and then; what it raises ends Vagrant, as where libvirtd has stopped answering.
        """
        self._client(timeout_s, on_line, check).up(vm_name=_pattern(names), no_provision=True)

    def ssh_config(self, names: Iterable[str] = (), *, timeout_s: float = READ_LIMIT_S) -> str:
        """Give `vagrant ssh-config` of machines (all, where none are named); they must be running."""
        text: str = self._client(timeout_s).ssh_config(vm_name=_pattern(names))
        return text

    def machine_id(self, name: str) -> str:
        """Give Vagrant's id of a machine, its domain's UUID; empty where Vagrant knows none."""
        try:
            return (self._data / name / "libvirt" / "id").read_text().strip()
        except FileNotFoundError:
            return ""

    def mark_provisioned(self, names: Iterable[str]) -> None:
        """Tell Vagrant that machines are provisioned, so that a `vagrant up` by hand does not do it all again."""
        for name in names:
            data = self._data / name / "libvirt"
            with contextlib.suppress(FileNotFoundError):  # no machine, nothing to mark
                # Vagrant's own sentinel: lib/vagrant/action/builtin/provision.rb
                durable.write_text(data / "action_provision", f"1.5:{(data / 'id').read_text().strip()}", mode=0o600)

    def forget(self, names: Iterable[str] | None = None) -> None:
        """Take this directory's machines (all, or these) out of Vagrant's records, after others removed them.

        That is its list of all machines and, of those that are named, what it keeps here.
        """
        gone = None if names is None else set(names)
        for name in gone or ():
            shutil.rmtree(self._data / name, ignore_errors=True)
        index = vagrant_home(self._env) / "data" / "machine-index" / "index"
        with contextlib.suppress(FileNotFoundError), index.with_name("index.lock").open("r+") as lock:
            # Vagrant's own: lib/vagrant/machine_index.rb
            take(lock.fileno(), "Vagrant's list of machines", limit_s=_INDEX_LIMIT_S)
            self._take_out(index.resolve(), gone)

    def _take_out(self, index: Path, gone: Collection[str] | None) -> None:
        """Write Vagrant's list of all machines without ours, in one step: those of all other projects are in it."""
        try:
            listed = json.loads(index.read_bytes())
            before: dict[str, dict[str, Any]] = listed["machines"]
            machines = {
                key: machine
                for key, machine in before.items()
                if machine.get("vagrantfile_path") != str(self._build_dir)
                or (gone is not None and machine.get("name") not in gone)
            }
        except (ValueError, KeyError, TypeError, AttributeError):  # damaged: Vagrant says so itself
            return
        if machines != before:
            safe.require(index.parent)
            text = json.dumps({**listed, "machines": machines})
            durable.write_text(index, text, mode=stat.S_IMODE(index.stat().st_mode), like=index)

    def _client(
        self, timeout_s: float, on_line: OnLine | None = None, check: Callable[[], None] = lambda: None
    ) -> _Client:
        return _Client(self._build_dir, self._env, self.log, timeout_s, on_line, check)


_Library: Any = python_vagrant.Vagrant  # untyped


class _Client(_Library):  # type: ignore[misc]
    """python-vagrant's commands, run by `_Run`."""

    def __init__(
        self,
        build_dir: Path,
        env: Mapping[str, str],
        log: Path,
        timeout_s: float,
        on_line: OnLine | None,
        check: Callable[[], None],
    ) -> None:
        super().__init__(root=str(build_dir), env=dict(env))
        self._log, self._timeout_s, self._on_line, self._check = log, timeout_s, on_line, check

    def _make_vagrant_command(self, args: Sequence[str | None]) -> list[str]:
        return ["vagrant", *(arg for arg in args if arg is not None)]

    def _call_vagrant_command(self, args: Sequence[str | None]) -> None:
        self._run_vagrant_command(args)

    def _run_vagrant_command(self, args: Sequence[str | None]) -> str:
        argv = self._make_vagrant_command(args)
        return _Run(argv, self.root, self.env, self._log, self._on_line).to_its_end(self._timeout_s, self._check)


class _Run:
    """One vagrant command: its output read as it comes, to a log and to whoever watches."""

    def __init__(self, argv: list[str], cwd: str, env: Mapping[str, str], log: Path, on_line: OnLine | None) -> None:
        self._argv, self._cwd, self._env, self._log_path, self._on_line = argv, cwd, env, log, on_line
        self._lock = threading.Lock()
        self._said: deque[str] = deque(maxlen=_TAIL_LINES)
        self._complaints: deque[str] = deque(maxlen=_TAIL_LINES)
        self._out: list[str] = []

    def to_its_end(self, timeout_s: float, check: Callable[[], None]) -> str:
        """Run, and give stdout; MachineError where it fails or takes longer, and what `check` raises meanwhile."""
        if not Path(self._cwd).is_dir():
            raise MachineError(f"no such directory: {self._cwd}")
        self._log_path.parent.mkdir(mode=0o700, exist_ok=True)
        put_aside(self._log_path)
        with open(self._log_path, "a", opener=safe.private_opener) as log:
            log.write(f"\n$ {shlex.join(self._argv)}    # {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
            process = self._start_alone()
            readers = [
                threading.Thread(target=self._read, args=(stream, log, kept), daemon=True)
                for stream, kept in ((process.stdout, self._out), (process.stderr, self._complaints))
            ]
            for reader in readers:
                reader.start()
            try:
                _wait(process, timeout_s, check)
            except subprocess.TimeoutExpired:
                self._interrupt(process)
                raise self._error(f"did not end within {timeout_s:.0f} s") from None
            except BaseException:
                self._interrupt(process)
                raise
            finally:
                for reader in readers:
                    reader.join(5)
        if process.returncode != 0:
            raise self._error(f"failed with exit code {process.returncode}")
        return "".join(f"{line}\n" for line in self._out)

    def _start_alone(self) -> subprocess.Popen[str]:
        """Start it once no other vagrant works here; it holds the lock as long as it lives."""
        path = Path(self._cwd) / LOCK
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with open(path, "w", opener=safe.private_opener) as lock:
            take(lock.fileno(), f"the machines of {self._cwd}", limit_s=_EARLIER_LIMIT_S)
            return self._start(lock.fileno())

    def _start(self, lock: int) -> subprocess.Popen[str]:
        # Vagrant asks to be interrupted when this process ends, however it ends: it would go on alone otherwise.
        leash = ["setpriv", "--pdeathsig", "INT", "--"] if which("setpriv") else []
        if shutil.which(self._argv[0], path=self._env.get("PATH")) is None:
            leash = []  # so that the error is that of the missing program
        try:
            # A process group of its own: the terminal's Ctrl-C reaches Vagrant once, through _interrupt. A second
            # signal would make it leave at once, with its locks and half-made machines.
            return subprocess.Popen(
                [*leash, *self._argv],
                cwd=self._cwd,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                process_group=0,
                pass_fds=(lock,),
            )
        except FileNotFoundError as error:
            raise HostError("vagrant is not installed", hint="`lab doctor --fix` installs what is missing") from error

    def _read(self, stream: IO[str], log: IO[str], kept: list[str] | deque[str]) -> None:
        with stream:
            for raw in stream:
                line = raw.rstrip()
                if not _PROGRESS_BAR.search(line):
                    self._hear(line, log, kept)

    def _hear(self, line: str, log: IO[str], kept: list[str] | deque[str]) -> None:
        with self._lock:
            if not _BACKTRACE.fullmatch(line):
                kept.append(line)
                if line:
                    self._said.append(line)
            if not log.closed:  # a process that Vagrant left behind still talks
                log.write(f"{line}\n")
                log.flush()
        if self._on_line is not None and line:
            match = _MACHINE_LINE.fullmatch(line)
            self._on_line(match["machine"] if match else "", match["text"].strip() if match else line)

    @staticmethod
    def _interrupt(process: subprocess.Popen[str]) -> None:
        """Ask Vagrant to clean up and end; after a while, or at the next Ctrl-C, kill it."""
        for number, grace_s in ((signal.SIGINT, _GRACE_S), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                if number == signal.SIGINT:
                    process.send_signal(number)
                else:
                    os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                process.wait(grace_s)
                return

    def _error(self, what: str) -> MachineError:
        with self._lock:
            lines = [line for line in self._complaints if line.strip()] or list(self._said)
        return MachineError(
            f"vagrant {self._argv[1]} {what}",
            detail="\n".join([*lines, f"full log: {self._log_path}"]),
            hint="fix the cause, then run the same command again",
        )


def _wait(process: subprocess.Popen[str], timeout_s: float, check: Callable[[], None]) -> None:
    """Wait for the end; raises TimeoutExpired, and what `check` raises."""
    deadline = time.monotonic() + timeout_s
    while (left := deadline - time.monotonic()) > _CHECK_EVERY_S:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_CHECK_EVERY_S)
            return
        check()
    process.wait(max(0.0, left))


def _pattern(names: Iterable[str]) -> str | None:
    """Name several machines in Vagrant's one argument for a machine: a regular expression between slashes."""
    listed = list(names)
    return f"/^({'|'.join(map(re.escape, listed))})$/" if listed else None
