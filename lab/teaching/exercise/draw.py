"""What a seed draws of an exercise: the same seed always draws the same."""

from __future__ import annotations

import fnmatch
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.base.errors import UsageError
from lab.teaching.exercise.model import COMPUTES, RANGE, Choice, filled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.planning.plan import Plan
    from lab.teaching.exercise.catalog import Loaded

CONTROLLER = "controller"


@dataclass(frozen=True)
class Variant:
    """An exercise with what was drawn."""

    exercise: Loaded
    seed: str
    values: dict[str, str]
    """NAME -> what was drawn; NODE among them"""

    @property
    def number(self) -> int:
        """The exercise's."""
        return self.exercise.number

    @property
    def node(self) -> str:
        """The node that it breaks."""
        return self.values["NODE"]

    def text(self, template: str) -> str:
        """Put what was drawn into a text of the exercise."""
        return filled(template, self.values)

    def restarts(self) -> tuple[str, ...]:
        """Name the services that are restarted before a repair is judged."""
        return tuple(word for each in self.exercise.facts.restarts for word in self.text(each).split())

    def shows(self, plan: Plan) -> frozenset[str]:
        """Name the lab's checks that turn red."""
        wanted = patterns(self)
        ids = [check.id for check in plan.checks]
        return frozenset(name for name in ids if any(fnmatch.fnmatchcase(name, each) for each in wanted))


def draw(exercise: Loaded, seed: str, plan: Plan) -> Variant:
    """Draw the particulars of an exercise for a lab."""
    facts = exercise.facts
    names = [node.name for node in plan.nodes]
    computes = [node.name for node in plan.nodes if node.role == "compute"]
    among = {"controller": [CONTROLLER], "compute": computes, "any": names}[facts.on]
    values = {"NODE": str(_pick(exercise, seed, "NODE", among))}
    for key, choices in facts.draw.items():
        options = computes if choices == COMPUTES else _numbers(choices) if isinstance(choices, str) else choices
        chosen = _pick(exercise, seed, key, options)
        values |= {k: str(v) for k, v in chosen.items()} if isinstance(chosen, dict) else {key: str(chosen)}
    return Variant(exercise, seed, {key: filled(value, values) for key, value in values.items()})


def require_possible(variant: Variant, plan: Plan) -> None:
    """Refuse an exercise about something that this lab does not have.

    Raises:
        UsageError: with what to do.
    """
    ids = [check.id for check in plan.checks]
    if all(fnmatch.filter(ids, pattern) for pattern in patterns(variant)):
        return
    raise UsageError(
        f"lab {plan.name} does not have what exercise {variant.number} is about",
        hint="another exercise, or another seed (`--seed`)",
    )


def _pick(exercise: Loaded, seed: str, key: str, options: Sequence[Choice]) -> Choice:
    digest = hashlib.sha256(f"{seed}\0{exercise.number}\0{key}".encode()).digest()
    return options[int.from_bytes(digest[:8], "big") % len(options)]


def _numbers(text: str) -> Sequence[int]:
    match = RANGE.fullmatch(text)
    assert match is not None
    return range(int(match[1]), int(match[2]) + 1)


def patterns(variant: Variant) -> list[str]:
    """Give the patterns of the checks that turn red, written as the ids of checks are."""
    texts = [variant.text(pattern) for pattern in variant.exercise.facts.shows]
    return [re.sub(r"-{2,}", "-", text.lower().replace("/", "-")) for text in texts]
