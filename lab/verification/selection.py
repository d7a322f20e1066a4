"""Which checks of a plan run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.base.errors import UsageError
from lab.base.words import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lab.planning.plan import Check, Plan


def require_steps(plan: Plan, steps: Sequence[str]) -> None:
    """Refuse a step that the plan does not have.

    Raises:
        UsageError: with the nearest name.
    """
    known = [step.id for step in plan.steps]
    for step in steps:
        if step not in known:
            slugs = {name.split("-", 1)[-1]: name for name in known}
            near = did_you_mean(slugs.get(step, step), known) or did_you_mean(step, slugs)
            hint = f"{near} steps: {', '.join(known)}".strip()
            raise UsageError(f"no step {step} in lab {plan.name}", hint=hint)


def select(
    plan: Plan, steps: Sequence[str] = (), *, quick: bool = False, ids: Collection[str] | None = None
) -> tuple[Check, ...]:
    """Give the checks of these steps (all when none is named), in the plan's order.

    Raises:
        UsageError: a step is not one of the plan's.
    """
    require_steps(plan, steps)
    return tuple(
        check
        for check in plan.checks
        if (not steps or check.step in steps) and (check.quick or not quick) and (ids is None or check.id in ids)
    )
