"""Runs the suite of tests/infra against a lab, as a child process, and gives a report.

A child, because pytest changes the process that it runs in, and because Ctrl-C then ends the suite and not the lab.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.base import resources
from lab.base.environment import tool_environment
from lab.base.errors import MachineError, UsageError
from lab.verification import veil
from lab.verification.report import CheckResult, Counted, Report
from lab.verification.selection import select

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from lab.planning.plan import Check, Plan

TESTS_FAILED, INTERRUPTED = 1, 2
"""pytest's exit codes that still leave results; 0 too"""
TAIL_LINES = 15
LIMIT_S = 600.0
"""for all checks on a KVM host, where they take a minute; times the lab's wait factor"""
CHECK_EVERY_S = 1.0
GRACE_S = 10.0
STYLE = Path(__file__).with_name("report.css")


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
    own: Path | None = None,
    check: Callable[[], None] = lambda: None,
    limit_s: float | None = None,
    full: bool = False,
) -> Report:
    """Check the running lab: all steps or these, all checks, only the quick ones, or only those with these ids.

    The suite reads plan.json, ssh_config and nodes/NODE/env in the build directory. `own` is a directory with the
    user's own tests; where it has none, nothing of it runs. `on_result` is called as each result arrives. `sockets` is
    where a caller that has just heard from the nodes has its ssh connections. `check` is called every second, and
    what it raises ends the suite: there is nothing to ask where a machine has ended. While an exercise runs, the
    report is veiled, unless it is `full`.

    Raises:
        UsageError: a step is not one of the plan's; or a file would give an exercise's answer away.
        MachineError: the suite itself did not run to its end, or not within `limit_s` (LIMIT_S times the wait factor).
    """
    limit_s = LIMIT_S * max(1.0, plan.wait_factor) if limit_s is None else limit_s
    veiled = not full and veil.is_veiled(build_dir)
    if veiled and (junit or html):
        raise UsageError("an exercise runs on this lab: a report would give its answer away", hint=veil.WAY_OUT)
    wanted = None if ids is None else frozenset(ids)
    checks = select(plan, steps, quick=quick, ids=wanted)
    tests = [str(own.absolute())] if own is not None and any(own.glob("test_*.py")) else []
    if not checks and not tests:
        return Report(())
    with tempfile.TemporaryDirectory(prefix="lab-verify-") as name:
        scratch = Path(name)
        (scratch / "ids").write_text("\n".join(check.id for check in checks) + "\n")
        arguments = [*_arguments(build_dir, scratch, tests), *_reports(plan, junit, html)]
        if sockets is not None:
            arguments += ["--lab-sockets", str(sockets)]
        reader = _Reader({check.id: check for check in checks}, on_result)
        code, output = _run(arguments, scratch, reader, check, limit_s)
    if code not in (0, TESTS_FAILED) or not (reader.results or reader.own):
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        tail = "\n".join(output.strip().splitlines()[-TAIL_LINES:])
        raise MachineError(f"the suite ended with exit code {code} before its end", detail=tail)
    results = tuple(reader.results.get(check.id) or _missing(check) for check in checks)
    return Report(results, Counted(tuple(reader.own)), veiled)


def _arguments(build_dir: Path, scratch: Path, tests: Sequence[str]) -> list[str]:
    """Give pytest's arguments; the ids of the checks are in a file of `scratch`."""
    return [
        *("-c", os.devnull, "--rootdir", str(build_dir)),  # not the settings of another version's build directory
        *("--confcutdir", str(resources.INFRA_SUITE), str(resources.INFRA_SUITE), *tests),
        *("-p", "lab.verification.plugin", "-p", "no:cacheprovider", "-q", "--tb=short", "--color=no"),
        "--continue-on-collection-errors",
        *("--lab-full", "--lab-plan", str(build_dir / "plan.json"), "--lab-ids-from", str(scratch / "ids")),
    ]


def _reports(plan: Plan, junit: Path | None, html: Path | None) -> list[str]:
    """Give pytest's arguments for the reports that are wanted."""
    arguments = []
    if junit is not None:
        arguments += ["--junitxml", str(junit.absolute()), "-o", f"junit_suite_name=lab {plan.name}"]
    if html is not None:
        arguments += ["--html", str(html.absolute()), "--self-contained-html", "--css", str(STYLE)]
    return arguments


def quick_ids(plan: Plan, jobs: Collection[tuple[str, str]]) -> list[str]:
    """Name the quick checks of these (node, step)."""
    return [check.id for check in plan.checks if check.quick and (check.node, check.step) in jobs]


def _run(
    arguments: Sequence[str], scratch: Path, reader: _Reader, check: Callable[[], None], limit_s: float
) -> tuple[int, str]:
    """Run pytest; its results come through a pipe as they are made."""
    readable, writable = os.pipe()
    log = scratch / "output"
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *arguments, "--lab-progress", f"/dev/fd/{writable}"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(writable,),
            env=tool_environment({"PYTHONDONTWRITEBYTECODE": "1"}, inherited),
        )
    os.close(writable)
    thread = threading.Thread(target=reader.read, args=(readable,), daemon=True)
    thread.start()
    try:
        _wait(process, check, limit_s)
    except subprocess.TimeoutExpired:
        _end(process)
        raise MachineError(
            f"the suite did not end within {limit_s:.0f} s",
            detail="\n".join([reader.unanswered(), *log.read_text(errors="replace").splitlines()[-TAIL_LINES:]]),
            hint="`lab doctor` shows nodes that are slow or full; `lab up` goes on",
        ) from None
    except BaseException:
        _end(process)
        raise
    thread.join(timeout=5)
    return process.returncode, log.read_text(errors="replace")


def _wait(process: subprocess.Popen[bytes], check: Callable[[], None], limit_s: float) -> None:
    """Wait for the suite's end; raises what `check` raises, and TimeoutExpired after the limit."""
    deadline = time.monotonic() + limit_s
    while True:
        left = deadline - time.monotonic()
        try:
            process.wait(min(CHECK_EVERY_S, max(0.0, left)))
            return
        except subprocess.TimeoutExpired:
            if left <= 0:
                raise
            check()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the suite: as Ctrl-C does, so that it closes its connections; then by SIGTERM and SIGKILL."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
            return


class _Reader:
    """Takes the results from the suite's pipe."""

    def __init__(self, checks: dict[str, Check], on_result: Callable[[CheckResult], None] | None) -> None:
        self._checks = checks
        self._on_result = on_result
        self.results: dict[str, CheckResult] = {}
        self.own: list[CheckResult] = []

    def unanswered(self) -> str:
        """Name checks that have no result yet, for the message after a wait in vain."""
        names = [name for name in self._checks if name not in self.results]
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        return f"without a result: {', '.join(names[:5])}{more}"

    def read(self, descriptor: int) -> None:
        """Read lines until the suite closes the pipe."""
        with os.fdopen(descriptor, encoding="utf-8") as stream:
            for line in stream:
                result = self._result(json.loads(line))
                if result.id in self._checks:
                    self.results[result.id] = result
                else:
                    self.own.append(result)
                if self._on_result is not None:
                    self._on_result(result)

    def _result(self, line: dict[str, Any]) -> CheckResult:
        name, outcome, message, seconds = (line[key] for key in ("id", "outcome", "message", "seconds"))
        if check := self._checks.get(name):
            return _of(check, outcome, message, seconds)
        return CheckResult(name, name.partition("::")[0], "", outcome, message, "", seconds)


def _of(check: Check, outcome: Any, message: str, seconds: float) -> CheckResult:
    return CheckResult(check.id, check.step, check.node, outcome, message, check.guide, seconds, check.command)


def _missing(check: Check) -> CheckResult:
    return _of(check, "error", "the suite gave no result for this check", 0.0)
