"""The result of a verification, check by check."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Outcome = Literal["passed", "failed", "error", "skipped"]


@dataclass(frozen=True)
class CheckResult:
    """How one check ended."""

    id: str
    step: str
    node: str
    outcome: Outcome
    message: str
    """one line: what was expected and what was found; empty when it passed"""
    guide: str
    seconds: float
    command: str = ""
    """what should have made it true"""

    @property
    def good(self) -> bool:
        """Whether nothing needs to be repaired."""
        return self.outcome in ("passed", "skipped")


@dataclass(frozen=True)
class Counted:
    """Checks that are counted together."""

    checks: tuple[CheckResult, ...] = ()

    def count(self, outcome: Outcome) -> int:
        """How many ended so."""
        return sum(check.outcome == outcome for check in self.checks)

    @property
    def good(self) -> bool:
        """Whether no check failed or could not be checked."""
        return all(check.good for check in self.checks)

    def red_chapters(self) -> dict[str, int]:
        """Count what is not good, by step."""
        red = [check.step for check in self.checks if not check.good]
        return {step: red.count(step) for step in dict.fromkeys(red)}

    def as_dict(self) -> dict[str, Any]:
        """Give the counts, and each check."""
        rows = [asdict(check) for check in self.checks]
        for row in rows:
            del row["command"]
        names: dict[str, Outcome] = {"passed": "passed", "failed": "failed", "errors": "error", "skipped": "skipped"}
        return {**{name: self.count(outcome) for name, outcome in names.items()}, "checks": rows}


@dataclass(frozen=True)
class Report(Counted):
    """How all checks of the plan ended, in its order, and beside them the user's own."""

    own: Counted = Counted()
    """tests of checks/test_*.py: `id` is FILE::TEST, `step` the file"""
    veiled: bool = False
    """an exercise runs: which checks are red, and why, is not shown"""

    def renewed(self, later: Report) -> Report:
        """Give it with the results of checks that were asked again."""
        new = {check.id: check for check in later.checks}
        return replace(self, checks=tuple(new.get(check.id, check) for check in self.checks))

    def as_dict(self) -> dict[str, Any]:
        """Give the shape of `lab verify --json`; while an exercise runs, the checks of the plan are counted only."""
        own = self.own.as_dict()
        for row in own["checks"]:
            row["file"] = row.pop("step")
            del row["node"], row["guide"]
        told = super().as_dict()
        if self.veiled:
            del told["checks"]
            told["chapters"] = self.red_chapters()
        return {**told, "own": own}
