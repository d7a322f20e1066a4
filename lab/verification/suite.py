"""One run of the suite: the plan, the selected checks, the nodes' hosts, and how a failure reads."""

from __future__ import annotations

import inspect
import queue
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from lab.planning.plan import Check, Node, Plan
from lab.planning.secrets import read_env
from lab.verification.outcome import CannotTell, Mismatch, Unreachable
from lab.verification.registry import KINDS
from lab.verification.rounds import Rounds, host
from lab.verification.selection import select
from lab.verification.values import Values
from lab.verification.wire import LIMIT_S, ssh_wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from testinfra.host import Host

    from lab.verification.wire import Arrived, Wire

    Connect = Callable[[str, queue.SimpleQueue[Arrived], float], Wire]
    """node, where answers go, the lab's wait factor"""


class Suite:
    """What the test functions and the hooks of pytest share."""

    def __init__(self, plan: Plan, build_dir: Path, connect: Connect, checks: Iterable[Check]) -> None:
        self.plan = plan
        self.checks = tuple(checks)
        self.scale = max(1.0, plan.wait_factor)
        envs = {node.name: read_env(build_dir / "nodes" / node.name / "env") for node in plan.nodes}
        self.values = {name: Values(env, plan.secrets) for name, env in envs.items()}
        arrived: queue.SimpleQueue[Arrived] = queue.SimpleQueue()
        self.rounds = Rounds(
            {node.name: connect(node.name, arrived, self.scale) for node in plan.nodes}, arrived, self.scale
        )
        self.hosts: dict[str, Host] = {node.name: host(node.name, self.rounds) for node in plan.nodes}

    @property
    def controller(self) -> Host:
        """The controller, which answers for the whole cloud."""
        return self.hosts[self.plan.nodes[0].name]

    @property
    def computes(self) -> list[Host]:
        """The compute nodes, in order."""
        return [self.hosts[node.name] for node in self.plan.nodes if node.role == "compute"]

    def node(self, name: str) -> Node:
        """Give what the plan says of a node."""
        return next(node for node in self.plan.nodes if node.name == name)

    def require(self, check: Check) -> None:
        """See that a check can be judged.

        Raises:
            ValueError: its kind or its arguments are not known.
        """
        assertion = KINDS.get(check.kind)
        if assertion is None:
            raise ValueError(f"no function of the suite asserts checks of kind {check.kind}")
        if problem := assertion.problem(check):
            raise ValueError(problem)

    def judge(self, check: Check) -> None:
        """Call the function that asserts a check with what pytest would give it; raises whatever that raises."""
        self.require(check)
        function = KINDS[check.kind].function
        given = {"check": check, "suite": self, "host": self.hosts[check.node], "controller": self.controller}
        function(**{name: given[name] for name in inspect.signature(function).parameters})

    def mask(self, text: str) -> str:
        """Take every secret of the lab out of a text."""
        for values in self.values.values():
            text = values.mask(text)
        return text

    def explain(self, error: BaseException) -> tuple[str, str]:
        """What was expected and what was found."""
        if isinstance(error, Mismatch):
            expected, found = error.expected, error.found
        elif isinstance(error, Unreachable):
            expected, found = "the node to answer over ssh", str(error)
        elif isinstance(error, CannotTell):
            expected, found = "an answer", str(error)
        elif isinstance(error, AssertionError | RuntimeError) and str(error).startswith("Unexpected "):
            expected, found = "an answer", str(error).splitlines()[0]  # testinfra's words for a command that failed
        elif isinstance(error, ValueError | LookupError) and not isinstance(error, KeyError):
            expected, found = "a check that the suite can judge", str(error)
        else:
            where = traceback.extract_tb(error.__traceback__)[-1:]
            place = f" ({Path(where[0].filename).name}:{where[0].lineno})" if where else ""
            expected, found = "a check that the suite can judge", f"{type(error).__name__}: {error}{place}"
        return self.mask(expected), self.mask(found)


def describe(check: Check, expected: str, found: str) -> str:
    """Tell of a failure so that a reader knows what to do; no traceback."""
    lines = [
        ("expected", expected),
        ("found", found),
        ("where", f"{check.node}, step {check.step}"),
        ("guide", check.guide),
        ("command", check.command),
    ]
    return "\n".join(f"{name + ':':<10}{_indented(text)}" for name, text in lines if text)


def summary(expected: str, found: str) -> str:
    """Tell of a failure in one line."""
    return " ".join(f"expected {expected}, found {found}".split())


def _indented(text: str) -> str:
    return text.strip().replace("\n", "\n" + " " * 10)


def load(
    plan_file: Path, steps: Iterable[str], *, quick: bool, ids_file: Path | None, sockets: Path | None = None
) -> Suite:
    """Open a build directory by its plan; `sockets` as of ssh_wire.

    Raises:
        UsageError: a step is not one of the plan's.
        OSError, pydantic.ValidationError: there is no such plan, or it is not one.
    """
    plan = Plan.model_validate_json(plan_file.read_bytes())
    ids = ids_file.read_text().split() if ids_file else None
    checks = select(plan, tuple(steps), quick=quick, ids=None if ids is None else frozenset(ids))

    def connect(node: str, arrived: queue.SimpleQueue[Arrived], scale: float) -> Wire:
        return ssh_wire(node, plan_file.parent / "ssh_config", plan.secrets, LIMIT_S * scale, arrived, sockets)

    return Suite(plan, plan_file.parent, connect, checks)
