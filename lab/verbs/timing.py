"""`lab timing`: where a `lab up` spent its time, by phases, steps, and the headings of each step."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lab.base import durable
from lab.base.errors import UsageError
from lab.base.models import Frozen
from lab.nodes.state import StateFile
from lab.nodes.step_log import Part, parts_of
from lab.planning.step_names import step_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lab.planning.plan import Plan
    from lab.planning.project import Lab

UP = "logs/up.json"
_ROUNDED_S = 1.0
"""state.json keeps full seconds"""


class UpTimes(Frozen):
    """How long the last `lab up` took that had something to do."""

    began: float
    """seconds since the epoch"""
    seconds: float
    phases: dict[str, float]
    """in their order; what is not in a phase is missing"""


@dataclass(frozen=True)
class StepTime:
    """A step that is done on a node."""

    node: str
    step: str
    seconds: float
    began_s: float | None
    """after the beginning of that `lab up`; None where it ran in another one"""
    parts: tuple[Part, ...]
    """by its headings; none where its log has no times"""
    decisive: bool
    """on the way that decided the end: each of these steps waited for the one before it"""

    @property
    def waited_s(self) -> int:
        """Give what it waited, as for a service that starts."""
        return sum(part.waited_s for part in self.parts)


@dataclass(frozen=True)
class Timing:
    """Where the time went."""

    up: UpTimes | None
    """None of a lab that an earlier version made"""
    steps: tuple[StepTime, ...]
    """in the order in which they began"""

    def largest(self, count: int) -> list[tuple[StepTime, Part]]:
        """Give the parts that took longest."""
        every = [(step, part) for step in self.steps for part in step.parts]
        return sorted(every, key=lambda each: -each[1].seconds)[:count]

    def as_dict(self) -> dict[str, Any]:
        """Give it for JSON, as `lab timing --json` prints it."""
        steps = [{**asdict(step), "waited_s": step.waited_s} for step in self.steps]
        return {"up": None if self.up is None else self.up.model_dump(mode="json"), "steps": steps}


def note(build_dir: Path, times: UpTimes) -> None:
    """Keep how long a `lab up` took."""
    durable.make_directory(build_dir / "logs")
    durable.write_text(build_dir / UP, times.model_dump_json(indent=2) + "\n", mode=0o600)


def timing_of(lab: Lab, step: str | None = None) -> Timing:
    """Tell where the time went, from the state and the logs; with `step`, that of one step alone.

    Raises:
        UsageError: the lab has no such step, or no step is done.
    """
    wanted = None if step is None else step_of(lab.plan, step)
    up = _noted(lab.build_dir)
    records = StateFile(lab.build_dir / "state.json").load().steps
    ends = {key: datetime.fromisoformat(record.finished).timestamp() for key, record in records.items()}
    took = {key: record.seconds for key, record in records.items()}
    known = [f"{node}/{each.id}" for each in lab.plan.steps for node in each.nodes if f"{node}/{each.id}" in records]
    inside = {key for key in known if up is None or _within(up, ends[key])}
    decisive = _decisive(lab.plan, {key: ends[key] for key in inside})
    zero = up.began if up is not None else min((ends[key] - took[key] for key in known), default=0.0)
    steps = []
    for key in known:
        node, _, name = key.partition("/")
        began_s = round(max(0.0, ends[key] - took[key] - zero), 1) if key in inside else None
        steps.append(StepTime(node, name, took[key], began_s, _parts(lab.build_dir, key), key in decisive))
    if not steps:
        raise UsageError("no step is done yet: there are no times", hint="`lab up` runs the steps")
    shown = (each for each in steps if wanted in (None, each.step))
    return Timing(up, tuple(sorted(shown, key=lambda each: (each.began_s is None, each.began_s or 0.0))))


def _within(up: UpTimes, end: float) -> bool:
    return up.began - _ROUNDED_S <= end <= up.began + up.seconds + _ROUNDED_S


def _noted(build_dir: Path) -> UpTimes | None:
    """Read what `note` kept; a file that is not one counts as none: nothing depends on it."""
    with contextlib.suppress(OSError, ValueError):
        return UpTimes.model_validate_json((build_dir / UP).read_bytes())
    return None


def _parts(build_dir: Path, key: str) -> tuple[Part, ...]:
    with contextlib.suppress(FileNotFoundError):
        return parts_of((build_dir / "logs" / f"{key}.log").read_text(errors="replace"))
    return ()


def _decisive(plan: Plan, ends: Mapping[str, float]) -> set[str]:
    """Name the jobs of the way to the last end: back from there, of what each job waited for, what ended last."""
    way: set[str] = set()
    candidates = set(ends)
    while candidates:
        last = max(candidates, key=lambda key: ends[key])
        way.add(last)
        step = plan.step(last.partition("/")[2])
        before = {*step.needs, *step.awaits}
        candidates = {key for key in ends if key.partition("/")[2] in before} - way
    return way
