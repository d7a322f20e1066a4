"""testinfra's `host`, asked in rounds.

Each ssh command takes an emulated node a second, and a suite asks hundreds. So tests are evaluated before they run: a
question whose answer is not known yet is noted, and Pending ends the evaluation. What all tests noted goes to the nodes
in one round, to all nodes at once; as answers arrive, the tests that wait for them are evaluated again. A test runs, as
pytest runs any test, when it no longer waits. The number of rounds is the longest chain of questions in a test, not the
number of tests. A test is a function of what its hosts answer, so evaluating it more than once does no harm.
"""

from __future__ import annotations

import contextlib
import queue
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

from lab.verification.outcome import CannotTell
from lab.verification.wire import Answer, Question

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from lab.verification.wire import Arrived, Wire

TOGETHER_S = 0.02
"""answers that come so close together are evaluated together"""
LINUX = {
    "uname -s": Answer(0, "Linux\n"),
    "uname -m": Answer(0, "x86_64\n"),
    "test -d /run/systemd/system/": Answer(0, ""),
    "command -v command": Answer(0, "command\n"),
    "command -v ss": Answer(0, "ss\n"),
}
"""what testinfra asks to know a system, but for the distribution: every node has systemd, and ss"""


class Pending(Exception):  # noqa: N818 - no error
    """A test asked what is not known yet. A test that catches it has a wrong answer, and waits all the same."""


class Rounds:
    """What all nodes were asked and have answered."""

    def __init__(self, wires: Mapping[str, Wire], arrived: queue.SimpleQueue[Arrived]) -> None:
        self._wires = wires
        self._arrived = arrived
        self._answers: dict[tuple[str, Question], Answer | CannotTell] = {}
        self._asked: dict[tuple[str, Question], set[Hashable]] = {}
        """each question, and the tests that wait for its answer"""
        self._of: dict[Hashable, set[tuple[str, Question]]] = {}
        """what each test asked when it was last evaluated"""
        self._noted: dict[str, list[Question]] = defaultdict(list)
        self._evaluated: Hashable = None
        self._missed = False
        self.count = 0
        """rounds so far"""

    @property
    def evaluating(self) -> bool:
        """Whether a test is only evaluated just now, not run."""
        return self._evaluated is not None

    def evaluate(self, test: Hashable, run: Callable[[], object]) -> bool:
        """Run a test to learn what it asks; false when it waits for answers."""
        self._evaluated, self._missed = test, False
        self._of[test] = set()
        try:
            with contextlib.suppress(Pending):
                run()
        finally:
            self._evaluated = None
        return not self._missed

    def answer(self, node: str, question: Question, *, hurry: bool = True) -> Answer:
        """Give the answer; without `hurry` the question is only noted for the next round, and the answer empty.

        Raises:
            Pending: it is not there yet, and a test is only being evaluated.
            CannotTell: the node did not answer.
        """
        key = (node, question)
        if self.evaluating:
            self._of[self._evaluated].add(key)
        if key not in self._asked:
            self._asked[key] = set()
            self._noted[node].append(question)
        if not hurry:
            return Answer(0, "")
        if key not in self._answers and self.evaluating:
            self._missed = True
            self._asked[key].add(self._evaluated)
            raise Pending
        self.send()
        while key not in self._answers:
            self.wait()
        found = self._answers[key]
        if isinstance(found, CannotTell):
            raise type(found)(str(found))  # one of its own for each test: a traceback grows each time it is raised
        return found

    def forget(self, test: Hashable) -> None:
        """Forget the answers to what a test asked: the next time it is evaluated, it learns what is true then."""
        for key in self._of[test] & self._answers.keys():
            del self._answers[key], self._asked[key]

    def send(self) -> None:
        """Send what was noted: a round."""
        if self._noted and not self.evaluating:
            self.count += 1
            for node, questions in self._noted.items():
                self._wires[node].send(questions)
            self._noted.clear()

    @property
    def idle(self) -> bool:
        """Whether all that was asked is answered."""
        return len(self._asked) == len(self._answers)

    def wait(self, timeout: float | None = None) -> set[Hashable]:
        """Wait for answers, at most `timeout` seconds; give the tests that have waited for them, if any."""
        ready: set[Hashable] = set()
        with contextlib.suppress(queue.Empty):
            while True:
                node, question, answer = self._arrived.get(timeout=timeout)
                self._answers[node, question] = answer
                ready |= self._asked[node, question]
                timeout = TOGETHER_S
        return ready

    def close(self) -> None:
        """End the connections."""
        for wire in self._wires.values():
            wire.close()


@dataclass(repr=False)
class Ran(CommandResult):  # type: ignore[misc]
    """A result that testinfra's own failures show in one line, instead of all that the command said."""

    def __repr__(self) -> str:
        return f"`{self.command.decode()[:200]}`: {self.last_line}"

    @property
    def last_line(self) -> str:
        """The last line, preferably of stderr: why it failed."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return lines[-1].strip()[:300] if lines else f"(no output, exit code {self.rc})"


class LabBackend(BaseBackend):  # type: ignore[misc]
    """testinfra's connection to a node of the lab: root, with the node's environment without its secrets."""

    NAME = "lab"

    def __init__(self, node: str, rounds: Rounds, scale: float = 1.0) -> None:
        super().__init__(node)
        self._rounds = rounds
        self._encoding = "utf-8"
        self.scale = scale
        """how much longer than on a KVM host things take"""
        self.set_host(Host(self))

    @property
    def host(self) -> Host:
        """testinfra's host for the node."""
        return self._host

    def run(self, command: str, *args: str, secrets: Iterable[str] = (), hurry: bool = True, **_: Any) -> Ran:
        """Run a command; `secrets` names those of the lab's that it gets as variables."""
        line = self.quote(command, *args)
        question = Question(line, tuple(secrets))
        answer = LINUX.get(line) or self._rounds.answer(self.hostname, question, hurry=hurry)
        # not `self.result`, which logs it, secrets and all
        return Ran(self, answer.rc, line.encode(), answer.stdout, answer.stderr)
