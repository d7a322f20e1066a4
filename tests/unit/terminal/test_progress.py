"""What is told is shown as it is: a path or a message may hold what rich takes for markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.terminal.progress import LiveProgress

if TYPE_CHECKING:
    import pytest


def test_nothing_that_is_told_is_markup(capsys: pytest.CaptureFixture[str]) -> None:
    progress = LiveProgress(stamped=False)
    progress.say("the lab was moved here from /srv/[red]labs[/red]: it continues here")
    progress.say("plan.json of [x] is damaged; kept", "plan.json of [x] is damaged")
    with progress.phase("machines", "virtual machines: [one], two"):
        pass
    assert capsys.readouterr().out.splitlines() == [
        "the lab was moved here from /srv/[red]labs[/red]: it continues here",
        "plan.json of [x] is damaged; kept",
        "virtual machines: [one], two",
    ]


def test_lines_have_the_time_since_the_beginning(capsys: pytest.CaptureFixture[str]) -> None:
    progress = LiveProgress()
    progress.step_started("controller", "20-database", 120.0)
    assert progress.step_finished("controller", "20-database") < 60
    started, finished = capsys.readouterr().out.splitlines()
    assert started == "  0:00 controller  20-database              started (about 2:00)"
    assert finished == "  0:00 controller  20-database              done in 0 s"
