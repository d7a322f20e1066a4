"""The guide's statements against a lab: the step that carries each out, the checks that prove it. Pure.

Of a check only its id, its step and, for an option, its value are looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from lab.inputs.release import load_release
from lab.teaching.guide import component, load_guide

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.planning.plan import Check, Node, Plan
    from lab.teaching.guide import Change, Guide, Section, Statement

State = Literal["covered", "changed", "obsolete", "optional", "missing"]
STATES: tuple[State, ...] = ("covered", "changed", "obsolete", "optional", "missing")
_NAME = re.compile(r"\b[A-Z][A-Z_]+\b")


@dataclass(frozen=True)
class Covered:
    """A statement, and what this lab makes of it."""

    id: str
    section: str
    kind: str
    text: str
    state: State
    step: str
    checks: tuple[str, ...]
    """ids of those that prove it"""
    since: str = ""
    """the version that changed or removed it"""
    instead: str = ""
    why: str = ""
    """of a change; or what the component is in this release; or what is missing"""


@dataclass(frozen=True)
class Coverage:
    """The chapter against one lab."""

    lab: str
    release: str
    statements: tuple[Covered, ...]
    beyond: dict[str, str]
    """the reason for each check that proves no statement, by its id; empty where there is none"""

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many statements there are, of each state, and how many checks."""
        states = [statement.state for statement in self.statements]
        proofs = {check for statement in self.statements for check in statement.checks}
        return {
            "statements": len(states),
            **{state: states.count(state) for state in STATES},
            "checks": len(proofs) + len(self.beyond),
            "proofs": len(proofs),
            "beyond": len(self.beyond),
            "unexplained": len(self.unexplained),
        }

    @property
    def unexplained(self) -> tuple[str, ...]:
        """The checks that have neither a statement nor a reason."""
        return tuple(check for check, why in self.beyond.items() if not why)

    @property
    def good(self) -> bool:
        """Nothing is missing."""
        return not self.counts["missing"] and not self.unexplained

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        statements = [{**vars(statement), "checks": list(statement.checks)} for statement in self.statements]
        return {"lab": self.lab, "release": self.release, "counts": self.counts, "statements": statements,
                "beyond": self.beyond}  # fmt: skip


def cover(plan: Plan, guide: Guide | None = None) -> Coverage:
    """Compare the chapter with a plan."""
    guide = guide or load_guide()
    judge = _Judge(plan, guide)
    statements = tuple(judge.statement(section, s) for section in guide.sections for s in section.statements)
    proofs = {check for statement in statements for check in statement.checks}
    beyond = {check.id: _reason(guide, check) for check in plan.checks if check.id not in proofs}
    return Coverage(plan.name, plan.release, statements, beyond)


class _Judge:
    def __init__(self, plan: Plan, guide: Guide) -> None:
        self._plan = plan
        self._changes = guide.changes
        self._release = load_release(plan.release)
        env = plan.nodes[0].env
        self._has = {name.removeprefix("LAB_HAS_"): env[name] == "1" for name in env if name.startswith("LAB_HAS_")}
        self._steps = {step.id for step in plan.steps}

    def statement(self, section: Section, statement: Statement) -> Covered:
        step = next((name for name in section.step if name in self._steps), "")
        change = next((c for c in self._changes_of(statement) if c.is_for(self._release, self._has)), None)
        if statement.component and change is None:
            return self._component(section, statement, step)
        patterns = _patterns(section, statement, change)
        found, lacking = self._find(patterns, step)
        if not step or lacking:
            why = f"no check {', '.join(lacking)}" if step else f"no step {' or '.join(section.step)}"
            return self._covered(section, statement, "missing", step, found, why=why)
        if change:
            return self._covered(section, statement, change.state, step, found, change=change)
        if statement.option and not statement.proof and (other := self._other_value(statement, found)):
            return self._covered(section, statement, "missing", step, found, why=other)
        return self._covered(section, statement, "covered", step, found)

    def _component(self, section: Section, statement: Statement, step: str) -> Covered:
        """Judge a component: the table of components says whether this release has it at all."""
        part = component(statement.component)
        here = part.in_release(self._release)
        found, lacking = self._find(statement.proof, step)
        if here is None:
            return Covered(
                statement.id, section.title, "component", part.name, "obsolete", step, (), part.removed, part.instead,
                part.why,
            )  # fmt: skip
        if not lacking:
            return self._covered(section, statement, "covered", _step_of(self._checks(found)), found, why=here)
        asked = "by chapter" in here or "not installed" in here
        return self._covered(section, statement, "optional" if asked else "missing", "", (), why=here)

    def _changes_of(self, statement: Statement) -> list[Change]:
        return [self._changes[name] for name in statement.changes]

    def _find(self, patterns: Iterable[str], step: str) -> tuple[tuple[str, ...], list[str]]:
        """Find the checks that patterns name, and the patterns that name none."""
        found: dict[str, None] = {}
        lacking = []
        for pattern in patterns:
            full = pattern if pattern[:1].isdigit() or pattern[:1] == "?" else f"{step}-{pattern}"
            matching = [check.id for check in self._plan.checks if fnmatchcase(name_of(check), full)]
            found |= dict.fromkeys(matching)
            if not matching:
                lacking.append(full)
        return tuple(found), lacking

    def _checks(self, ids: Iterable[str]) -> list[Check]:
        wanted = set(ids)
        return [check for check in self._plan.checks if check.id in wanted]

    def _other_value(self, statement: Statement, ids: Iterable[str]) -> str:
        """Say where a check asks for another value than the guide gives."""
        for check in self._checks(ids):
            wanted = self._value(statement.parts[2], self._plan.node(check.node))
            value = str(check.args.get("value"))
            if value != wanted and not (value.lower() in ("true", "false") and value.lower() == wanted.lower()):
                return f"{check.id} asks for {value}"
        return ""

    def _value(self, text: str, node: Node) -> str:
        """Put this node's addresses, and the checks' names for passwords, into a value of the guide's."""

        def known(match: re.Match[str]) -> str:
            name = match[0]
            return node.env.get(name, f"${{{name}}}" if name in self._plan.secrets else name)

        return _NAME.sub(known, text)

    def _covered(
        self,
        section: Section,
        statement: Statement,
        state: State,
        step: str,
        checks: tuple[str, ...],
        *,
        change: Change | None = None,
        why: str = "",
    ) -> Covered:
        since, instead, reason = (change.removed_by, change.replacement, change.reason) if change else ("", "", why)
        text = statement.text
        return Covered(statement.id, section.title, statement.kind, text, state, step, checks, since, instead, reason)


def name_of(check: Check) -> str:
    """Name a check without its node: 50-compute-controller-unit-nova-api."""
    return check.id.removeprefix(f"{check.node}-")


def _step_of(checks: list[Check]) -> str:
    return checks[0].step


def _patterns(section: Section, statement: Statement, change: Change | None) -> tuple[str, ...]:
    if change is None:
        return statement.proof or (_option_check(section, statement),)
    return change.proof or (statement.proof if change.state == "changed" else ())


def _option_check(section: Section, statement: Statement) -> str:
    part, name, _ = statement.parts
    return f"option-{section.file.strip('/').replace('/', '-')}-{part.lower()}-{name}"


def _reason(guide: Guide, check: Check) -> str:
    name = name_of(check)
    return next((b.why for b in guide.beyond for pattern in b.checks if fnmatchcase(name, pattern)), "")
