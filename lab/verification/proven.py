"""What the suite said last, kept in state.json: so that `lab up` knows what is proven, and what it has to repair."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from lab.base.errors import DamagedFileError, LockedError
from lab.base.lock import lab_lock
from lab.nodes.state import State, StateFile, digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.planning.plan import Plan
    from lab.planning.project import Lab
    from lab.verification.report import Report


def note(lab: Lab, report: Report) -> None:
    """Keep what a `lab verify` said for the next `lab up`; not where another process works on the lab just now."""
    with contextlib.suppress(LockedError), lab_lock(lab.build_dir, "lab verify"):
        file = StateFile(lab.build_dir / "state.json")
        with contextlib.suppress(DamagedFileError):
            file.save(remember(lab.plan, file.load(), report))


def checks_digest(plan: Plan, step: str) -> str:
    """Digest of a step's checks on all nodes."""
    return digest({check.id: json.dumps(check.args, sort_keys=True) for check in plan.checks if check.step == step})


def is_verified(plan: Plan, state: State, steps: Iterable[str]) -> bool:
    """Tell whether all checks of these steps, as they are today, passed after the last step ran."""
    return all(state.verified.get(step) == checks_digest(plan, step) for step in steps)


def remember(plan: Plan, state: State, report: Report) -> State:
    """Return the state with what all checks of steps said.

    A check that could not be checked says nothing about its step's work, but its step is not verified either.
    """
    steps = {check.step for check in report.checks}
    bad = {check.step for check in report.checks if not check.good}
    failed: dict[str, tuple[str, ...]] = {}
    for check in report.checks:
        if check.outcome == "failed":
            key = f"{check.node}/{check.step}"
            failed[key] = (*failed.get(key, ()), check.id)
    verified = {step: value for step, value in state.verified.items() if step not in steps}
    verified |= {step: checks_digest(plan, step) for step in steps - bad}
    judged = {f"{check.node}/{check.step}" for check in report.checks if check.outcome != "error"}
    drifted = {key: ids for key, ids in state.drifted.items() if key not in judged}
    return state.model_copy(update={"verified": verified, "drifted": {**drifted, **failed}})
