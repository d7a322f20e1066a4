"""The course for one lab, chapter by chapter, as a value: pages.py writes it. Pure but for the scripts that it reads.

The student's edition is built without the passwords that are not the student's: it cannot show them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from lab.base import resources
from lab.generator.render import hosts_file, step_environment
from lab.inputs.blocks import complete_script
from lab.inputs.components import in_order, load_components
from lab.inputs.release import load_release
from lab.planning.plan import management_address
from lab.teaching.coverage import cover
from lab.teaching.drawing import svg
from lab.teaching.looks import filled, look
from lab.teaching.parts import Part, under_headings, with_commands
from lab.teaching.script import functions, read_script
from lab.teaching.topology import topology
from lab.teaching.translate import Translator, merged, without_mark

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lab.inputs.steps import Role
    from lab.planning.plan import Check, Node, Plan, Step
    from lab.teaching.script import Script
    from lab.teaching.translate import Block

STUDENTS_OWN = frozenset({"ADMIN_PASS"})
"""the one password that a student needs, to use the cloud; it opens no database and no service's account"""
_BY_NAME = {"package": "dpkg-query --list", "unit": "systemctl is-active", "unit-off": "systemctl is-active"}
"""kinds that are shown in one row, and the command that takes all names"""
_RIGHT = {
    "package": "`ii` before each",
    "unit": "`active` for each",
    "unit-off": "`inactive` for each, or no such unit",
}


class Edition(StrEnum):
    """For whom a handout is."""

    STUDENT = "student"
    TEACHER = "teacher"


@dataclass(frozen=True)
class Look:
    """Something to check at the end, and how it looks when it is right."""

    where: str
    command: str
    right: str


@dataclass(frozen=True)
class Difference:
    """What the guide says that is otherwise here."""

    guide: tuple[str, ...]
    here: str
    since: str
    why: str


@dataclass(frozen=True)
class Chapter:
    """A step of the lab."""

    id: str
    title: str
    section: str
    """of the guide"""
    url: str
    where: str
    needs: tuple[str, ...]
    goal: str
    notes: tuple[str, ...]
    """differences that concern the chapter as such"""
    parts: tuple[Part, ...]
    by_hand: tuple[str, ...]
    """commands whose work the script does in a way of its own"""
    looks: tuple[Look, ...]
    options: int
    """how many options the suite compares beside these"""
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Handout:
    """A course."""

    edition: Edition
    lab: str
    release: str
    system: str
    guide: str
    digest: str
    nodes: tuple[tuple[str, str, str], ...]
    """name, size, management address"""
    passwords: dict[str, str]
    """that are shown, by name"""
    hidden: tuple[str, ...]
    """names of those that are not"""
    drawing: str
    """as SVG"""
    chapters: tuple[Chapter, ...]


def handout(plan: Plan, secrets: Mapping[str, str], edition: Edition) -> Handout:
    """Write the course.

    Args:
        secrets: the lab's passwords by name; none where the lab has none yet.
    """
    used = [name for name in plan.secrets if any(name in node.secrets for node in plan.nodes)]
    shown = {n: secrets[n] for n in used if n in secrets and (edition is Edition.TEACHER or n in STUDENTS_OWN)}
    release = load_release(plan.release)
    found = topology(plan)
    return Handout(
        edition=edition,
        lab=plan.name,
        release=release.title,
        system=f"{plan.distribution} {plan.suite}",
        guide=release.guide,
        digest=plan.digest,
        nodes=tuple(
            (node.name, next(m.size for m in found.machines if node.name in m.names), management_address(node))
            for node in plan.nodes
        ),
        passwords=shown,
        hidden=tuple(name for name in used if name not in shown),
        drawing=svg(found),
        chapters=tuple(_Author(plan, shown).chapters()),
    )


class _Author:
    def __init__(self, plan: Plan, shown: Mapping[str, str]) -> None:
        self._plan = plan
        self._names = {name: shown.get(name, name) for name in plan.secrets}
        self._hosts = hosts_file(plan)
        self._coverage = cover(plan)
        self._helpers = functions(resources.text(resources.PROVISION / "lib/emulated.sh"))

    def chapters(self) -> Iterator[Chapter]:
        for step in self._plan.steps:
            script = read_script(complete_script(resources.PROVISION / self._plan.edition / f"{step.id}.sh"))
            checks = [check for check in self._plan.checks if check.step == step.id]
            made_by = [filled(check.command, self._known(self._plan.node(check.node))) for check in checks]
            parts, by_hand = with_commands(self._parts(step, script), made_by)
            yield Chapter(
                id=step.id,
                title=step.title,
                section=step.guide,
                url=step.url,
                where=self._where(step.nodes),
                needs=(*step.needs, *step.awaits),
                goal=script.goal,
                notes=tuple(without_mark(note) for note in script.notes if note.startswith("Deviation: ")),
                parts=parts,
                by_hand=by_hand,
                looks=tuple(self._looks(checks)),
                options=sum(check.kind == "option" for check in checks),
                differences=(*self._differences(step), *self._components(step)),
            )

    def _parts(self, step: Step, script: Script) -> Iterator[Part]:
        """Write the script for each kind of node; what is the same for both, once."""
        told = {role: tuple(under_headings(self._blocks(step, script, role))) for role in self._roles(step)}
        first, *others = told.values()
        for number, part in enumerate(first):
            same = all(number < len(other) and other[number] == part for other in others)
            if same:
                yield part
                continue
            for role, parts in told.items():
                where = self._where([node.name for node in self._plan.nodes if node.role == role])
                yield from (replace(p, where=where) for p in parts[number : number + 1])

    def _roles(self, step: Step) -> list[Role]:
        return list(dict.fromkeys(node.role for node in self._plan.nodes if node.name in step.nodes))

    def _first(self, step: Step, role: Role) -> Node:
        return next(node for node in self._plan.nodes if node.role == role and node.name in step.nodes)

    def _blocks(self, step: Step, script: Script, role: Role) -> tuple[Block, ...]:
        node = self._first(step, role)
        values = {**node.env, **step_environment(step), **self._names}
        return tuple(merged(Translator(values, self._hosts, self._helpers).blocks(script.statements)))

    def _where(self, names: Iterable[str]) -> str:
        names = list(names)
        computes = [node.name for node in self._plan.nodes if node.role == "compute"]
        if len(computes) < 2 or not set(computes) <= set(names):
            return ", ".join(names)
        every = f"each compute node (the values are those of {computes[0]})"
        return every if set(names) == set(computes) else f"controller, {every}"

    def _looks(self, checks: list[Check]) -> Iterator[Look]:
        seen: set[Look] = set()
        for role in ("controller", "compute"):
            first = next(node for node in self._plan.nodes if node.role == role)
            mine = [check for check in checks if check.node == first.name]
            where = self._where([node.name for node in self._plan.nodes if node.role == role])
            for kind, command in _BY_NAME.items():
                if names := [str(check.args["name"]) for check in mine if check.kind == kind]:
                    seen.add(one := Look(where, f"{command} {' '.join(names)}", _RIGHT[kind]))
                    yield one
            for check in mine:
                if check.kind in _BY_NAME or check.kind == "option":
                    continue
                args = filled(check.args, self._known(first))
                shown = Look(where, *look(check.model_copy(update={"args": args})))
                if shown not in seen:
                    seen.add(shown)
                    yield shown

    def _known(self, node: Node) -> dict[str, str]:
        """Give the node's values, and passwords or their names, for the texts of a check."""
        return {**node.env, **self._names}

    def _differences(self, step: Step) -> Iterator[Difference]:
        """Tell what later releases changed of the statements that this step carries out."""
        grouped: dict[tuple[str, str, str], list[str]] = {}
        for statement in self._coverage.statements:
            if statement.step == step.id and statement.state in ("changed", "obsolete"):
                key = (statement.instead, statement.since, statement.why)
                grouped.setdefault(key, []).append(statement.text)
        for (instead, since, why), texts in grouped.items():
            yield Difference(tuple(dict.fromkeys(texts)), instead, since, why)

    def _components(self, step: Step) -> Iterator[Difference]:
        """Tell what became of components that the guide names in this chapter."""
        first, now = in_order()[0], load_release(self._plan.release)
        for component in load_components():
            before, here = component.in_release(first), component.in_release(now)
            if component.step == step.id and component.removed and before != here:
                told = f"{component.name}: {before}"
                yield Difference((told,), component.instead, component.removed, component.why)
