"""Results of a run of Tempest: read from its stream, and judged.

    PYTHON results.py < STREAM     one JSON list: a `Result` of each test

PYTHON is that of Tempest's virtualenv, which has the libraries of its stream (subunit, version 2).
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Status = Literal["passed", "skipped", "failed"]
ENOUGH = 0.95
"""of what release and chapters support"""
_STATUS: dict[str, Status] = {"success": "passed", "skip": "skipped", "xfail": "skipped"}
_REASON_LENGTH = 300
_CLASS = re.compile(r"^(?:setUpClass|tearDownClass) \((?P<name>.+)\)$")


@dataclass(frozen=True)
class Result:
    """What became of one test, or of all tests of a class whose preparation failed."""

    name: str
    """without the package and the tags, as `compute.flavors.test_flavors.FlavorsV2TestJSON.test_get_flavor`"""
    status: Status
    seconds: float
    reason: str = ""
    """in one line; empty where it passed"""

    @property
    def service(self) -> str:
        """The API that it is about, as `compute`."""
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class Known:
    """A fault of a release, not of the lab."""

    releases: tuple[str, ...]
    test: str
    """its name, as in `Result`"""
    says: str
    """part of the reason: the same test may fail for another one"""
    why: str

    def explains(self, result: Result, release: str) -> bool:
        """Tell whether this fault is what was met."""
        same = release in self.releases and result.name == self.test
        return same and result.status == "failed" and self.says in result.reason


@dataclass(frozen=True)
class Verdict:
    """A run, judged."""

    passed: tuple[Result, ...]
    failed: tuple[Result, ...]
    known: tuple[tuple[Result, str], ...]
    """failed by a known fault of the release, and why"""
    skipped: tuple[Result, ...]

    @property
    def share(self) -> float:
        """Passed, of what was supported: neither skipped nor a known fault. 0 where that is nothing."""
        return len(self.passed) / max(1, len(self.passed) + len(self.failed))

    def missing(self, services: Iterable[str]) -> list[str]:
        """Name the services of which nothing passed."""
        return sorted(set(services) - {result.service for result in self.passed})

    def counts(self) -> Counter[tuple[str, str]]:
        """Count by service and status; a known fault has a status of its own, `known`."""
        counted = Counter((r.service, r.status) for r in (*self.passed, *self.failed, *self.skipped))
        return counted + Counter((result.service, "known") for result, _ in self.known)


def judge(results: Sequence[Result], known: Sequence[Known], release: str) -> Verdict:
    """Sort the results."""
    reasons = {r: fault.why for r in results for fault in known if fault.explains(r, release)}
    return Verdict(
        passed=tuple(r for r in results if r.status == "passed"),
        failed=tuple(r for r in results if r.status == "failed" and r not in reasons),
        known=tuple(reasons.items()),
        skipped=tuple(r for r in results if r.status == "skipped"),
    )


def short_name(test_id: str) -> str:
    """Take the package and the tags from a test's id; of a class's preparation, take the class."""
    name = test_id.partition("[")[0]
    if match := _CLASS.match(test_id):
        name = match["name"]
    return name.removeprefix("tempest.api.")


def reason_of(text: str) -> str:
    """Find what tells most, in one line: what follows the frames of a traceback, else the first line."""
    lines = text.strip().splitlines() or [""]
    frames = [number for number, line in enumerate(lines) if line.startswith(" ")]
    if any(line.startswith("Traceback") for line in lines) and frames and frames[-1] + 1 < len(lines):
        lines = [" ".join(line.strip() for line in lines[frames[-1] + 1 :])]
    return lines[0].strip()[:_REASON_LENGTH]


def result_of(test: dict[str, Any]) -> Result:
    """Read what `testtools.StreamToDict` says of a test."""
    begun, ended = test["timestamps"]
    seconds = (ended - begun).total_seconds() if begun and ended else 0.0
    status = _STATUS.get(test["status"], "failed")
    details = {name: content.as_text() for name, content in test["details"].items() if not name.startswith("pythonlog")}
    told = details.get("reason") or details.get("traceback") or next(iter(details.values()), "")
    return Result(short_name(test["id"]), status, round(seconds, 1), "" if status == "passed" else reason_of(told))


def main() -> None:
    """Read a stream and print what is in it."""
    import testtools
    from subunit import ByteStreamToStreamResult

    found: list[Result] = []
    reader = testtools.StreamToDict(lambda test: found.append(result_of(test)))
    reader.startTestRun()
    ByteStreamToStreamResult(sys.stdin.buffer, non_subunit_name="stdout").run(reader)
    reader.stopTestRun()
    print(json.dumps([asdict(result) for result in found]))


if __name__ == "__main__":
    main()
