"""`lab timing`: from the notes, the state and the logs of a lab that was brought up."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from sample_plans import SECRETS, sample_plan

from lab.base.errors import UsageError
from lab.nodes.state import State, StateFile, StepRecord
from lab.planning.project import Lab
from lab.planning.secrets import Secrets
from lab.terminal import progress as ui
from lab.terminal.timing import print_timing
from lab.verbs.timing import UP, UpTimes, note, timing_of

if TYPE_CHECKING:
    from pathlib import Path

BEGAN = 1_760_000_000.0
LOG = """
=== Prerequisites: database and grants [0.8 s]

=== Populate the database [10.8 s]
    waited 12 s for the Identity API
run-step: done: STEP: 50 s [50.8 s]
"""
RAN = {
    # node/step: began, ended, seconds after lab up began
    "controller/10-environment": (60, 70),
    "compute1/10-environment": (60, 80),
    "controller/20-database": (80, 130),
    "compute1/55-compute-node": (81, 90),
    "controller/50-compute-controller": (130, 180),
}


def a_lab(directory: Path, ran: dict[str, tuple[float, float]] | None = None) -> Lab:
    lab = Lab(directory, sample_plan(), Secrets(SECRETS))
    steps = {}
    for key, (began, ended) in (RAN if ran is None else ran).items():
        finished = datetime.fromtimestamp(BEGAN + ended, UTC).isoformat(timespec="seconds")
        steps[key] = StepRecord(inputs="x", seconds=ended - began, finished=finished)
    StateFile(directory / "state.json").save(State(steps=steps))
    note(directory, UpTimes(began=BEGAN, seconds=200.0, phases={"host": 2.0, "boxes": 50.0, "steps": 120.0}))
    for key in ("controller/20-database", "controller/50-compute-controller"):
        log = directory / "logs" / f"{key}.log"
        log.parent.mkdir(exist_ok=True)
        log.write_text(LOG)
    return lab


def test_steps_stand_in_the_order_in_which_they_began_with_their_waits(tmp_path: Path) -> None:
    found = timing_of(a_lab(tmp_path))
    assert [(each.node, each.step, each.began_s, each.seconds, each.waited_s) for each in found.steps] == [
        ("controller", "10-environment", 60.0, 10.0, 0),
        ("compute1", "10-environment", 60.0, 20.0, 0),
        ("controller", "20-database", 80.0, 50.0, 12),
        ("compute1", "55-compute-node", 81.0, 9.0, 0),
        ("controller", "50-compute-controller", 130.0, 50.0, 12),
    ]


def test_decisive_are_those_that_the_last_end_waited_for(tmp_path: Path) -> None:
    decisive = [(each.node, each.step) for each in timing_of(a_lab(tmp_path)).steps if each.decisive]
    assert decisive == [
        ("compute1", "10-environment"),
        ("controller", "20-database"),
        ("controller", "50-compute-controller"),
    ]


def test_the_largest_parts_come_first(tmp_path: Path) -> None:
    largest = timing_of(a_lab(tmp_path)).largest(3)
    assert [(step.step, part.title, part.seconds) for step, part in largest] == [
        ("20-database", "Populate the database", 40.0),
        ("50-compute-controller", "Populate the database", 40.0),
        ("20-database", "Prerequisites: database and grants", 10.0),
    ]


def test_a_step_of_an_earlier_lab_up_has_no_place_in_this_one(tmp_path: Path) -> None:
    found = timing_of(a_lab(tmp_path, {**RAN, "controller/10-environment": (-9000, -8990)}))
    assert [(each.step, each.began_s, each.decisive) for each in found.steps][-1] == ("10-environment", None, False)


@pytest.mark.parametrize("damaged", [None, "", '{"began": '])
def test_without_notes_the_steps_are_told_all_the_same(tmp_path: Path, damaged: str | None) -> None:
    lab = a_lab(tmp_path)
    (tmp_path / UP).unlink()
    if damaged is not None:
        (tmp_path / UP).write_text(damaged)
    found = timing_of(lab)
    assert found.up is None
    assert [each.began_s for each in found.steps] == [0.0, 0.0, 20.0, 21.0, 70.0]


def test_one_step_alone(tmp_path: Path) -> None:
    lab = a_lab(tmp_path)
    assert [each.step for each in timing_of(lab, "20-database").steps] == ["20-database"]
    with pytest.raises(UsageError, match="no step 20-databse"):
        timing_of(lab, "20-databse")


def test_a_lab_of_which_no_step_is_done(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no step is done yet"):
        timing_of(a_lab(tmp_path, {}))


def test_as_json_it_has_everything(tmp_path: Path) -> None:
    found = json.loads(json.dumps(timing_of(a_lab(tmp_path)).as_dict()))
    assert found["up"]["phases"]["boxes"] == 50.0
    database = next(each for each in found["steps"] if each["step"] == "20-database")
    assert database["waited_s"] == 12
    assert database["parts"][2] == {
        "title": "Populate the database",
        "seconds": 40.0,
        "waits": [{"what": "the Identity API", "seconds": 12}],
    }


def test_the_tables_show_phases_steps_and_parts(tmp_path: Path) -> None:
    lab = a_lab(tmp_path)
    with ui.console.capture() as shown:
        print_timing(timing_of(lab), every=False)
    text = " ".join(shown.get().replace("│", " ").split())
    assert "boxes 50 s 25 %" in text
    assert "* 20-database controller 80 s 50 s 12 s" in text
    assert "20-database controller Populate the database 40 s 12 s for the Identity API" in text
    assert "no times in the logs of: 10-environment, 55-compute-node" in text
    with ui.console.capture() as shown:
        print_timing(timing_of(lab, "20-database"), every=True)
    assert "phase" not in shown.get()
    assert "(before the first heading)" in shown.get()
