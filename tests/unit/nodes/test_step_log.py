"""The log of a step has the time of each heading, and no secret; its parts are read back from it."""

from __future__ import annotations

from io import StringIO

from lab.nodes.step_log import BEFORE, LIMIT, Part, StepLog, Wait, parts_of

SAID = """\
=== Install the packages
Setting up mariadb-server (1:11.8.3-0+deb13u1) ...
=== Restart the database service
    waited 7 s for the database
    waited 0 s for unit mariadb
=== Secure the database service with hunter2
run-step: done: 20-database: 31 s
"""


def written(*at_s: float) -> str:
    """The log of what a node said, each line at its second."""
    out, times = StringIO(), iter((100.0, *(100.0 + each for each in at_s)))
    log = StepLog(out, lambda line: line.replace("hunter2", "${DB_PASS}"), clock=lambda: next(times))
    for line in SAID.splitlines():
        log.keep(line)
    return out.getvalue()


def test_headings_and_the_end_have_their_time_and_other_lines_none() -> None:
    assert written(1.25, 12.5, 30.0, 31.75).splitlines() == [
        "=== Install the packages [1.2 s]",
        "Setting up mariadb-server (1:11.8.3-0+deb13u1) ...",
        "=== Restart the database service [12.5 s]",
        "    waited 7 s for the database",
        "    waited 0 s for unit mariadb",
        "=== Secure the database service with ${DB_PASS} [30.0 s]",
        "run-step: done: 20-database: 31 s [31.8 s]",
    ]


def test_the_parts_add_up_to_the_step_and_have_their_waits() -> None:
    parts = parts_of(written(1.2, 12.5, 30.0, 31.8))
    assert parts == (
        Part(BEFORE, 1.2),
        Part("Install the packages", 11.3),
        Part("Restart the database service", 17.5, (Wait("the database", 7), Wait("unit mariadb", 0))),
        Part("Secure the database service with ${DB_PASS}", 1.8),
    )
    assert parts[2].waited_s == 7


def test_of_a_step_that_did_not_end_the_last_part_is_not_told() -> None:
    cut = written(1.2, 12.5, 30.0, 31.8).partition("run-step:")[0]
    assert [part.title for part in parts_of(cut)] == [BEFORE, "Install the packages", "Restart the database service"]


def test_a_log_of_an_earlier_version_has_no_parts() -> None:
    assert parts_of(SAID) == ()


def test_the_line_of_a_failure_is_kept_as_it_is() -> None:
    out = StringIO()
    StepLog(out, str).keep("run-step: failed: 20-database: line 3: exit code 1: false")
    assert out.getvalue() == "run-step: failed: 20-database: line 3: exit code 1: false\n"


def test_a_log_without_end_is_cut() -> None:
    out = StringIO()
    log = StepLog(out, str)
    for _ in range(4):
        log.keep("x" * (LIMIT // 2))
    assert len(out.getvalue()) <= 1.5 * LIMIT + 10
