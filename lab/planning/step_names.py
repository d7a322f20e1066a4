"""Which step of a plan a person means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.base.errors import UsageError
from lab.base.words import did_you_mean

if TYPE_CHECKING:
    from lab.planning.plan import Plan


def step_of(plan: Plan, word: str) -> str:
    """Find a step by its id, as 50-compute-controller, or by a part of it: the number, or the name behind it.

    Raises:
        UsageError: the plan has no such step, with the nearest name; or several have this number.
    """
    ids = [step.id for step in plan.steps]
    if word in ids:
        return word
    found = [name for name in ids if word in name.split("-", 1)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"several steps are called {word}", hint=f"name one: {', '.join(found)}")
    near = did_you_mean(word, ids) or did_you_mean(word, (name.partition("-")[2] for name in ids))
    raise UsageError(f"no step {word} in lab {plan.name}", hint=f"{near} steps: {', '.join(ids)}".strip())
