"""How a verification looks on a terminal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

    from lab.planning.plan import Plan
    from lab.verification.report import CheckResult, Counted, Report

STYLES = {"failed": "red", "error": "magenta"}


def print_report(console: Console, plan: Plan, report: Report) -> None:
    """Print the failures, each with what repairs it, then the counts of each step.

    While an exercise runs: the counts, and the failures of the user's own tests.
    """
    shown = [] if report.veiled else grouped(report)
    for checks in [*shown, *([check] for check in report.own.checks if not check.good)]:
        console.print(failure(checks[0]) if len(checks) == 1 else shared_failure(checks), soft_wrap=True)
    console.print(step_table(plan, report))
    console.print(verdict(report))


def print_drift(console: Console, report: Report) -> None:
    """Name the steps whose work is not as it should be, and what repairs them."""
    drifted = dict.fromkeys((check.step, check.node) for check in report.checks if check.outcome == "failed")
    if drifted and not report.veiled:
        named = ", ".join(f"{step} on {node}" for step, node in drifted)
        console.print(f"drifted: {named}; `lab up` runs exactly these again", soft_wrap=True)


def grouped(report: Report) -> list[list[CheckResult]]:
    """Give what is not good, in order; checks of one node that could not be checked for one reason are together."""
    groups: dict[tuple[str, ...], list[CheckResult]] = {}
    for check in report.checks:
        if not check.good:
            key = (check.node, check.message) if check.outcome == "error" else (check.id,)
            groups.setdefault(key, []).append(check)
    return list(groups.values())


def shared_failure(checks: list[CheckResult]) -> Text:
    """Tell of one reason that keeps many checks of a node from being judged."""
    text = Text()
    text.append(f"{'ERROR':<7}", style=f"bold {STYLES['error']}")
    text.append(f"{len(checks)} checks of {checks[0].node}\n", style="bold")
    text.append(f"       {checks[0].message}\n")
    return text


def failure(check: CheckResult) -> Text:
    """Tell of one failure in three or four lines."""
    text = Text()
    text.append(f"{check.outcome.upper():<7}", style=f"bold {STYLES[check.outcome]}")
    text.append(f"{check.id}\n", style="bold")
    lines = [("", check.message), ("guide    ", check.guide), ("command  ", check.command)]
    for label, value in lines:
        if value:
            text.append(f"       {label}", style="dim")
            text.append(value.strip().replace("\n", "\n" + " " * (7 + len(label))) + "\n")
    return text


def step_table(plan: Plan, report: Report) -> Table:
    """Count the checks of each step."""
    table = Table(show_edge=False, pad_edge=False, header_style="dim")
    table.add_column("step")
    for column in ("checks", "passed", "failed", "errors"):
        table.add_column(column, justify="right")
    files = dict.fromkeys(check.step for check in report.own.checks)
    for name in [*(step.id for step in plan.steps), *files]:
        counts = Counter(check.outcome for check in (*report.checks, *report.own.checks) if check.step == name)
        if total := sum(counts.values()):
            cells = [_number(counts["passed"], "green"), _number(counts["failed"], "red")]
            table.add_row(name, str(total), *cells, _number(counts["error"], "magenta"))
    return table


def verdict(report: Report) -> Text:
    """Say in one line how the verification ended; the user's own checks are counted apart."""
    if not report.checks and not report.own.checks:
        return Text("no checks to run", style="yellow")
    parts = [_counted(report, "checks")] if report.checks else []
    parts += [_counted(report.own, "checks of your own")] if report.own.checks else []
    return Text("; ".join(parts), style="bold green" if report.good and report.own.good else "bold red")


def _counted(report: Counted, what: str) -> str:
    failed, errors = report.count("failed"), report.count("error")
    if report.good:
        return f"all {len(report.checks)} {what} passed"
    words = [f"{failed} failed"] if failed else []
    words += [f"{errors} could not be checked"] if errors else []
    return f"{', '.join(words)} of {len(report.checks)} {what}"


def _number(count: int, style: str) -> Text:
    return Text(str(count), style=style) if count else Text("-", style="dim")
