"""One run of the suite: the plan, the selected checks, the nodes' hosts, and how a failure reads."""

from __future__ import annotations

import contextlib
import math
import queue
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.planning.plan import Check, Plan
from lab.planning.secrets import read_env
from lab.verification.cloud import running
from lab.verification.outcome import CannotTell, Mismatch, ServerError, Unknown, Unreachable
from lab.verification.registry import KINDS, UNKNOWN, Assertion
from lab.verification.rounds import LabBackend, Pending, Rounds
from lab.verification.selection import select
from lab.verification.values import Values
from lab.verification.wire import LIMIT_S, ssh_wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from testinfra.host import Host

    from lab.verification.wire import Arrived, Wire

    Connect = Callable[[str, queue.SimpleQueue[Arrived], float], Wire]
    """node, where answers go, the lab's wait factor"""

HEALS_WITHIN_S = 15
"""for a service that answers with an error of its own; times the lab's wait factor. What it asks for, a database or a
cache, was started with it at the latest"""
MAY_END = 2
"""restarts of a unit by systemd while a check waits for it; one that ends more often makes nothing true"""


class Suite:
    """What the test functions and the hooks of pytest share."""

    def __init__(self, plan: Plan, build_dir: Path, connect: Connect, checks: Iterable[Check]) -> None:
        self.plan = plan
        self.checks = tuple(checks)
        self._by_id = {check.id: check for check in self.checks}
        envs = {node.name: read_env(build_dir / "nodes" / node.name / "env") for node in plan.nodes}
        self.values = {name: Values(env, plan.secrets) for name, env in envs.items()}
        arrived: queue.SimpleQueue[Arrived] = queue.SimpleQueue()
        scale = max(1.0, plan.wait_factor)
        self.rounds = Rounds({node.name: connect(node.name, arrived, scale) for node in plan.nodes}, arrived)
        self.hosts: dict[str, Host] = {node.name: LabBackend(node.name, self.rounds, scale).host for node in plan.nodes}
        self.controller = self.hosts[plan.nodes[0].name]
        """answers for the whole cloud"""
        self.computes = [self.hosts[node.name] for node in plan.nodes if node.role == "compute"]
        self._wrong: dict[str, tuple[float, float, tuple[int, ...]]] = {}
        """check → when it was first and last found wrong, while its units ran, and their restarts at first"""
        self.virt_types = {node.name: node.virt_type for node in plan.nodes}

    def check(self, name: str) -> Check | None:
        """Find a check by its id."""
        return self._by_id.get(name)

    def assertion(self, check: Check) -> Assertion:
        """Give the function for a check: that of its kind, or the one that refuses it."""
        known = KINDS.get(check.kind)
        return KINDS[UNKNOWN] if known is None or known.problem(check) else known

    def require(self, check: Check) -> None:
        """Refuse a check.

        Raises:
            Unknown: always, and why: its kind or its arguments are not known.
        """
        known = KINDS.get(check.kind)
        nobody = f"no function of the suite asserts checks of kind {check.kind}"
        raise Unknown((known and known.problem(check)) or nobody)

    def arguments(self, check: Check) -> dict[str, Any]:
        """Give what the check's function takes."""
        known = self.assertion(check)
        given = {"check": check, "suite": self, "host": self.hosts[check.node], "controller": self.controller}
        arguments = {name: check.args.get(argument) for name, argument in known.arguments.items()}
        return {name: given[name] for name in known.given} | arguments

    def judge(self, check: Check) -> None:
        """Call the function that asserts a check; raises whatever that raises."""
        self.assertion(check).function(**self.arguments(check))

    def still_to_come(self, check: Check) -> bool:
        """Judge a check; tell whether it is wrong, and its services may still make it true."""
        try:
            self.judge(check)
        except (Pending, Unreachable, Unknown):
            return False
        except ServerError:
            return self._may_come(check, HEALS_WITHIN_S)
        except Exception:
            return self._may_come(check)
        return False

    def _may_come(self, check: Check, within_s: float = math.inf) -> bool:
        """Tell whether the services of a check that is wrong run, and had less time than it takes them."""
        if (comes := check.comes) is None:
            return False
        host, now = self.hosts[check.node], time.monotonic()
        with contextlib.suppress(CannotTell):
            units = running(host, comes.by)
            if units is None:
                return False
            first, _, restarts = self._wrong.get(check.id, (now, now, units.restarts))
            self._wrong[check.id] = (first, now, restarts)
            if any(count - before > MAY_END for count, before in zip(units.restarts, restarts, strict=False)):
                return False
            limit_s = min(comes.within, within_s) * host.backend.scale
            return now - first < limit_s and (units.since_s < limit_s or not comes.at_start)
        return False

    def waited(self, check: Check) -> str:
        """Say for how long a check was asked again, to be added to what was found; empty where it was not."""
        first, last, _ = self._wrong.get(check.id, (0.0, 0.0, ()))
        return f" (asked again for {last - first:.0f} s)" if last > first else ""

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
    where = f"{check.node}, step {check.step}"
    lines = {"expected": expected, "found": found, "where": where, "guide": check.guide, "command": check.command}
    return "\n".join(
        f"{name + ':':<10}{text.strip()}".replace("\n", "\n" + " " * 10) for name, text in lines.items() if text
    )


def summary(expected: str, found: str) -> str:
    """Tell of a failure in one line."""
    return " ".join(f"expected {expected}, found {found}".split())


def load(
    plan_file: Path, steps: Iterable[str], *, quick: bool, ids_file: Path | None, sockets: Path | None = None
) -> Suite:
    """Open a build directory by its plan; `sockets` as of ssh_wire.

    Raises:
        UsageError: a step is not one of the plan's.
        OSError, pydantic.ValidationError: there is no such plan, or it is not one.
    """
    plan = Plan.model_validate_json(plan_file.read_bytes())
    ids = frozenset(ids_file.read_text().split()) if ids_file else None
    checks = select(plan, tuple(steps), quick=quick, ids=ids)

    def connect(node: str, arrived: queue.SimpleQueue[Arrived], scale: float) -> Wire:
        return ssh_wire(node, plan_file.parent / "ssh_config", plan.secrets, LIMIT_S * scale, arrived, sockets)

    return Suite(plan, plan_file.parent, connect, checks)
