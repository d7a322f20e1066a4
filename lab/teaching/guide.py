"""The guide's chapter on the Compute service as data, statement by statement: lab/teaching/guide.yaml."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from lab.base import resources
from lab.base.models import Frozen
from lab.inputs.components import Component, find
from lab.inputs.document import read_document
from lab.inputs.release import load_release, release_names
from lab.inputs.validate import validate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.inputs.release import Release

_OPTION = re.compile(r"\[(?P<section>\w+)\] (?P<name>\w+) = (?P<value>.*)")


class Change(Frozen):
    """What became of a statement."""

    state: Literal["changed", "obsolete"]
    since: str = ""
    """the first of our releases of which it is true; empty: of all"""
    capability: str = ""
    """only in labs that have it"""
    component: str = ""
    """of the guide, which says the version, what is instead, and why"""
    version: str = ""
    """that removed or renamed it, as nova 21.0.0 (Ussuri)"""
    instead: str = ""
    why: str = ""
    proof: tuple[str, ...] = ()
    """of what is instead; empty where a changed statement's own proof still holds"""

    @model_validator(mode="after")
    def _is_explained(self) -> Change:
        if bool(self.component) == bool(self.version and self.instead and self.why):
            raise ValueError("needs version, instead and why, or a component that has them")
        if self.component and component(self.component).removed == "":
            raise ValueError(f"the component {self.component} was not removed")
        if self.since and self.since not in release_names():
            raise ValueError(f"there is no release {self.since}")
        return self

    def is_for(self, release: Release, capabilities: Mapping[str, bool]) -> bool:
        """Tell whether it is true of a lab."""
        if self.capability and not capabilities[self.capability]:
            return False
        return not self.since or load_release(self.since).version <= release.version

    @property
    def removed_by(self) -> str:
        """The version that removed or renamed it."""
        return self.version or component(self.component).removed

    @property
    def replacement(self) -> str:
        """What does its work now."""
        return self.instead or component(self.component).instead

    @property
    def reason(self) -> str:
        """Why it was removed or renamed."""
        return self.why or component(self.component).why


class Statement(Frozen):
    """One command, option, row of output or component that the guide names."""

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    command: str = ""
    sql: str = ""
    option: str = ""
    """[section] name = value"""
    output: str = ""
    component: str = ""
    proof: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_one(self) -> Statement:
        if sum(map(bool, (self.command, self.sql, self.option, self.output, self.component))) != 1:
            raise ValueError("needs just one of command, sql, option, output and component")
        if self.option and not _OPTION.fullmatch(self.option):
            raise ValueError("an option is written [section] name = value")
        if not self.option and not self.proof:
            raise ValueError("needs a proof")
        return self

    @property
    def kind(self) -> str:
        """Which of the five it is."""
        return next(kind for kind in ("command", "sql", "option", "output", "component") if getattr(self, kind))

    @property
    def text(self) -> str:
        """The statement itself."""
        return self.command or self.sql or self.option or self.output or self.component

    @property
    def parts(self) -> tuple[str, str, str]:
        """Section, name and value of an option."""
        match = _OPTION.fullmatch(self.option)
        assert match is not None
        return match["section"], match["name"], match["value"]


class Section(Frozen):
    """A section of the chapter, and the step that carries it out."""

    title: str
    step: tuple[str, ...] = Field(min_length=1)
    """ids of steps, of which the first that a lab has does it"""
    file: str = ""
    """that its options are in"""
    statements: tuple[Statement, ...]


class Beyond(Frozen):
    """Checks that prove no statement of the chapter, and why they are there."""

    checks: tuple[str, ...]
    """STEP-KIND-NAME, with wildcards"""
    why: str


class Guide(Frozen):
    """The chapter."""

    changes: dict[str, Change]
    sections: tuple[Section, ...]
    beyond: tuple[Beyond, ...]

    @model_validator(mode="after")
    def _is_sound(self) -> Guide:
        statements = [statement for section in self.sections for statement in section.statements]
        ids = [statement.id for statement in statements]
        if twice := {name for name in ids if ids.count(name) > 1}:
            raise ValueError(f"ids used twice: {', '.join(sorted(twice))}")
        used = {name for statement in statements for name in statement.changes}
        if used != set(self.changes):
            raise ValueError(f"changes without a definition or a use: {', '.join(sorted(used ^ set(self.changes)))}")
        for statement in statements:
            for name in statement.changes:
                if self.changes[name].state == "changed" and not (self.changes[name].proof or statement.proof):
                    raise ValueError(f"{statement.id} is changed by {name}, and nothing proves it")
        return self


def component(name: str) -> Component:
    """Find a component that the data name."""
    found = find(name)
    if found is None:
        raise ValueError(f"unknown component {name}")
    return found


@lru_cache(maxsize=1)
def load_guide() -> Guide:
    """Load the chapter.

    Raises:
        SpecError: the file is wrong.
    """
    document = read_document(resources.GUIDE, missing="", top="the guide's statements")
    guide, _ = validate(Guide, document)
    document.raise_problems()
    assert guide is not None
    return guide
