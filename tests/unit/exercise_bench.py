"""A lab for exercises that is a few words in memory: which exercises are done to it, and how they were repaired."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recorded_progress import RecordedProgress
from teaching_labs import plan_of

from lab.base.errors import LockedError, MachineError
from lab.teaching.exercise.desk import Desk
from lab.verification.report import CheckResult, Report

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from lab.teaching.exercise.bench import Bench
    from lab.verification.report import Outcome

PLAN = plan_of("zed")


@dataclass
class WordsBench:
    """Does to itself what it is asked to do."""

    red: set[str] = field(default_factory=set)
    """ids of checks that fail"""
    unknown: set[str] = field(default_factory=set)
    """that nobody can judge"""
    red_after_restart: set[str] = field(default_factory=set)
    away: list[str] = field(default_factory=list)
    is_locked: bool = False
    fails: str = ""
    """what `run` says when it fails"""
    acts: list[str] = field(default_factory=list)
    sent: list[tuple[str, str]] = field(default_factory=list)
    topics: dict[str, str] = field(default_factory=lambda: {"/etc/nova": "1"})
    checkpoints: dict[str, dict[str, str]] = field(default_factory=dict)

    @contextlib.contextmanager
    def locked(self, verb: str) -> Iterator[None]:
        if self.is_locked:
            raise LockedError("process 7 works on this lab")
        yield

    def unreachable(self) -> list[str]:
        return self.away

    def run(self, node: str, script: str) -> str:
        self.sent.append((node, script))
        self.acts.append(f"run on {node}: {script.strip().splitlines()[-1]}")
        if self.fails:
            raise MachineError("on controller: sudo -n bash -s failed", detail=self.fails)
        self.topics["/etc/nova"] = "changed"
        return ""

    def verify(self, ids: Collection[str] | None = None, *, quick: bool = False) -> Report:
        self.acts.append("verify quick" if quick else "verify all" if ids is None else f"verify {len(ids)}")
        return Report(
            tuple(
                CheckResult(check.id, check.step, check.node, self._outcome(check.id), "expected secret", "", 0.1)
                for check in PLAN.checks
                if (ids is None or check.id in ids) and (check.quick or not quick)
            )
        )

    def _outcome(self, name: str) -> Outcome:
        return "failed" if name in self.red else "error" if name in self.unknown else "passed"

    def restart(self, node: str, units: Sequence[str]) -> None:
        self.acts.append(f"restart {' '.join(units)} on {node}")
        self.red |= self.red_after_restart

    def settle(self, limit_s: float | None = None, *, restarted: Collection[tuple[str, str]] | None = None) -> None:
        units = sorted(unit for _, unit in restarted or ())
        self.acts.append(" ".join(["settle", *units]))

    def reboot(self) -> None:
        self.acts.append("reboot")
        self.red |= self.red_after_restart

    def state(self) -> dict[str, dict[str, str]]:
        return {"controller": dict(self.topics)}

    def save(self, name: str) -> None:
        self.acts.append(f"save {name}")
        self.checkpoints[name] = dict(self.topics)

    def restore(self, name: str) -> Report | None:
        self.acts.append(f"restore {name}")
        self.topics = dict(self.checkpoints[name])
        return None

    def forget(self, name: str) -> None:
        self.checkpoints.pop(name, None)


class Clock:
    """Time that only passes when a test says so."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def a_desk(build_dir: Path, bench: Bench, clock: Clock | None = None) -> Desk:
    return Desk(PLAN, build_dir, bench, RecordedProgress(), now=clock or Clock())
