"""One ssh connection to each node, with the program of node.py at its other end: rounds go there, answers come back."""

from __future__ import annotations

import contextlib
import json
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
SILENCE_S = 180.0
"""after which nothing more is waited for from a node that has something to do: no command may take so long"""
CONNECT_TIMEOUT_S = 15
GRACE_S = 10.0
_HERE = Path(__file__).parent
_PROGRAMS = ("tools", "node")
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
    stderr: str


Arrived = tuple[str, Question, "Answer | CannotTell"]
"""node, what it was asked, and what it answered or why it did not"""


class Wire(Protocol):
    """A way to ask a node; tests bring their own."""

    def send(self, questions: Sequence[tuple[Question, str]]) -> None:
        """Ask a round of questions, each with the lane for it (`cheap` or `slow`); the answers arrive by themselves."""
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
        self._node = node
        self._argv = argv
        self._secrets = list(secrets)
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._asked: dict[int, tuple[Question, float]] = {}
        self._count = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._reader = threading.Thread()
        self._arrived = arrived
        self._gone: CannotTell | None = None

    def send(self, questions: Sequence[tuple[Question, str]]) -> None:
        """Ask a round of questions."""
        if self._process is None:
            self._start()
        round_ = []
        with self._lock:
            for question, lane in questions:
                self._count += 1
                self._asked[self._count] = question, time.time()
                what = {"command": question.command, "secrets": question.secrets, "limit": self._limit_s, "lane": lane}
                round_.append({"id": self._count, **what})
            if self._gone is not None:
                self._give_up(self._gone)
                return
        self._write(round_)

    def close(self) -> None:
        """End the program on the node by ending its input, and the connection."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reader.join(GRACE_S)

    def _start(self) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._argv, stdin=pipe, stdout=pipe, stderr=pipe, env=tool_environment())
        names = [(f"lab.verification.{name}", _HERE / f"{name}.py") for name in _PROGRAMS]
        self._write([[(name, path.read_text(encoding="utf-8")) for name, path in names], self._secrets])
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def _write(self, what: object) -> None:
        """Write a line; the reader hears of it when nobody takes it."""
        assert self._process is not None
        assert self._process.stdin is not None
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
                message = json.loads(line)
                with self._lock:
                    question, sent = self._asked.pop(message["id"])
                answer = Answer(message["rc"], message["stdout"], message["stderr"])
                if question.command == "@now":
                    answer = _clock(float(answer.stdout), sent)
                self._arrived.put((self._node, question, answer))
                answered = True
        with process.stdout, process.stderr:
            said = _last_line(process.stderr.read().decode(errors="replace"))
        code = process.wait()
        lost = Unreachable(said) if code == 255 else CannotTell(f"{self._node} ended with exit code {code}: {said}")
        with self._lock:
            self._gone = Unreachable(f"the connection broke: {said}") if answered and code == 255 else lost
            self._give_up(self._gone)

    def _give_up(self, why: CannotTell) -> None:
        """Answer whatever is still asked with an exception; the lock is held."""
        for question, _ in self._asked.values():
            self._arrived.put((self._node, question, why))
        self._asked.clear()


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
    for who has just heard from the nodes; a master to a machine that is gone would not answer.
    """
    control = f"ControlPath={ssh_config_value(sockets / node)}" if sockets else "ControlPath=none"
    options = [control, "ControlMaster=no", "BatchMode=yes", f"ConnectTimeout={CONNECT_TIMEOUT_S}"]
    options += ["ServerAliveInterval=20", "ServerAliveCountMax=6", "LogLevel=ERROR"]
    words = [word for option in options for word in ("-o", option)]
    quoted = "'" + _LOADER.replace("'", "'\\''") + "'"
    argv = ["ssh", "-F", str(ssh_config), *words, node, f"sudo python3 -I -S -c {quoted}"]
    return SshWire(node, argv, secrets, limit_s, arrived)


def _clock(told: float, sent: float) -> Answer:
    """Bounds of the node's clock less this machine's: it was read after it was asked for, and before it came."""
    return Answer(0, json.dumps([told - time.time(), told - sent]), "")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "(it said nothing)"
