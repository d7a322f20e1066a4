"""One run of the suite: the plan, the selected checks, what is known of the nodes, and how a failure reads."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.planning.plan import Check, Plan
from lab.planning.secrets import read_env
from lab.verification.facts import LabFacts
from lab.verification.outcome import CannotTell, Mismatch, Unreachable
from lab.verification.registry import KINDS
from lab.verification.remote import Connections, Host
from lab.verification.selection import select
from lab.verification.values import Values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lab.verification.collectors import Need


class Suite:
    """What the test functions and the hooks of tests/infra share."""

    def __init__(self, plan: Plan, build_dir: Path, connect: Callable[[str], Host], checks: Sequence[Check]) -> None:
        self.plan = plan
        self.checks = tuple(checks)
        envs = {node.name: read_env(build_dir / "nodes" / node.name / "env") for node in plan.nodes}
        self.values = {name: Values(env, plan.secrets) for name, env in envs.items()}
        self.facts = LabFacts(plan, connect, lambda name: self.values[name])

    def needs(self, check: Check) -> list[Need]:
        """What a check reads; nothing when its kind or its arguments are not known, for it will not run then."""
        assertion = KINDS.get(check.kind)
        if assertion is None or assertion.problem(check):
            return []
        return [dataclasses.replace(need, node=need.node or check.node) for need in assertion.needs(check)]

    def prefetch(self, checks: Sequence[Check]) -> None:
        """Begin to ask the nodes for what these checks need."""
        needs: list[Need] = []
        for check in checks:
            with contextlib.suppress(Exception):  # of bad arguments; `require` tells it as this check's own error
                needs += self.needs(check)
        self.facts.prefetch(needs, at_once=all(check.quick for check in checks))

    def require(self, check: Check) -> None:
        """See that a check can be judged.

        Raises:
            ValueError: its kind or its arguments are not known.
            Unreachable: a node that it reads is away.
        """
        assertion = KINDS.get(check.kind)
        if assertion is None:
            raise ValueError(f"no function of the suite asserts checks of kind {check.kind}")
        if problem := assertion.problem(check):
            raise ValueError(problem)
        for name in {need.node for need in self.needs(check)}:
            self.facts.node(name).reach()

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
    plan_file: Path, steps: Sequence[str], *, quick: bool, ids_file: Path | None, sockets: Path | None = None
) -> tuple[Suite, Connections]:
    """Open a build directory by its plan; `sockets` as of Connections.

    Raises:
        UsageError: a step is not one of the plan's.
        OSError, pydantic.ValidationError: there is no such plan, or it is not one.
    """
    plan = Plan.model_validate_json(plan_file.read_bytes())
    ids = ids_file.read_text().split() if ids_file else None
    checks = select(plan, steps, quick=quick, ids=None if ids is None else frozenset(ids))
    connections = Connections(plan_file.parent / "ssh_config", sockets)
    return Suite(plan, plan_file.parent, connections.host, checks), connections


def progress_line(check: Check, outcome: str, message: str, seconds: float) -> str:
    """Write a result as one line of JSON, for lab.verification.run."""
    line: dict[str, Any] = {"id": check.id, "outcome": outcome, "message": message, "seconds": round(seconds, 2)}
    return json.dumps(line) + "\n"
