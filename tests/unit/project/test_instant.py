"""The table of `make test-golden`; a real lab gives its figures."""

from __future__ import annotations

import pytest
from instant import takes
from instant.goals import GOALS, table


def test_each_goal_is_compared_with_its_figure() -> None:
    figures = {"first_up_s": 1000.0, "up_s": 39.0, "access_up_s": 61.0, "first_disk_mib": 4000, "second_disk_mib": 19}
    lines = table(figures).splitlines()
    assert len(lines) == 2 + len(GOALS)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert rows[2] == ["`lab up` from golden, same passwords", "4%, 60 s", "39 s", "3.9% of 1000 s", "met"]
    assert rows[3][2:] == ["61 s", "6.1% of 1000 s", "missed"]
    assert rows[4][2:] == ["-", "-", ""]
    assert rows[5][1:] == ["3%", "19 MiB", "0.5% of 4000 MiB", "met"]


def test_the_seconds_themselves_have_a_limit() -> None:
    (row,) = [line for line in table({"first_up_s": 3000.0, "up_s": 61.0}).splitlines() if "same passwords" in line]
    assert "2.0%" in row
    assert "missed" in row


def test_without_the_time_of_the_first_lab_there_is_no_share() -> None:
    (row,) = [line for line in table({"first_up_s": None, "up_s": 61.0}).splitlines() if "same passwords" in line]
    assert "61 s" in row
    assert "met" not in row
    assert "missed" not in row


def test_pages_swapped_out_and_processes_killed_are_counted() -> None:
    assert takes.pressure("pgpgin 7\npswpin 9\npswpout 2\noom_kill 1\n") == 3
    assert takes.pressure("pswpout 0\noom_kill 0\n") == 0
    with pytest.raises(AssertionError):
        takes.pressure("ssh: no answer\n")
