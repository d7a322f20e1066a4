"""A run of Tempest as a person reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tempest.results import Result, Verdict

COLUMNS = ("passed", "failed", "known", "skipped")


def told(verdict: Verdict, services: Iterable[str], minutes: float) -> str:
    """Write the counts as a table, then each test that did not pass, with the reason."""
    counts = verdict.counts()
    names = sorted({*services, *(service for service, _ in counts)})
    lines = ["", _row("", COLUMNS)]
    lines += [_row(name, [counts[name, column] for column in COLUMNS]) for name in names]
    lines += [_row("all", [sum(counts[name, column] for name in names) for column in COLUMNS])]
    lines += _listed("failed", ((result, result.reason) for result in verdict.failed))
    lines += _listed("known faults of the release", verdict.known)
    lines += _listed("skipped", ((result, result.reason) for result in verdict.skipped))
    lines += ["", f"{verdict.share:.1%} of what release and chapters support passed, in {minutes:.1f} minutes"]
    return "\n".join(lines)


def _row(name: str, cells: Iterable[object]) -> str:
    return f"{name:<10}" + "".join(f"{cell!s:>9}" for cell in cells)


def _listed(title: str, found: Iterable[tuple[Result, str]]) -> Iterator[str]:
    for number, (result, reason) in enumerate(found):
        if number == 0:
            yield from ("", f"{title}:")
        yield from (f"  {result.name}", f"    {reason}")
