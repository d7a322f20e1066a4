"""Each exercise on a real lab, stage by stage: it shows, is named, is graded as it should be, and leaves nothing."""

from __future__ import annotations

import io
import time
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from lab.base.errors import LabError
from lab.teaching.exercise import catalog, script, stories
from lab.teaching.exercise.grade import grade
from lab.teaching.exercise.lint import SHORTEST, TOLD
from lab.teaching.exercise.running import CHECKPOINT
from lab.teaching.exercise.verdict import colour
from lab.terminal.report import print_report
from lab.verification.veil import is_veiled

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from exercises.thrift import ThriftyBench
    from lab.teaching.exercise.desk import Desk
    from lab.teaching.exercise.draw import Variant
    from lab.verification.report import Report

GREEN, START, SYMPTOM, NAMED, SILENT, NOT_YET = "green before", "start", "symptom", "step named", "silent", "not yet"
REPAIRS = {catalog.SOLVE: "solve", catalog.OTHERWISE: "alternative", catalog.WRONGLY: "wrong refused"}
RESET = "reset"
STAGES = (GREEN, START, SYMPTOM, NAMED, SILENT, NOT_YET, *REPAIRS.values(), RESET)
WRONG_LIMIT_S = 10.0
"""a lab may never work after a wrong repair; times the wait factor"""
PLACES = "/etc /root /srv /usr/local /var/backups /var/lib/misc /var/local /var/opt /var/spool"
NO_TRACES = ("/etc/resolv.conf", "/root/.novaclient*", "/root/.cache*")
"""what the DHCP client of a node writes each time it asks, and the OpenStack client each time the suite uses it"""
FRESH = (
    "find {places} -xdev -newermt @{since:.0f} "
    + " ".join(f"! -path '{path}'" for path in NO_TRACES)
    + " 2>/dev/null || true\n"
)
SHOWN_RED = 4
"""red checks that are shown of a stage that is not good"""


@dataclass(frozen=True)
class Seen:
    """How a stage ended."""

    good: bool
    seconds: float
    why: str = ""
    """what is wrong"""


@dataclass
class Row:
    """What was seen of one exercise; every stage must be good."""

    number: int
    seed: str
    values: dict[str, str] = field(default_factory=dict)
    red_steps: tuple[str, ...] = ()
    stages: dict[str, Seen] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether all is as it should be."""
        return bool(self.stages) and all(each.good for each in self.stages.values())

    @property
    def seconds(self) -> float:
        """What it took."""
        return round(sum(each.seconds for each in self.stages.values()), 1)

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return {**asdict(self), "good": self.good, "seconds": self.seconds}


@dataclass
class Matrix:
    """The exercises of one run, on a desk whose bench is thrifty.

    After a repair that passed the lab is right, so the next repair of the exercise begins there; otherwise the lab is
    restored first. A stage that is not good does not end the run.
    """

    desk: Desk
    bench: ThriftyBench
    all_checks: bool = False
    """look at the symptom with the complete suite"""
    say: Callable[[str], None] = partial(print, flush=True)
    lab: Literal["right", "broken", "unknown"] = "right"
    began: float = 0.0
    """when the exercise was started, by the desk's clock"""

    def prove(self, number: int, seed: str, *, complete: bool) -> Row:
        """Go through one exercise: with all three repairs and a reset, or only with the teacher's answer."""
        row = Row(number, seed)
        if self.lab != "right":
            self._stage(row, "restore", self.reset)
        if self._stage(row, GREEN, self._green) and self._stage(row, START, partial(self._start, row)):
            self._stage(row, SYMPTOM, partial(self._symptom, row))
            if complete:
                self._stage(row, NAMED, partial(self._named, row))
                self._stage(row, SILENT, self._silent)
            self._stage(row, NOT_YET, self._not_yet)
            for function in REPAIRS if complete else (catalog.SOLVE,):
                self._repaired(row, function)
        if complete and START in row.stages:
            self._stage(row, RESET, self.reset)
        self.say(f"{number:>2}  {'good' if row.good else 'NOT GOOD'}, {row.seconds:.0f} s: {row.values}")
        return row

    def end(self) -> Row:
        """Restore the lab after an order in which nothing was."""
        row = Row(0, "")
        self._stage(row, RESET, self.reset)
        return row

    def reset(self) -> str:
        """Restore the lab; a difference is wrong."""
        self.lab = "unknown"
        left: list[str] = []
        if self.desk.file.path.exists():
            left = stories.reset(self.desk)
        else:
            self.bench.restore(CHECKPOINT)
        self.lab = "right"
        return f"not as before: {', '.join(left)}" if left else ""

    def _stage(self, row: Row, name: str, do: Callable[[], str]) -> bool:
        """Do a stage; it gives what is wrong."""
        began = time.monotonic()
        try:
            wrong = do()
        except LabError as error:
            wrong = " ".join(f"{error} {error.__cause__ or ''}".split())
        seen = Seen(not wrong, round(time.monotonic() - began, 1), wrong)
        row.stages[name] = seen
        self.say(
            f"{row.number:>2}  {name:<19} {'yes' if seen.good else 'NO ':<4}{seen.seconds:>7.1f} s  {wrong}".rstrip()
        )
        return seen.good

    def _green(self) -> str:
        return red(self.bench.verify(quick=True))

    def _variant(self) -> Variant:
        return self.desk.variant(self.desk.running().tasks[0])

    def _start(self, row: Row) -> str:
        self.lab, self.began = "unknown", self.desk.now()
        stories.start(self.desk, [row.number], student="proof", seed=row.seed)
        self.lab = "broken"
        row.values = dict(self._variant().values)
        return ""

    def _symptom(self, row: Row) -> str:
        """Look as a teacher does."""
        plan, own = self.desk.plan, self._variant().shows(self.desk.plan)
        ids = None if self.all_checks else self._looked_at(own)
        found = self.bench.verify(ids)
        logs = {check.id for check in plan.checks if check.kind == "log"}  # they tell of what others did, too
        red_steps = {each.step for each in found.checks if each.outcome == "failed" and each.id not in logs}
        row.red_steps = tuple(step.id for step in plan.steps if step.id in red_steps)
        seen = colour(found, own)
        return "" if seen == "red" else f"its own checks are {seen}"

    def _looked_at(self, own: Collection[str]) -> list[str]:
        """Name the checks of its steps, and the quick ones of all steps before them."""
        plan = self.desk.plan
        steps = {check.step for check in plan.checks if check.id in own}
        order = [step.id for step in plan.steps]
        before = set(order[: max(map(order.index, steps))])
        return [each.id for each in plan.checks if each.step in steps or (each.quick and each.step in before)]

    def _named(self, row: Row) -> str:
        """A teacher begins at the first red step: it must be one of the exercise's."""
        own = self._variant().shows(self.desk.plan)
        wanted = {check.step for check in self.desk.plan.checks if check.id in own}
        first = next(iter(row.red_steps), "")
        return "" if first in wanted else f"red are {', '.join(row.red_steps) or 'no steps'}"

    def _silent(self) -> str:
        """Read what a student sees of this very report, and look for new files on the node."""
        assert self.bench.last is not None
        variant, text = self._variant(), io.StringIO()
        report = replace(self.bench.last, veiled=is_veiled(self.desk.build_dir))
        print_report(Console(file=text, width=200), self.desk.plan, report)
        shown = text.getvalue() + str(report.as_dict())
        for step in self.desk.plan.steps:
            shown = shown.replace(step.id, "")
        drawn = {name: value for name, value in variant.values.items() if name not in TOLD | {"NODE"}}
        words = {value for value in drawn.values() if len(value) >= SHORTEST}
        leaked = [word for word in sorted(words) if word in shown]
        leaked += [check.id for check in self.desk.plan.checks if check.id in shown]
        return ", ".join([*leaked, *self._traces(variant)])

    def _traces(self, variant: Variant) -> list[str]:
        """Find files on the node that are newer than the exercise, and a history that has its commands."""
        asked = (
            FRESH.format(places=PLACES, since=self.began)
            + "grep -ls break_it /root/.*history /home/*/.*history || true\n"
        )
        return self.desk.bench.run(variant.node, asked).splitlines()

    def _not_yet(self) -> str:
        verdict = grade(self.desk).verdict
        if verdict.kind == "passed":
            self.lab = "unknown"
        return "" if verdict.kind == "not yet" else f"{verdict.kind}: {verdict.why}"

    def _repaired(self, row: Row, function: str) -> None:
        """Repair it in one way, from the broken lab, and have it graded."""
        name = REPAIRS[function]
        if self.lab == "unknown" and not self._stage(row, f"restore for {name}"[:19], self.reset):
            return
        if self.lab == "right" and not self._stage(row, f"break for {name}"[:19], partial(self._again, row)):
            return
        self._stage(row, name, partial(self._graded, function))

    def _again(self, row: Row) -> str:
        """Break it again; only its own checks must show it.

        What the repair before has left can take the effect of the break away, as a second source of time does. Then the
        lab is restored first.
        """
        if (seen := self._seen_again(row)) != "red":
            if wrong := self.reset():
                return wrong
            seen = self._seen_again(row)
        return "" if seen == "red" else f"its own checks are {seen}"

    def _seen_again(self, row: Row) -> str:
        self._start(row)
        own = self._variant().shows(self.desk.plan)
        return colour(self.bench.verify(own), own)

    def _graded(self, function: str) -> str:
        variant = self._variant()
        self.lab = "unknown"
        self.bench.run(variant.node, script.message(variant, function))
        self.bench.settle(WRONG_LIMIT_S if function == catalog.WRONGLY else None)
        verdict = grade(self.desk).verdict
        if verdict.kind == "passed" and function != catalog.WRONGLY:
            self.lab = "right"
        wanted = "not yet" if function == catalog.WRONGLY else "passed"
        if verdict.kind == wanted:
            return ""
        found = red(self.bench.last) if self.bench.last is not None else ""
        return f"{verdict.kind}: {verdict.why}; {found}"


def red(report: Report) -> str:
    """Name the checks that are not good, with the beginning of their messages; empty if all are good."""
    bad = [check for check in report.checks if not check.good]
    shown = [f"{check.id}: {' '.join(check.message.split())[:200]}" for check in bad[:SHOWN_RED]]
    more = [f"and {len(bad) - SHOWN_RED} more"] if len(bad) > SHOWN_RED else []
    return "; ".join([*shown, *more])


def table(rows: Iterable[Row]) -> str:
    """Show the matrix: an exercise in a line, its stages in columns, minutes at the end."""
    known = list(rows)
    lines = ["      " + "  ".join(STAGES) + "  minutes"]
    for row in known:
        cells = [_cell(row, name).center(len(name)) for name in STAGES]
        lines.append(f"{row.number:>4}  {'  '.join(cells)}  {row.seconds / 60:7.1f}")
    counts = Counter(name for row in known for name, seen in row.stages.items() if seen.good and name in STAGES)
    lines.append("good  " + "  ".join(str(counts[name]).center(len(name)) for name in STAGES))
    return "\n".join(lines)


def _cell(row: Row, name: str) -> str:
    seen = row.stages.get(name)
    return "-" if seen is None else "yes" if seen.good else "NO"
