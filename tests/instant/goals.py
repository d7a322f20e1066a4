"""The goals of golden labs, and the table that compares the figures of one run with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

UNKNOWN = "-"


@dataclass(frozen=True)
class Goal:
    """One figure, as a share of another one."""

    what: str
    figure: str
    of: str
    share: float
    """at most"""
    most: float | None = None
    """the figure itself, at most"""


GOALS = (
    Goal("`lab up` from golden, same passwords", "up_s", "first_up_s", 0.04, 60),
    Goal("`lab up` from golden, another ADMIN_PASS", "access_up_s", "first_up_s", 0.06),
    Goal("`lab rotate` of everything", "rotate_s", "first_up_s", 0.20),
    Goal("disk of a further lab", "second_disk_mib", "first_disk_mib", 0.03),
    Goal("memory that a further lab adds, page sharing on", "further_mib", "first_rss_mib", 0.60),
    Goal("its memory, a shared page of n processes as one n-th", "second_shared_pss_mib", "first_rss_mib", 0.60),
    Goal("checkpoint restore, with its quick checks", "restore_s", "first_up_s", 0.03),
    Goal("checkpoint save", "checkpoint_s", "first_up_s", 0.03),
)


def table(figures: Mapping[str, float | None]) -> str:
    """Write the table as Markdown; a figure that was not measured, or has nothing to be compared with, is a dash."""
    rows = [("measure", "goal", "measured", "share", ""), ("---",) * 5, *(_row(goal, figures) for goal in GOALS)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"| {line} |" for line in lines)


def _row(goal: Goal, figures: Mapping[str, float | None]) -> tuple[str, ...]:
    value, whole = figures.get(goal.figure), figures.get(goal.of)
    unit = goal.figure.rpartition("_")[2].replace("mib", "MiB")
    wanted = f"{goal.share:.0%}" + (f", {goal.most:.0f} {unit}" if goal.most else "")
    if value is None:
        return goal.what, wanted, UNKNOWN, UNKNOWN, ""
    measured = f"{value:.0f} {unit}"
    if not whole:
        return goal.what, wanted, measured, UNKNOWN, ""
    met = value / whole <= goal.share and (goal.most is None or value <= goal.most)
    return goal.what, wanted, measured, f"{value / whole:.1%} of {whole:.0f} {unit}", "met" if met else "missed"
