"""One ssh connection to each node, with the program of node.py at its other end: rounds go there, answers come back."""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lab.base.environment import tool_environment
from lab.base.quoting import ssh_config_value
from lab.verification.outcome import CannotTell, Unreachable

if TYPE_CHECKING:
    import queue
    from collections.abc import Iterable, Sequence

LIMIT_S = 120.0
"""for one command; times the lab's wait factor"""
CONNECT_TIMEOUT_S = 15
GRACE_S = 10.0
PROGRAMS = ("tools", "console_tokens", "node")
"""modules that are sent to a node; each may import from those before it"""
_DIRECTORY = Path(__file__).parent
_LOADER = (
    "import json,sys,types\n"
    "programs,secrets=json.loads(sys.stdin.readline())\n"
    "for name,text in programs:\n"
    " module=sys.modules[name]=types.ModuleType(name)\n"
    " exec(compile(text,name,'exec'),module.__dict__)\n"
    "module.main(secrets)"
)


@dataclass(frozen=True)
class Question:
    """A command for a node."""

    command: str
    secrets: tuple[str, ...] = ()
    """names of those that it gets in its environment"""


@dataclass(frozen=True)
class Answer:
    """What came of it."""

    rc: int
    stdout: str
    stderr: str = ""


Arrived = tuple[str, Question, "Answer | CannotTell"]
"""node, what it was asked, and what it answered or why it did not"""


class Wire(Protocol):
    """A way to ask a node; tests bring their own."""

    def send(self, questions: Sequence[Question]) -> None:
        """Ask a round of questions; the answers arrive by themselves."""
        ...

    def close(self) -> None:
        """End what runs on the node."""
        ...


class SshWire:
    """The connection to one node. It begins with the first round; what arrives is put into `arrived`."""

    def __init__(
        self,
        node: str,
        argv: Sequence[str],
        secrets: Iterable[str],
        limit_s: float,
        arrived: queue.SimpleQueue[Arrived],
    ) -> None:
        self._node, self._argv, self._secrets = node, argv, list(secrets)
        self._limit_s = limit_s
        self._arrived = arrived
        self._lock = threading.Lock()
        self._asked: list[tuple[Question, float]] = []
        self._open: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._gone: CannotTell | None = None

    def send(self, questions: Sequence[Question]) -> None:
        """Ask a round of questions."""
        if self._process is None:
            self._start()
        with self._lock:
            first = len(self._asked)
            self._asked += [(question, time.time()) for question in questions]
            self._open |= set(range(first, len(self._asked)))
            if self._gone is not None:
                self._give_up()
        limit = {"limit": self._limit_s}
        self._write(
            [
                {"id": number, "command": question.command, "secrets": question.secrets, **limit}
                for number, question in enumerate(questions, first)
            ]
        )

    def close(self) -> None:
        """End the program on the node by ending its input, and the connection."""
        if self._process is None or self._process.stdin is None:
            return
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _start(self) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._argv, stdin=pipe, stdout=pipe, stderr=pipe, env=tool_environment())
        programs = [(f"lab.verification.{name}", (_DIRECTORY / f"{name}.py").read_text()) for name in PROGRAMS]
        self._write([programs, self._secrets])
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()

    def _write(self, what: object) -> None:
        """Write a line; the reader hears of it when nobody takes it."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.write(json.dumps(what).encode() + b"\n")
                self._process.stdin.flush()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        """Hand over each answer; at the end of the connection, tell those who still wait why there is none."""
        assert process.stdout is not None
        assert process.stderr is not None
        answered = False
        for line in process.stdout:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # a login may print something
                told = json.loads(line)
                with self._lock:
                    question, sent = self._asked[told["id"]]
                    self._open.remove(told["id"])
                answer = Answer(told["rc"], told["stdout"], told["stderr"])
                if question.command == "@now":  # the clock was read after it was asked for, and before this came
                    clock = float(answer.stdout)
                    answer = Answer(0, json.dumps([clock - time.time(), clock - sent]))
                self._arrived.put((self._node, question, answer))
                answered = True
        with process.stdout, process.stderr:
            lines = [line.strip() for line in process.stderr.read().decode(errors="replace").splitlines()]
        said = next((line for line in reversed(lines) if line), "(it said nothing)")
        code = process.wait()
        with self._lock:
            self._gone = CannotTell(f"{self._node} ended with exit code {code}: {said}")
            if code == 255:
                self._gone = Unreachable(f"the connection broke: {said}" if answered else said)
            self._give_up()

    def _give_up(self) -> None:
        """Answer whatever is still asked with the end of the connection; the lock is held."""
        assert self._gone is not None
        for number in sorted(self._open):
            self._arrived.put((self._node, self._asked[number][0], self._gone))
        self._open.clear()


def ssh_wire(
    node: str,
    ssh_config: Path,
    secrets: Iterable[str],
    limit_s: float,
    arrived: queue.SimpleQueue[Arrived],
    sockets: Path | None = None,
) -> SshWire:
    """Connect to a node as root.

    With `sockets`, a connection that has its socket there is used: a new one takes an emulated node seconds. That is
    for a caller that has just heard from the nodes; a master to a machine that is gone would not answer.
    """
    control = f"ControlPath={ssh_config_value(sockets / node)}" if sockets else "ControlPath=none"
    options = [control, "ControlMaster=no", "BatchMode=yes", f"ConnectTimeout={CONNECT_TIMEOUT_S}"]
    options += ["ServerAliveInterval=20", "ServerAliveCountMax=6", "LogLevel=ERROR"]
    words = [word for option in options for word in ("-o", option)]
    command = shlex.join(["sudo", "python3", "-I", "-S", "-c", _LOADER])
    return SshWire(node, ["ssh", "-F", str(ssh_config), *words, node, command], secrets, limit_s, arrived)
