"""Runs the suite of tests/infra against a lab, as a child process, and gives a report.

A child, because pytest changes the process that it runs in, and because Ctrl-C then ends the suite and not the lab.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import resources
from lab.errors import MachineError
from lab.infra.selection import select
from lab.report import CheckResult, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from lab.plan import Check, Plan

TESTS_FAILED, INTERRUPTED = 1, 2
"""pytest's exit codes that still leave results; 0 too"""
TAIL_LINES = 15
STYLE = Path(__file__).with_name("infra") / "report.css"


def verify(
    plan: Plan,
    build_dir: Path,
    steps: Sequence[str] = (),
    *,
    quick: bool = False,
    ids: Iterable[str] | None = None,
    junit: Path | None = None,
    html: Path | None = None,
    on_result: Callable[[CheckResult], None] | None = None,
    sockets: Path | None = None,
) -> Report:
    """Check the running lab: all steps or these, all checks, only the quick ones, or only those with these ids.

    The suite reads plan.json, ssh_config and nodes/NODE/env in the build directory. `on_result` is called as each
    result arrives. `sockets` is where the ssh connections of a caller are that has just heard from the nodes.

    Raises:
        UsageError: a step is not one of the plan's.
        MachineError: the suite itself did not run to its end.
    """
    wanted = None if ids is None else frozenset(ids)
    checks = select(plan, steps, quick=quick, ids=wanted)
    if not checks:
        return Report(())
    with tempfile.TemporaryDirectory(prefix="lab-verify-") as name:
        scratch = Path(name)
        (scratch / "ids").write_text("\n".join(check.id for check in checks) + "\n")
        arguments = [
            *("-c", str(_ini(build_dir, scratch)), "--rootdir", str(build_dir)),
            *("--confcutdir", str(resources.INFRA_SUITE), str(resources.INFRA_SUITE)),
            *("-p", "no:cacheprovider", "-q", "--tb=short", "--color=no"),
            *("--lab-plan", str(build_dir / "plan.json"), "--lab-ids-from", str(scratch / "ids")),
        ]
        if sockets is not None:
            arguments += ["--lab-sockets", str(sockets)]
        if junit is not None:
            arguments += ["--junitxml", str(junit.absolute()), "-o", f"junit_suite_name=lab {plan.name}"]
        if html is not None:
            arguments += ["--html", str(html.absolute()), "--self-contained-html", "--css", str(STYLE)]
        reader = _Reader({check.id: check for check in checks}, on_result)
        code, output = _run(arguments, scratch, reader)
    if code not in (0, TESTS_FAILED) or (not reader.results and checks):
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        tail = "\n".join(output.strip().splitlines()[-TAIL_LINES:])
        raise MachineError(f"the suite ended with exit code {code} before its end", detail=tail)
    return Report(tuple(reader.results.get(check.id) or _missing(check) for check in checks))


def quick_ids(plan: Plan, jobs: Collection[tuple[str, str]]) -> list[str]:
    """Name the quick checks of these (node, step)."""
    return [check.id for check in plan.checks if check.quick and (check.node, check.step) in jobs]


def _ini(build_dir: Path, scratch: Path) -> Path:
    """Give the build directory's own settings of pytest, or empty ones where it has none."""
    ini = build_dir / "pytest.ini"
    if ini.exists():
        return ini
    empty = scratch / "pytest.ini"
    empty.write_text("[pytest]\n")
    return empty


def _run(arguments: Sequence[str], scratch: Path, reader: _Reader) -> tuple[int, str]:
    """Run pytest; its results come through a pipe as they are made."""
    readable, writable = os.pipe()
    log = scratch / "output"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *arguments, "--lab-progress", f"/dev/fd/{writable}"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(writable,),
            env=environment,
        )
    os.close(writable)
    thread = threading.Thread(target=reader.read, args=(readable,), daemon=True)
    thread.start()
    try:
        process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    thread.join(timeout=5)
    return process.returncode, log.read_text(errors="replace")


class _Reader:
    """Takes the results from the suite's pipe."""

    def __init__(self, checks: dict[str, Check], on_result: Callable[[CheckResult], None] | None) -> None:
        self._checks = checks
        self._on_result = on_result
        self.results: dict[str, CheckResult] = {}

    def read(self, descriptor: int) -> None:
        """Read lines until the suite closes the pipe."""
        with os.fdopen(descriptor, encoding="utf-8") as stream:
            for line in stream:
                result = self._result(json.loads(line))
                self.results[result.id] = result
                if self._on_result is not None:
                    self._on_result(result)

    def _result(self, line: dict[str, Any]) -> CheckResult:
        check = self._checks[line["id"]]
        return _of(check, line["outcome"], line["message"], line["seconds"])


def _of(check: Check, outcome: Any, message: str, seconds: float) -> CheckResult:
    return CheckResult(check.id, check.step, check.node, outcome, message, check.guide, seconds, check.command)


def _missing(check: Check) -> CheckResult:
    return _of(check, "error", "the suite gave no result for this check", 0.0)
