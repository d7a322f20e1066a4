"""The nodes over ssh: the OpenSSH client, one multiplexed connection per node.

The build directory's ssh_config serves everybody: this class, `ssh -F ssh_config controller` by hand, and the suite's
`--ssh-config`. Emulated guests take seconds for a new connection and a tenth of one for a command on an open one.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import shlex
import subprocess
import tarfile
import threading
import time
from typing import IO, TYPE_CHECKING, Any

from lab.base import durable
from lab.base.environment import tool_environment
from lab.base.errors import HostError, HostKeyError, MachineError
from lab.base.masking import without_shapes
from lab.base.process import Completed
from lab.nodes.ssh_config import SshConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

CONNECTION_BROKE = 255
"""ssh's own exit code; a command that ends with it cannot be told from a broken connection"""

_RUN_LIMIT_S = 300.0
_PUSH_LIMIT_S = 300.0
_TAIL_LINES = 15
_LOOK_S = 0.2
"""how often a silent client is looked at: does it still run?"""


class Ssh:
    """Connections to the nodes of one build directory. The methods may be called from several threads."""

    def __init__(self, build_dir: Path) -> None:
        self.build_dir = build_dir.absolute()
        self._config = SshConfig(build_dir)
        self.config = self._config.path
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self.aborted = False
        """whether abort() was called"""

    @property
    def sockets(self) -> Path:
        """Where the sockets of the open connections are, one per node."""
        return self._config.socket_dir()

    def configured(self) -> bool:
        """Tell whether the nodes' addresses are known."""
        return self.config.is_file()

    def add_config(self, vagrant_ssh_config: str) -> None:
        """Add machines to ssh_config from what `vagrant ssh-config` printed of them."""
        self._config.add(vagrant_ssh_config)

    def nodes(self) -> list[str]:
        """Name the nodes whose addresses are known: those whose machines were made to the end."""
        return self._config.nodes()

    def forget(self, names: Iterable[str]) -> None:
        """Take nodes out of ssh_config, with their connections: their machines are gone, or about to be made again."""
        gone = list(names)
        self.drop(gone)
        self._config.forget(gone)

    def argv(self, node: str, command: Sequence[str] | str = (), *, options: Sequence[str] = ()) -> list[str]:
        """Give the ssh command line: `command` as words, or as one line for the node's shell."""
        remote = command if isinstance(command, str) else shlex.join(command)
        return ["ssh", "-F", str(self.config), *options, node, *(["--", remote] if remote else [])]

    def run(
        self,
        node: str,
        command: Sequence[str] | str,
        *,
        input: str | bytes | None = None,  # noqa: A002 - the name that subprocess has
        timeout_s: float = _RUN_LIMIT_S,
        check: bool = True,
    ) -> Completed:
        """Run a command on a node. Secrets go by `input`, never by the command.

        Raises:
            MachineError: it failed (unless `check` is off), the connection broke, or it took longer than `timeout_s`.
        """
        data = input.encode() if isinstance(input, str) else input
        argv, began = self._ready_argv(node, command), time.monotonic()
        with _readable(data or b"") as stdin, self._start(argv, stdin=stdin) as process:
            try:
                out, err = self._answer(process, timeout_s)
            except subprocess.TimeoutExpired as error:
                raise _failed(node, command, f"did not end within {timeout_s:.0f} s", _text(error.stderr)) from None
            finally:
                process.kill()
                with self._lock:
                    self._running.discard(process)
        done = Completed(tuple(argv), process.returncode, _text(out), _text(err), time.monotonic() - began)
        if done.returncode == CONNECTION_BROKE:
            self._config.require_its_key(node, done.stderr)
        if check and not done.ok:
            raise _failed(node, command, f"failed with exit code {done.returncode}", done.stderr or done.stdout)
        return done

    def stream(
        self,
        node: str,
        command: Sequence[str] | str,
        on_line: Callable[[str], None],
        *,
        timeout_s: float | None = None,
    ) -> int:
        """Run a command on a node, hand over each line it writes (stdout and stderr) as it comes, give its exit code.

        255 is ssh's own: the connection broke; negative: abort() ended it. The command goes on in the node then, and
        the master of the connection holds the client's output until it ends there: nobody waits for that.

        Raises:
            MachineError: it took longer than `timeout_s`.
        """
        overdue = threading.Event()
        process = self._start(
            self._ready_argv(node, command), stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True
        )

        def give_up() -> None:
            overdue.set()
            process.kill()

        timer = threading.Timer(timeout_s or threading.TIMEOUT_MAX, give_up)
        timer.daemon = True
        timer.start()
        with process:
            try:
                output = _Output(process, lambda: overdue.is_set() or self.aborted)
                for line in io.TextIOWrapper(io.BufferedReader(output), errors="replace"):
                    on_line(line.rstrip("\r\n"))
                process.wait()
            except BaseException:
                process.kill()
                raise
            finally:
                timer.cancel()
                with self._lock:
                    self._running.discard(process)
        if overdue.is_set():
            raise _failed(node, command, f"did not end within {timeout_s:.0f} s", "")
        return process.returncode

    def abort(self) -> None:
        """End all that runs, and let nothing new start: for Ctrl-C, or a machine's end, while threads wait for it."""
        with self._lock:
            self.aborted = True
            for process in self._running:
                process.kill()

    def _start(self, argv: list[str], **how: Any) -> subprocess.Popen[bytes]:
        with self._lock:
            if self.aborted:
                raise MachineError("interrupted")
            try:
                streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
                process = subprocess.Popen(argv, env=tool_environment(), **streams)
            except FileNotFoundError as error:
                raise _no_ssh() from error
            self._running.add(process)
            return process

    def _answer(self, process: subprocess.Popen[bytes], timeout_s: float) -> tuple[bytes, bytes]:
        """Wait for what a client says: also of one that was aborted, whose output the master of the connection holds.

        Raises:
            MachineError: abort() was called.
            subprocess.TimeoutExpired: it took longer.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return process.communicate(timeout=max(0.0, min(_LOOK_S, deadline - time.monotonic())))
            except subprocess.TimeoutExpired as error:
                if self.aborted:
                    raise MachineError("interrupted") from None
                if time.monotonic() >= deadline:
                    raise error

    def push(self, node: str, local_dir: Path, remote_dir: str) -> None:
        """Replace a directory of a node by a local one: owned by root, with the local modes, never readable by others.

        Raises:
            MachineError: it failed.
        """
        command = ["sudo", "-n", "sh", "-c", _REPLACE, "push", remote_dir]
        self.run(node, command, input=_tar(local_dir), timeout_s=_PUSH_LIMIT_S)

    def wait_ready(self, node: str, timeout_s: float) -> None:
        """Wait until a node answers to ssh and its sudo works.

        Raises:
            MachineError: not within `timeout_s`.
        """
        self.first_answer(node, ["sudo", "-n", "true"], timeout_s)

    def first_answer(self, node: str, command: Sequence[str], timeout_s: float) -> Completed:
        """Run a command again and again until it ends well: the node may still boot.

        Raises:
            HostKeyError: another machine than the node answers, or the node has other keys.
            MachineError: not within `timeout_s`, or abort() was called; at once where its address is not known.
        """
        if node not in self.nodes():
            raise MachineError(f"the address of {node} is not known", hint="`lab up` finds the addresses of all nodes")
        deadline = time.monotonic() + timeout_s
        said = ""
        while (left := deadline - time.monotonic()) > 0:
            if self.aborted:
                raise MachineError("interrupted")
            try:
                result = self.run(node, command, timeout_s=max(1.0, left), check=False)
                if result.ok:
                    return result
                said = result.stderr
            except (HostError, HostKeyError):  # waiting does not help
                raise
            except MachineError as error:
                said = error.detail
            time.sleep(min(1.0, max(0.0, deadline - time.monotonic())))
        raise MachineError(
            f"{node} did not answer to ssh within {timeout_s:.0f} s",
            detail=_tail(said),
            hint=f"its console: {self.build_dir / 'logs' / node / 'console.log'}",
        )

    def interactive(self, node: str, command: Sequence[str] | str = ()) -> int:
        """Give the terminal to a shell (or a command) on a node, and its exit code back."""
        try:
            argv = self._ready_argv(node, command, options=["-t"] if not command else [])
            return subprocess.run(argv, env=tool_environment(), check=False).returncode
        except FileNotFoundError as error:
            raise _no_ssh() from error

    def close(self) -> None:
        """End the open connections, if there are any."""
        self.drop(self._config.nodes())
        durable.remove_empty(self._config.socket_dir())

    def drop(self, nodes: Iterable[str]) -> None:
        """End the connections to nodes, as when their machines have lost them: a client would wait for the dead one."""
        for node in nodes:
            socket = self._config.socket_dir() / node
            if socket.exists():
                argv, env = ["ssh", "-F", str(self.config), "-O", "exit", node], tool_environment()
                with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                    subprocess.run(
                        argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False
                    )
                socket.unlink(missing_ok=True)

    def _ready_argv(self, node: str, command: Sequence[str] | str, *, options: Sequence[str] = ()) -> list[str]:
        if not self.configured():
            raise MachineError(f"no {self.config.name} in {self.build_dir}", hint="`lab up` writes it")
        self._config.make_socket_dir()
        return self.argv(node, command, options=options)


def _readable(data: bytes) -> IO[bytes]:
    """Give data as a file that is in memory only: it may hold secrets, and `communicate` sends no input twice."""
    file = os.fdopen(os.memfd_create("input", os.MFD_CLOEXEC), "w+b")
    file.write(data)
    file.seek(0)
    return file


class _Output(io.RawIOBase):
    """What a client writes, until its end: also where others still hold the pipe that it has left."""

    def __init__(self, process: subprocess.Popen[bytes], given_up: Callable[[], bool]) -> None:
        assert process.stdout is not None
        self._process = process
        self._given_up = given_up
        self._fd = process.stdout.fileno()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            readable, _, _ = select.select([self._fd], [], [], _LOOK_S)
            ended = self._process.poll() is not None
            if ended and (self._given_up() or not readable):
                return 0
            if readable:
                data = os.read(self._fd, len(buffer))
                buffer[: len(data)] = data
                return len(data)


_REPLACE = """\
set -eu
umask 077
rm -rf "$1.new"
mkdir -p "$(dirname "$1")"
mkdir "$1.new"
tar -x -p -f - -C "$1.new"
rm -rf "$1"
mv "$1.new" "$1"
"""


def _tar(directory: Path) -> bytes:
    """Pack a directory's content, owned by root, with its modes."""

    def as_root(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = "root"
        return info

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in sorted(directory.iterdir()):
            archive.add(path, path.name, filter=as_root)
    return packed.getvalue()


def _failed(node: str, command: Sequence[str] | str, what: str, said: str) -> MachineError:
    shown = command if isinstance(command, str) else shlex.join(command)
    return MachineError(f"on {node}: {shown.splitlines()[0]} {what}", detail=_tail(said))


def _no_ssh() -> HostError:
    return HostError("ssh is not installed", hint="`lab doctor --fix` installs what is missing")


def _tail(text: str) -> str:
    return without_shapes("\n".join(text.strip().splitlines()[-_TAIL_LINES:]))


def _text(data: bytes | str | None) -> str:
    return data.decode(errors="replace") if isinstance(data, bytes) else data or ""
