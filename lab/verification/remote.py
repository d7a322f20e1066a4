"""Asks the agent on a node, over one multiplexed ssh connection, through testinfra's host."""

from __future__ import annotations

import base64
import contextlib
import json
import shlex
import shutil
import subprocess
import tempfile
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lab.base.quoting import ssh_config_value
from lab.verification.outcome import CannotTell, Unreachable

Operation = dict[str, Any]
"""what the agent does, see lab.verification.agent"""

AGENT = Path(__file__).with_name("agent.py")
GUEST_ENV = "/opt/lab/env"
CONNECT_TIMEOUT_S = 15
QUESTION_LIMIT_S = 60.0
"""for what an agent does beside its operations, and for an operation that has no limit of its own"""
OPERATION_S = 5.0
"""for an operation that goes well, on a busy emulated node"""
ARGUMENT_LIMIT = 120_000
"""bytes of one argument that Linux takes (128 KiB), less ssh's and sudo's quoting"""


class CommandResult(Protocol):
    """What testinfra's host.run returns, as far as it is used here."""

    @property
    def rc(self) -> int: ...  # noqa: D102
    @property
    def stdout(self) -> str: ...  # noqa: D102
    @property
    def stderr(self) -> str: ...  # noqa: D102


class Host(Protocol):
    """testinfra's host, as far as it is used here; tests bring their own."""

    def run(self, command: str, *args: str) -> CommandResult:
        """Run a command with quoted arguments for its %s."""
        ...


@dataclass(frozen=True)
class Answer:
    """What the agent answered to one request."""

    results: dict[str, dict[str, Any]]
    clock_offset_s: tuple[float, float]
    """bounds of the node's clock less this machine's: it began after it was asked, and ended before the answer came"""


def question_limit_s(operations: dict[str, Operation]) -> int:
    """Give the seconds after which an agent ends itself: time for all operations, and for the longest four times."""
    longest = max((item.get("timeout", QUESTION_LIMIT_S) for item in operations.values()), default=0.0)
    return round(QUESTION_LIMIT_S + OPERATION_S * len(operations) + 4 * longest)


def pack(text: str) -> str:
    """Make a short word of a text, which no shell on the way changes."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def unpack(word: str) -> str:
    """Undo `pack`."""
    return zlib.decompress(base64.b64decode(word)).decode()


_LOADER = (
    "import base64,sys,zlib\n"
    "program,request=[zlib.decompress(base64.b64decode(word)).decode() for word in sys.argv[1:3]]\n"
    "sys.argv[1:]=[request]\n"
    "exec(program)"
)


class Remote:
    """A node's agent."""

    def __init__(self, node: str, host: Host, secrets: tuple[str, ...]) -> None:
        self._node = node
        self._host = host
        self._secrets = secrets

    def ask(self, operations: dict[str, Operation], jobs: int = 2) -> Answer:
        """Have the operations done.

        Raises:
            Unreachable: ssh did not get through.
            CannotTell: it did, but the agent did not run.
        """
        request = {
            "env": GUEST_ENV,
            "secrets": self._secrets,
            "jobs": jobs,
            "limit": question_limit_s(operations),
            "operations": operations,
        }
        words = [pack(AGENT.read_text()), pack(json.dumps(request))]
        if sum(len(word) for word in words) > ARGUMENT_LIMIT:
            raise CannotTell(f"the request for {self._node} is too long for one command: {len(operations)} operations")
        sent = time.time()
        try:
            result = self._host.run("python3 -I -S -c %s %s %s", _LOADER, *words)
        except RuntimeError as error:  # testinfra's way to say that ssh itself ended with 255
            raise Unreachable(_ssh_message(error)) from None
        received = time.time()
        if result.rc == 255:
            raise Unreachable(_last_line(result.stderr))
        lines = result.stdout.strip().splitlines()
        try:
            answer = json.loads(lines[-1])
        except (IndexError, ValueError):
            said = _last_line(result.stderr) or _last_line(result.stdout)
            raise CannotTell(f"the agent on {self._node} ended with exit code {result.rc}: {said}") from None
        return Answer(answer["results"], (answer["ended"] - received, answer["began"] - sent))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return lines[-1] if lines else "(it said nothing)"


def _ssh_message(error: RuntimeError) -> str:
    result = error.args[0] if error.args else None
    return _last_line(str(getattr(result, "stderr", result)))


class Connections:
    """The ssh connections of one run: one master per node, closed at the end.

    With `sockets`, the masters that have theirs there are used, and stay: a new connection takes an emulated node
    seconds. That is for who has just heard from the nodes; a master to a machine that is gone would not answer.
    """

    def __init__(self, ssh_config: Path, sockets: Path | None = None) -> None:
        self._ssh_config = ssh_config
        self._own = sockets is None
        self._sockets = sockets or Path(tempfile.mkdtemp(prefix="lab-ssh-"))
        self._nodes: list[str] = []

    def host(self, node: str) -> Host:
        """Give testinfra's host for a node, as root."""
        import testinfra

        self._nodes.append(node)
        host: Host = testinfra.get_host(
            f"ssh://{node}",
            ssh_config=str(self._ssh_config),
            sudo=True,
            timeout=CONNECT_TIMEOUT_S,
            # testinfra puts it into a shell's line, and that through Python's %.
            controlpath=shlex.quote(ssh_config_value(self._sockets / node)).replace("%", "%%"),
            controlpersist=120,
            ssh_extra_args="-o BatchMode=yes -o ServerAliveInterval=20 -o ServerAliveCountMax=6 -o LogLevel=ERROR",
        )
        return host

    def close(self) -> None:
        """End the masters of this run; without this they would outlive it by controlpersist."""
        if not self._own:
            return
        for node in self._nodes:
            if (self._sockets / node).exists():
                path = f"ControlPath={ssh_config_value(self._sockets / node)}"
                command = ["ssh", "-F", str(self._ssh_config), "-o", path, "-O", "exit", node]
                with contextlib.suppress(subprocess.TimeoutExpired):
                    subprocess.run(command, capture_output=True, check=False, timeout=10)
        shutil.rmtree(self._sockets, ignore_errors=True)


def quote(*words: str) -> str:
    """Join words to a line of shell."""
    return shlex.join(words)
