"""Which checks of a plan run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.planning.step_names import step_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lab.planning.plan import Check, Plan


def select(
    plan: Plan, steps: Sequence[str] = (), *, quick: bool = False, ids: Collection[str] | None = None
) -> tuple[Check, ...]:
    """Give the checks of these steps (all when none is named), in the plan's order.

    Raises:
        UsageError: a step is not one of the plan's.
    """
    wanted = {step_of(plan, step) for step in steps}
    return tuple(
        check
        for check in plan.checks
        if (not wanted or check.step in wanted) and (check.quick or not quick) and (ids is None or check.id in ids)
    )
