"""While an exercise runs, nothing in the suite's output gives its answer away."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from sample_plans import sample_plan

from lab.base import resources
from lab.base.errors import UsageError
from lab.terminal.report import print_drift, print_report
from lab.verification import veil
from lab.verification.report import CheckResult, Report
from lab.verification.run import verify

if TYPE_CHECKING:
    from pathlib import Path

BAD = CheckResult(
    "controller-20-database-grants-nova-any",
    "20-database",
    "controller",
    "failed",
    "expected ALL PRIVILEGES",
    "SQL database",
    0.1,
    "GRANT ALL",
)
GOOD = CheckResult("controller-10-environment-unit-chrony", "10-environment", "controller", "passed", "", "", 0.1)


def said(report: Report) -> str:
    text = io.StringIO()
    console = Console(file=text, width=200)
    print_report(console, sample_plan(), report)
    print_drift(console, report)
    return text.getvalue() + json.dumps(report.as_dict())


def test_a_veiled_report_counts_and_says_the_chapters() -> None:
    shown = said(Report((GOOD, BAD), veiled=True))
    assert "20-database" in shown
    assert "1 failed of 2 checks" in shown
    for word in ("grants", "nova", "PRIVILEGES", "GRANT", "drifted"):
        assert word not in shown
    assert Report((GOOD, BAD), veiled=True).as_dict()["chapters"] == {"20-database": 1}


def test_the_same_report_shows_everything_without_a_veil() -> None:
    shown = said(Report((GOOD, BAD)))
    for word in ("grants-nova-any", "PRIVILEGES", "GRANT ALL", "drifted"):
        assert word in shown


@pytest.mark.parametrize(
    ("text", "veiled"),
    [(None, False), ('{"veiled": true}', True), ('{"veiled": false}', False), ("{", True), ("[]", True)],
)
def test_who_is_veiled(text: str | None, veiled: bool, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / veil.FILE).write_text(text)
    assert veil.is_veiled(tmp_path) is veiled
    if veiled:
        with pytest.raises(UsageError, match="an exercise runs on this lab: `lab up` would end it"):
            veil.refuse(tmp_path, "`lab up`")
    else:
        veil.refuse(tmp_path, "`lab up`")


def test_no_file_is_written_that_has_the_answer(tmp_path: Path) -> None:
    (tmp_path / veil.FILE).write_text('{"veiled": true}')
    with pytest.raises(UsageError, match="would give its answer away"):
        verify(sample_plan(), tmp_path, html=tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_the_suite_by_hand_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(sample_plan().model_dump_json())
    (tmp_path / veil.FILE).write_text('{"veiled": true}')
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        str(tmp_path / "pytest.ini"),
        "-p",
        "lab.verification.plugin",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        [*argv, "--rootdir", str(tmp_path), "--lab-plan", str(tmp_path / "plan.json"), str(resources.INFRA_SUITE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert "an exercise runs on this lab" in done.stdout + done.stderr
