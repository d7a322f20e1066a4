"""Each exercise on a real lab: it shows, it is named, it is graded as it should be, and nothing of it stays."""

from __future__ import annotations

import io
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console

from lab.base.errors import LabError
from lab.teaching.exercise import catalog, script, stories
from lab.teaching.exercise.grade import grade
from lab.teaching.exercise.lint import SHORTEST, TOLD
from lab.teaching.exercise.verdict import colour
from lab.terminal.report import print_report
from lab.verification.run import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.teaching.exercise.desk import Desk
    from lab.teaching.exercise.draw import Variant

PLACES = "/etc /root /srv /usr/local /var/backups /var/lib/misc /var/local /var/opt /var/spool"
FRESH = "find {places} -xdev -newermt @{since:.0f} 2>/dev/null || true\n"


@dataclass
class Row:
    """What was seen of one exercise; every answer must be true. None: not asked in this order."""

    number: int
    seed: str
    values: dict[str, str] = field(default_factory=dict)
    symptom_shown: bool = False
    step_named: bool = False
    red_steps: tuple[str, ...] = ()
    nothing_leaked: bool = False
    leaked: list[str] = field(default_factory=list)
    graded_broken: bool = False
    solved: bool = False
    alternative: bool | None = None
    wrong_refused: bool | None = None
    reset: bool = False
    left: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    error: str = ""

    @property
    def good(self) -> bool:
        """Whether all is as it should be."""
        asked = (
            *(self.symptom_shown, self.step_named, self.nothing_leaked, self.graded_broken, self.solved, self.reset),
            *(self.alternative, self.wrong_refused),
        )
        return not self.error and all(answer is not False for answer in asked)

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return {**asdict(self), "good": self.good}


@dataclass
class Matrix:
    """The exercises of one run."""

    desk: Desk
    say: Callable[[str], None] = print

    def prove(self, number: int, seed: str, *, complete: bool) -> Row:
        """Go through one exercise: with all three repairs, or with the teacher's answer alone."""
        row = Row(number, seed)
        try:
            self._start(row)
            self._look(row)
            if complete:
                row.wrong_refused = self._graded(row, catalog.WRONGLY) == "not yet"
                self._again(row)
                row.alternative = self._graded(row, catalog.OTHERWISE) == "passed"
                self._again(row)
            row.solved = self._graded(row, catalog.SOLVE) == "passed"
            self._reset(row)
        except LabError as error:
            row.error = f"{error}" + (f" ({error.__cause__})" if error.__cause__ else "")
            self._rescue(row)
        self.say(f"exercise {number}: {'good' if row.good else 'NOT GOOD'}: {row.as_dict()}")
        return row

    def _variant(self, row: Row) -> Variant:
        return self.desk.variant(self.desk.running().tasks[0])

    def _start(self, row: Row) -> None:
        began = time.monotonic()
        stories.start(self.desk, [row.number], student="proof", seed=row.seed)
        row.seconds["start"] = row.seconds.get("start", 0.0) + round(time.monotonic() - began, 1)

    def _again(self, row: Row) -> None:
        self._reset(row)
        self._start(row)

    def _look(self, row: Row) -> None:
        """See that the suite finds it, and that a student is told nothing of it."""
        variant = self._variant(row)
        row.values = dict(variant.values)
        began = time.monotonic()
        found = self.desk.bench.verify()
        row.seconds["verify"] = round(time.monotonic() - began, 1)
        own = variant.shows(self.desk.plan)
        row.symptom_shown = colour(found, own) == "red"
        row.red_steps = tuple(dict.fromkeys(check.step for check in found.checks if check.outcome == "failed"))
        named = {check.step for check in found.checks if check.id in own and check.outcome == "failed"}
        row.step_named = bool(named) and named <= {check.step for check in self.desk.plan.checks if check.id in own}
        row.leaked = [*self._told(variant), *self._traces(variant)]
        row.nothing_leaked = not row.leaked
        row.graded_broken = grade(self.desk).verdict.kind == "not yet"

    def _told(self, variant: Variant) -> list[str]:
        """Read what `lab verify` shows to a student, and find parts of the answer in it."""
        text = io.StringIO()
        report = verify(self.desk.plan, self.desk.build_dir)
        print_report(Console(file=text, width=200), self.desk.plan, report)
        shown = text.getvalue() + str(report.as_dict())
        drawn = {name: value for name, value in variant.values.items() if name not in TOLD | {"NODE"}}
        words = {value for value in drawn.values() if len(value) >= SHORTEST}
        steps = {step.id for step in self.desk.plan.steps}
        for step in steps:
            shown = shown.replace(step, "")
        found = [word for word in sorted(words) if word in shown]
        return [*found, *(check.id for check in self.desk.plan.checks if check.id in shown)]

    def _traces(self, variant: Variant) -> list[str]:
        """Find files on the node that are newer than the exercise, and a history that has its commands."""
        since = self.desk.running().started - 600
        fresh = self.desk.bench.run(variant.node, FRESH.format(places=PLACES, since=since)).splitlines()
        typed = self.desk.bench.run(variant.node, "grep -ls break_it /root/.*history /home/*/.*history || true\n")
        return [*fresh, *typed.splitlines()]

    def _graded(self, row: Row, function: str) -> str:
        """Repair it in one way, and have it graded."""
        variant = self._variant(row)
        self.desk.bench.run(variant.node, script.message(variant, function))
        self.desk.bench.settle()
        began = time.monotonic()
        graded = grade(self.desk)
        row.seconds[f"grade {function}"] = round(time.monotonic() - began, 1)
        self.say(f"exercise {row.number}, {function}: {graded.verdict}")
        return graded.verdict.kind

    def _reset(self, row: Row) -> None:
        row.left = stories.reset(self.desk)
        row.reset = not row.left

    def _rescue(self, row: Row) -> None:
        """Bring the lab back for the next exercise."""
        if self.desk.file.path.exists():
            try:
                stories.reset(self.desk)
            except LabError as error:
                row.error += f"; and the lab does not come back: {error}"
