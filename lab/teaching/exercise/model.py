"""What an exercise states: lab/teaching/exercises/NN-slug.yaml. docs/exercises.md explains the keys."""

from __future__ import annotations

import re
from string import Template
from typing import Literal

from pydantic import Field, model_validator

from lab.base.models import Frozen

RANGE = re.compile(r"(\d+)\.\.(\d+)")
COMPUTES = "computes"
"""in the place of choices: the compute nodes of the lab"""
HINTS = 3
NESTED = 4
"""how deep values may name others"""
NAME = re.compile(r"[A-Z][A-Z0-9_]*")

Value = str | int
Choice = Value | dict[str, Value]
"""one value, or several that belong together, by their names"""


class Hint(Frozen):
    """A hint; its name is shown with its price before it is taken."""

    name: str
    text: str


class Exercise(Frozen):
    """An exercise as its file states it. ${NAME} means what was drawn."""

    title: str
    level: Literal[1, 2, 3]
    minutes: int = Field(ge=5, le=120)
    """the time that a student of the level needs"""
    guide: str
    """the section that it is about"""
    symptom: str
    """what a user reports"""
    on: Literal["controller", "compute", "any"]
    """the kind of node that it is done to; ${NODE} is its name"""
    draw: dict[str, str | tuple[Choice, ...]]
    """name -> choices, or A..B for whole numbers; or `computes`"""
    shows: tuple[str, ...] = Field(min_length=1)
    """ids of the checks that turn red, with wildcards"""
    restarts: tuple[str, ...]
    """services that are restarted before a repair is judged"""
    hints: tuple[Hint, ...] = Field(min_length=HINTS, max_length=HINTS)
    broken: str
    """for the debrief: what was done"""
    showed: str
    found: str

    @model_validator(mode="after")
    def _names_are_drawn(self) -> Exercise:
        known = self.names() | {"NODE"}
        if bad := sorted(name for name in known if not NAME.fullmatch(name)):
            raise ValueError(f"what is drawn has a name in capitals, not {', '.join(bad)}")
        for key, choices in self.draw.items():
            if isinstance(choices, str) and choices != COMPUTES and not RANGE.fullmatch(choices):
                raise ValueError(f"draw.{key}: a list, A..B, or {COMPUTES}")
        if unknown := sorted({name for text in self.texts() for name in names_in(text)} - known):
            raise ValueError(f"${{{unknown[0]}}} is not drawn")
        return self

    def names(self) -> set[str]:
        """Name all that is drawn."""
        found: set[str] = set()
        for key, choices in self.draw.items():
            groups = [] if isinstance(choices, str) else [each for each in choices if isinstance(each, dict)]
            found |= {name for group in groups for name in group} or {key}
        return found

    def texts(self) -> list[str]:
        """Give every text that may name what was drawn."""
        choices = [value for each in self.draw.values() if not isinstance(each, str) for value in each]
        inner = [str(value) for each in choices for value in (each.values() if isinstance(each, dict) else (each,))]
        fixed = [self.symptom, self.broken, self.showed, self.found]
        return [*fixed, *self.shows, *self.restarts, *(hint.text for hint in self.hints), *inner]


def names_in(text: str) -> set[str]:
    """Name what a text asks for by ${NAME}; other dollars are dollars."""
    return set(re.findall(r"\$\{([A-Z][A-Z0-9_]*)\}", text))


def filled(text: str, values: dict[str, str]) -> str:
    """Put what was drawn into a text, also where a drawn value names another one."""
    for _ in range(NESTED):
        if not names_in(text) & set(values):
            break
        text = Template(text).safe_substitute(values)
    return text
