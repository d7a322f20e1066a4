"""Exercises from their start to their end, on a lab of words."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from exercise_bench import PLAN, Clock, WordsBench, a_desk

from lab.base.errors import MachineError, UsageError
from lab.teaching.exercise import stories
from lab.teaching.exercise.catalog import find
from lab.teaching.exercise.draw import draw
from lab.teaching.exercise.exam import load_exam
from lab.teaching.exercise.grade import grade
from lab.teaching.exercise.points import Mark
from lab.teaching.exercise.report import html
from lab.teaching.exercise.results import as_csv
from lab.teaching.exercise.running import CHECKPOINT, Exam, RunningFile, note_teacher
from lab.teaching.exercise.verdict import ELSE, NOT_KEPT, STILL
from lab.verification import veil

if TYPE_CHECKING:
    from pathlib import Path

    from lab.teaching.exercise.desk import Desk

ELSEWHERE = "controller-21-message-queue-queue-user-openstack"


@pytest.fixture
def bench() -> WordsBench:
    return WordsBench()


@pytest.fixture
def desk(tmp_path: Path, bench: WordsBench) -> Desk:
    return a_desk(tmp_path, bench)


def own(number: int, seed: str = "ada") -> frozenset[str]:
    return draw(find(number), seed, PLAN).shows(PLAN)


def begin(desk: Desk, bench: WordsBench, *numbers: int, exam: Exam | None = None) -> None:
    """Start, and let the checks of the exercises be red."""
    stories.start(desk, numbers, student="ada", seed="ada", exam=exam)
    bench.red = set().union(*(own(number) for number in numbers))
    bench.acts.clear()


def test_start_saves_breaks_and_tells_the_symptom_alone(desk: Desk, bench: WordsBench) -> None:
    symptoms = stories.start(desk, [19], student="ada", seed="ada")
    assert symptoms == [find(19).facts.symptom]
    assert bench.acts[:2] == ["verify quick", f"save {CHECKPOINT}"]
    assert bench.acts[2] == "run on controller: leaving_no_trace break_it </dev/null"
    kept = desk.file.path.read_text()
    assert json.loads(kept)["veiled"] is True
    assert "memcached" not in kept
    assert desk.file.path.stat().st_mode & 0o777 == 0o600


def test_twice_is_refused(desk: Desk, bench: WordsBench) -> None:
    begin(desk, bench, 19)
    with pytest.raises(UsageError, match="exercise 19 runs already"):
        stories.start(desk, [3], student="ada", seed="ada")
    assert bench.acts == []


def test_a_lab_that_is_not_well_is_not_broken(desk: Desk, bench: WordsBench) -> None:
    bench.red = {next(check.id for check in PLAN.checks if check.quick)}
    with pytest.raises(MachineError, match="checks of this lab fail"):
        stories.start(desk, [19], student="ada", seed="ada")
    assert bench.acts == ["verify quick"]
    assert desk.file.load() is None


def test_a_break_that_fails_leaves_the_lab_as_it_was_and_tells_no_answer(desk: Desk, bench: WordsBench) -> None:
    bench.fails = "sed: /etc/memcached.conf: no such file"
    with pytest.raises(MachineError) as caught:
        stories.start(desk, [19], student="ada", seed="ada")
    assert "memcached" not in str(caught.value)
    assert bench.acts[-1] == f"restore {CHECKPOINT}"
    assert desk.file.load() is None
    assert bench.checkpoints == {}


def test_not_yet_says_what_a_user_sees_and_starts_nothing_again(desk: Desk, bench: WordsBench) -> None:
    begin(desk, bench, 19)
    graded = grade(desk)
    assert (graded.verdict.kind, graded.verdict.why) == ("not yet", STILL)
    assert graded.verdict.chapters == ("22-memcached",)
    assert bench.acts == [f"verify {len(own(19))}"]
    assert graded.running.attempts == 1


def test_a_good_repair_passes_after_a_restart_and_the_suite(desk: Desk, bench: WordsBench) -> None:
    begin(desk, bench, 19)
    bench.red = set()
    graded = grade(desk)
    assert graded.verdict.kind == "passed"
    assert bench.acts[1:3] == ["restart memcached on controller", "settle memcached"]
    assert len(bench.acts) == 4
    assert not veil.is_veiled(desk.build_dir)
    assert [(r.outcome, r.won, r.missed) for r in desk.results.load()] == [("passed", 10, 0)]


def test_a_repair_of_what_runs_alone_does_not_pass(desk: Desk, bench: WordsBench) -> None:
    begin(desk, bench, 19)
    bench.red, bench.red_after_restart = set(), set(own(19))
    graded = grade(desk)
    assert (graded.verdict.kind, graded.verdict.why) == ("not yet", NOT_KEPT)
    assert desk.results.load() == ()


def test_a_repair_that_breaks_something_else_does_not_pass(desk: Desk, bench: WordsBench) -> None:
    begin(desk, bench, 19)
    bench.red = {ELSEWHERE}
    graded = grade(desk)
    assert (graded.verdict.kind, graded.verdict.why) == ("not yet", ELSE)
    assert graded.verdict.chapters == ("21-message-queue",)


def _away(bench: WordsBench) -> None:
    bench.away = ["compute1"]


def _locked(bench: WordsBench) -> None:
    bench.is_locked = True


def _unknown(bench: WordsBench) -> None:
    bench.red, bench.unknown = set(), {ELSEWHERE}


def _own_unknown(bench: WordsBench) -> None:
    bench.red, bench.unknown = set(), set(own(19))


@pytest.mark.parametrize("spoil", [_away, _locked, _unknown, _own_unknown])
def test_what_could_not_be_judged_costs_nothing(spoil: object, desk: Desk, bench: WordsBench) -> None:
    begin(desk, bench, 19)
    before = desk.file.path.read_bytes()
    spoil(bench)  # type: ignore[operator]
    assert grade(desk).verdict.kind == "could not tell"
    assert desk.file.path.read_bytes() == before
    assert desk.results.load() == ()


def test_logs_of_services_that_were_not_restarted_are_not_asked(desk: Desk, bench: WordsBench) -> None:
    begin(desk, bench, 3)
    log = "controller-{}-log-var-log-{}"
    bench.red = {
        log.format("40-image", "glance-glance-api.log"),
        log.format("60-network-controller", "neutron-neutron-api.log"),
    }
    assert bench.red <= {check.id for check in PLAN.checks}
    assert grade(desk).verdict.kind == "passed"
    begin(desk, bench, 3)
    bench.red = {log.format("50-compute-controller", "nova-nova-conductor.log")}
    assert bench.red <= {check.id for check in PLAN.checks}
    assert grade(desk).verdict.kind == "not yet"


def test_two_at_once_are_judged_one_by_one(desk: Desk, bench: WordsBench) -> None:
    begin(desk, bench, 19, 3)
    bench.red -= own(19)
    graded = grade(desk)
    assert {number: each.kind for number, each in graded.each.items()} == {19: "passed", 3: "not yet"}
    assert [task.number for task in desk.open().open] == [3]
    assert veil.is_veiled(desk.build_dir)


def test_what_another_exercise_that_is_not_solved_brings_with_it_is_not_this_ones_fault(
    desk: Desk, bench: WordsBench
) -> None:
    later = "controller-70-discover-hosts-openstack-count-hypervisors"
    log = "controller-30-identity-log-var-log-keystone-keystone.log"
    assert {later, log} <= {check.id for check in PLAN.checks}
    begin(desk, bench, 19, 3)
    bench.red = {*own(3), later, log}
    assert {number: each.kind for number, each in grade(desk).each.items()} == {19: "passed", 3: "not yet"}


def test_a_repair_that_breaks_what_comes_before_another_exercise_does_not_pass(desk: Desk, bench: WordsBench) -> None:
    begin(desk, bench, 19, 3)
    bench.red = {*own(3), ELSEWHERE}
    assert {number: each.why for number, each in grade(desk).each.items()} == {19: ELSE, 3: STILL}


def test_hints_cost_once_it_is_solved_and_are_free_afterwards(desk: Desk, bench: WordsBench) -> None:
    begin(desk, bench, 19)
    (offered,) = stories.next_hints(desk)
    assert (offered.name, offered.price, offered.text) == ("Where to look", 1, "")
    assert desk.running().tasks[0].hints == 0
    assert [hint.text for hint in stories.take_hint(desk)] == [find(19).facts.hints[0].text]
    assert len(stories.take_hint(desk)) == 2
    bench.red = set()
    grade(desk)
    assert desk.results.load()[0].won == 7
    assert [hint.price for hint in stories.take_hint(desk)] == [0, 0, 0]
    assert desk.results.load()[0].won == 7


def test_nothing_is_waited_for_where_nothing_starts_again(desk: Desk, bench: WordsBench) -> None:
    begin(desk, bench, 8)
    bench.red = set()
    assert grade(desk).verdict.kind == "passed"
    assert not [act for act in bench.acts if act.startswith(("restart", "settle"))]


def test_all_services_are_waited_for_where_a_part_of_a_boot_is_done_again(desk: Desk, bench: WordsBench) -> None:
    begin(desk, bench, 17)
    bench.red = set()
    assert grade(desk).verdict.kind == "passed"
    assert bench.acts[1].endswith("start_again </dev/null")
    assert bench.acts[2] == "settle"


def test_a_hint_is_not_paid_where_it_was_not_solved(desk: Desk, bench: WordsBench) -> None:
    begin(desk, bench, 19)
    stories.take_hint(desk)
    stories.reset(desk)
    (result,) = desk.results.load()
    assert (result.outcome, result.won, result.hints) == ("given up", 0, 1)


def test_solve_shows_and_applies_the_answer_for_no_points(desk: Desk, bench: WordsBench) -> None:
    begin(desk, bench, 19)
    (answer,) = stories.solve(desk)
    assert "memcached.conf" in answer.commands
    assert bench.acts == ["run on controller: solve </dev/null", "settle"]
    assert [(r.outcome, r.won) for r in desk.results.load()] == [("solved", 0)]
    assert not veil.is_veiled(desk.build_dir)


def test_what_calls_the_identity_service_is_broken_first_and_repaired_last(desk: Desk, bench: WordsBench) -> None:
    assert "batch" in find(8).script
    assert "batch" not in find(7).script
    stories.start(desk, [7, 8], student="ada", seed="ada")
    stories.solve(desk)
    told = [("break_it" if "break_it </dev/null" in sent[-40:] else "solve", "TYPE=" in sent) for _, sent in bench.sent]
    assert told == [("break_it", True), ("break_it", False), ("solve", False), ("solve", True)]
    assert [task.number for task in desk.running().tasks] == [7, 8]


def test_reset_restores_and_finds_no_difference(desk: Desk, bench: WordsBench) -> None:
    begin(desk, bench, 19)
    assert stories.reset(desk) == []
    assert bench.acts == [f"restore {CHECKPOINT}"]
    assert desk.file.load() is None
    assert bench.checkpoints == {}


def test_reset_names_a_difference(desk: Desk, bench: WordsBench) -> None:
    begin(desk, bench, 19)
    bench.checkpoints[CHECKPOINT]["/etc/nova"] = "another"
    assert stories.reset(desk) == ["/etc/nova on controller"]


def test_a_damaged_record_can_be_reset(desk: Desk, bench: WordsBench) -> None:
    begin(desk, bench, 19)
    desk.file.path.write_text("{")
    assert veil.is_veiled(desk.build_dir)
    with pytest.raises(MachineError, match="damaged"):
        grade(desk)
    assert stories.reset(desk) == []
    assert not veil.is_veiled(desk.build_dir)


def test_who_reads_the_full_messages_gets_no_points(desk: Desk, bench: WordsBench) -> None:
    begin(desk, bench, 19)
    note_teacher(desk.build_dir)
    bench.red = set()
    assert grade(desk).verdict.kind == "passed"
    assert [(r.won, r.read_all) for r in desk.results.load()] == [(0, True)]


EXAM = Exam(title="May", minutes=30, needed="66.7")


def test_an_exam_has_no_hints_boots_the_nodes_and_ends(desk: Desk, bench: WordsBench) -> None:
    begin(desk, bench, 19, 3, exam=EXAM)
    with pytest.raises(UsageError, match="no hints"):
        stories.take_hint(desk, 19)
    with pytest.raises(UsageError, match="no answers"):
        stories.solve(desk)
    bench.red -= own(3)
    graded = grade(desk)
    assert "reboot" in bench.acts
    assert graded.mark is not None
    assert (graded.mark.won, graded.mark.of, graded.mark.passed) == (20, 30, False), "66.67 % is less than 66.7 %"
    assert [r.outcome for r in desk.results.load()] == ["not passed", "passed"]
    assert not graded.running.open


def test_an_exam_after_its_time_brings_no_points_and_loses_nothing(tmp_path: Path, bench: WordsBench) -> None:
    clock = Clock()
    desk = a_desk(tmp_path, bench, clock)
    begin(desk, bench, 19, exam=EXAM)
    clock.at += 60 * 30 + 1
    bench.red = set()
    graded = grade(desk)
    assert graded.late_s == 1
    assert graded.mark is not None
    assert graded.mark.won == 0
    assert [r.outcome for r in desk.results.load()] == ["late"]
    assert CHECKPOINT in bench.checkpoints


def test_the_time_that_a_grading_takes_is_not_the_students(tmp_path: Path) -> None:
    clock = Clock()

    class Slow(WordsBench):
        def reboot(self) -> None:
            clock.at += 60 * 60

    bench = Slow()
    desk = a_desk(tmp_path, bench, clock)
    begin(desk, bench, 19, exam=EXAM)
    clock.at += 60 * 29
    bench.red = set()
    graded = grade(desk)
    assert (graded.late_s, graded.verdict.kind) == (0, "passed")
    (result,) = desk.results.load()
    assert (result.outcome, result.seconds) == ("passed", 60 * 29)


def test_an_interrupted_exam_can_be_graded_again(
    desk: Desk, bench: WordsBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(desk, bench, 19, exam=EXAM)
    bench.red = set()

    def interrupted() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bench, "reboot", interrupted)
        with pytest.raises(KeyboardInterrupt):
            grade(desk)
    assert desk.running().attempts == 0
    assert grade(desk).verdict.kind == "passed"


@pytest.mark.parametrize(("won", "needed", "passed"), [(695, "69.5", True), (695, "70", False), (700, "70", True)])
def test_the_pass_mark_is_exact(won: int, needed: str, passed: bool) -> None:
    assert Mark(won, 1000, Fraction(needed)).passed is passed


def test_an_exams_file_is_read_with_its_problems(tmp_path: Path) -> None:
    path = tmp_path / "exam.yaml"
    path.write_text("title: May\nminutes: 30\npass_percent: 69.5\nexercises: [3, 17]\n")
    assert load_exam(path).exam().needed == "69.5"
    path.write_text("title: May\nminutes: 30\npass_percent: 70\nexercises: [3, 3, 99]\n")
    with pytest.raises(UsageError, match="2 problems") as caught:
        load_exam(path)
    assert "exercise 3 again" in str(caught.value)


def test_results_have_the_digests_of_exercise_and_suite_and_several_formats(desk: Desk, bench: WordsBench) -> None:
    begin(desk, bench, 19)
    bench.red = set()
    grade(desk)
    (result,) = found = desk.results.load()
    assert result.digest == find(19).digest
    assert len(result.suite) == 12
    head, row = as_csv(found).splitlines()[:2]
    assert head.startswith("student,number,title")
    assert row.startswith("ada,19,Everything is slow,")
    page = html("demo", found)
    assert result.broken in page
    assert "10 of 10 points" in page


def test_a_students_name_is_no_markup_in_the_report_and_no_formula(desk: Desk, bench: WordsBench) -> None:
    stories.start(desk, [19], student="=<b>x", seed="ada")
    stories.reset(desk)
    found = desk.results.load()
    assert "<b>" not in html("demo", found)
    assert as_csv(found).splitlines()[1].startswith("'=")


def test_the_file_outlives_nothing_else(tmp_path: Path) -> None:
    assert RunningFile(tmp_path).load() is None
    assert not veil.is_veiled(tmp_path)
