"""Turns the suite's results into the verdict on a repair. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lab.verification.report import Report

Kind = Literal["passed", "not yet", "could not tell"]
Colour = Literal["green", "red", "unknown"]

STILL = "the symptom is still there"
NOT_KEPT = "the repair does not survive a restart: it changed what runs now, but not what starts the next time"
ELSE = "the symptom is gone, but now something else is wrong"


@dataclass(frozen=True)
class Verdict:
    """The verdict on one exercise, or on all that run."""

    kind: Kind
    why: str = ""
    chapters: tuple[str, ...] = ()
    """steps of the red checks; which checks is not said"""
    red: int = 0


def colour(report: Report, ids: Collection[str]) -> Colour:
    """Give one colour for these checks of a report."""
    outcomes = {check.outcome for check in report.checks if check.id in ids}
    if "failed" in outcomes:
        return "red"
    return "unknown" if "error" in outcomes or not outcomes else "green"


def judge(own: Mapping[int, frozenset[str]], before: Report, after: Report | None) -> dict[int, Verdict]:
    """Judge each exercise, by its number.

    Args:
        own: the checks by which each of them shows.
        before: the result of these checks on the lab as the student left it.
        after: the result of all checks after the restart; None if nothing was restarted because every symptom remained.
    """
    return {number: _one(ids, own, before, after) for number, ids in own.items()}


def _one(ids: frozenset[str], own: Mapping[int, frozenset[str]], before: Report, after: Report | None) -> Verdict:
    first = colour(before, ids)
    if first != "green" or after is None:
        return _seen(before, ids, STILL) if first == "red" else Verdict("could not tell", _reason(before, ids))
    if colour(after, ids) == "red":
        return _seen(after, ids, NOT_KEPT)
    unsolved = frozenset[str]().union(*(o for o in own.values() if o != ids and colour(before, o) != "green"))
    rest = _not_because_of(unsolved, after)
    if colour(after, rest) == "red":
        return _seen(after, rest, ELSE)
    if any(check.outcome == "error" for check in after.checks if check.id in rest):
        return Verdict("could not tell", _reason(after, rest))
    return Verdict("passed")


def _not_because_of(unsolved: Collection[str], report: Report) -> set[str]:
    """Name the checks that cannot be red because of another exercise, which is not solved yet.

    Steps are numbered as they build on each other, so these are the checks of the steps before the other's; but logs
    tell of what any service does.
    """
    first = min((check.step for check in report.checks if check.id in unsolved), default="")
    return {
        check.id
        for check in report.checks
        if not first or (check.step < first and not check.id.startswith(f"{check.node}-{check.step}-log-"))
    }


def together(verdicts: Collection[Verdict]) -> Verdict:
    """Give one verdict for all: 'not yet' comes before 'could not tell'."""
    for kind in ("not yet", "could not tell"):
        for verdict in verdicts:
            if verdict.kind == kind:
                return verdict
    return Verdict("passed")


def _seen(report: Report, ids: Collection[str], why: str) -> Verdict:
    red = [check for check in report.checks if check.id in ids and check.outcome == "failed"]
    return Verdict("not yet", why, tuple(dict.fromkeys(check.step for check in red)), len(red))


def _reason(report: Report, ids: Collection[str]) -> str:
    bad = [check for check in report.checks if check.id in ids and check.outcome == "error"]
    return f"{len(bad)} checks could not be judged" if bad else "no check was judged"
