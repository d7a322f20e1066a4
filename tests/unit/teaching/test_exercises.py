"""The exercises as data: what seeds draw, what the student sees, what is sent to a node."""

from __future__ import annotations

import subprocess
from itertools import combinations
from typing import TYPE_CHECKING

import pytest
from teaching_labs import plan_of

from lab.base.errors import SpecError, UsageError
from lab.teaching.exercise import points, script
from lab.teaching.exercise.catalog import BREAK, FUNCTIONS, SOLVE, Loaded, catalog, find, load, load_all
from lab.teaching.exercise.catalog import library as library_text
from lab.teaching.exercise.draw import draw, require_possible
from lab.teaching.exercise.labs import lint_plans
from lab.teaching.exercise.lint import problems
from lab.teaching.exercise.template import write

if TYPE_CHECKING:
    from pathlib import Path

ALL = catalog()
STUDENTS = ("ada", "grace", "edsger", "barbara", "ken", "radia", "dennis", "frances")
PLAN = plan_of("zed")


def test_there_are_at_least_24_in_three_levels() -> None:
    assert len(ALL) >= 24
    assert [each.number for each in ALL] == list(range(1, len(ALL) + 1))
    levels = [each.facts.level for each in ALL]
    assert all(levels.count(level) >= 6 for level in (1, 2, 3))


@pytest.mark.parametrize("exercise", ALL, ids=lambda each: each.id)
def test_the_projects_own_have_no_problem(exercise: Loaded) -> None:
    assert problems(exercise, lint_plans()) == []


@pytest.mark.parametrize("exercise", ALL, ids=lambda each: each.id)
def test_the_same_seed_gives_the_same_exercise(exercise: Loaded) -> None:
    assert draw(exercise, "ada", PLAN) == draw(exercise, "ada", PLAN)


def test_what_a_seed_draws_stays_so_that_a_printed_seed_can_be_taken_again() -> None:
    drawn = draw(find(19), "ada", PLAN)
    assert drawn.values == {"NODE": "controller", "OCTET": "166", "SECOND": "8"}


def test_two_students_answers_differ_in_three_quarters_of_the_exercises() -> None:
    """18 of 24, for every pair of a class, with a single compute node."""
    plan = plan_of("zed", (), 1)
    drawn = {name: [draw(each, name, plan).values for each in ALL] for name in STUDENTS}
    for one, other in combinations(STUDENTS, 2):
        differing = sum(a != b for a, b in zip(drawn[one], drawn[other], strict=True))
        assert 24 * differing >= 18 * len(ALL), (one, other, differing)


@pytest.mark.parametrize("exercise", ALL, ids=lambda each: each.id)
def test_every_release_has_the_checks_by_which_it_shows(exercise: Loaded) -> None:
    for plan in lint_plans():
        for student in STUDENTS:
            variant = draw(exercise, student, plan)
            require_possible(variant, plan)
            assert variant.shows(plan)


def test_an_exercise_on_what_the_lab_does_not_have_is_refused() -> None:
    spice = plan_of("zed", ("spice",))
    with pytest.raises(UsageError, match="does not have what exercise 16 is about"):
        require_possible(draw(find(16), "ada", spice), spice)


@pytest.mark.parametrize("exercise", ALL, ids=lambda each: each.id)
def test_the_student_sees_nothing_of_the_answer(exercise: Loaded) -> None:
    """What was drawn is in no text that is shown before it is paid for."""
    for student in STUDENTS:
        variant = draw(exercise, student, PLAN)
        told = " ".join((exercise.facts.title, variant.text(exercise.facts.symptom), exercise.facts.hints[0].name))
        assert "${" not in told
        for name in ("UNIT", "FILE", "DATABASE", "OPTION", "FILTER", "VALUE", "PORT", "WHERE", "REVISION"):
            if name in variant.values:
                assert variant.values[name] not in told.split()


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("exercise", ALL, ids=lambda each: each.id)
def test_what_is_sent_is_bash_and_calls_one_function_at_its_end(exercise: Loaded, function: str) -> None:
    text = script.message(draw(exercise, "ada", PLAN), function)
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False, capture_output=True).stderr == ""
    assert text.splitlines()[-1].endswith(f"{function} </dev/null")


def test_a_repair_may_start_what_failed_too_often() -> None:
    variant = draw(find(23), "ada", PLAN)
    (unit,) = variant.restarts()
    for function in FUNCTIONS:
        line = script.message(variant, function).splitlines()[-2]
        assert (line == f"systemctl reset-failed {unit} 2>/dev/null || true") == (function != BREAK)


def test_values_are_quoted_for_the_shell(tmp_path: Path) -> None:
    exercise = find(5)
    text = script.message(draw(exercise, "ada", PLAN), SOLVE)
    drawn = draw(exercise, "ada", PLAN).values
    lines = "\n".join(line for line in text.splitlines() if line.partition("=")[0] in drawn)
    shown = subprocess.run(
        ["bash", "-c", f"{lines}\nprintf '%s' \"$WHAT\""], cwd=tmp_path, text=True, check=True, capture_output=True
    )
    assert shown.stdout == drawn["WHAT"]


def test_the_answer_is_shown_with_what_was_drawn_and_passwords_by_their_names() -> None:
    variant = draw(find(2), "ada", PLAN)
    shown = script.shown(variant, SOLVE)
    assert variant.values["FILE"] in shown
    assert "$FILE" not in shown
    assert "${!SECRET}" in shown
    assert "shellcheck" not in shown


def test_unchanged_times(tmp_path: Path) -> None:
    """leaving_no_trace gives a changed file and its directory the times that they had."""
    root = tmp_path / "etc"
    root.mkdir()
    (root / "a.conf").write_text("old\n")
    library = library_text().replace('"/etc", "/root"', f'"{root}"')
    text = f"{library}\nbreak_it() {{ change {root}/a.conf sed s/old/new/; touch {root}/b.conf; }}\n"
    text = text.replace("mktemp -p /run", f"mktemp -p {tmp_path}")
    before = (root / "a.conf").stat(), root.stat()
    subprocess.run(
        ["bash", "-s"], input=f"sleep 0.05\n{text}\nleaving_no_trace break_it </dev/null\n", text=True, check=True
    )
    assert (root / "a.conf").read_text() == "new\n"
    after = (root / "a.conf").stat(), root.stat()
    assert [each.st_mtime_ns for each in before] == [each.st_mtime_ns for each in after]
    assert before[0].st_ino == after[0].st_ino
    assert (root / "b.conf").stat().st_mtime_ns == before[1].st_mtime_ns


def test_a_break_that_fails_half_way_is_an_error() -> None:
    text = f"{library_text()}\nTIMES=pass\nbreak_it() {{ false; echo went on; }}\nset -e\nleaving_no_trace break_it\n"
    text = text.replace("mktemp -p /run", "mktemp")
    done = subprocess.run(["bash", "-s"], input=text, text=True, check=False, capture_output=True)
    assert done.returncode == 1
    assert "went on" not in done.stdout


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("symptom: ", "symptom: 127.0.0.9 ", ""),
        ('guide: "Environment: Memcached"', 'guide: "Nowhere"', "no section of the guide"),
        ("22-memcached-socket", "22-memcached-sockt", "no check of a lab"),
        ("repair_wrongly() {", "repair_otherwise() {", "no function repair_wrongly"),
        ("  restart memcached\n}\n\n# The", "  sed -i s/a/b/ /etc/x\n}\n\n# The", "makes a new file"),
        ("  restart memcached\n}\n\n# The", "  mysql -p$RABBIT_PASS\n}\n\n# The", "a password in the arguments"),
        ("What a user reports; nothing", "It is ${OCTET} and", ""),
    ],
)
def test_lint_names_what_is_wrong(before: str, after: str, told: str, tmp_path: Path) -> None:
    for path in write(tmp_path, "wrong-address"):
        path.write_text(path.read_text().replace(before, after))
    found = problems(load(tmp_path / "01-wrong-address.yaml"), lint_plans())
    assert (told in "\n".join(found)) if told else True
    assert bool(found) == bool(told)


def test_lint_finds_an_answer_in_the_symptom(tmp_path: Path) -> None:
    facts, _ = write(tmp_path, "wrong-address")
    text = facts.read_text().replace("OCTET: 1..250", "WORD: [alpha, bravo]").replace("${OCTET}", "${WORD}")
    facts.write_text(text.replace("What a user reports; nothing of the answer.", "It is ${WORD}."))
    found = problems(load(facts), lint_plans())
    assert any("symptom says 'alpha'" in each for each in found)


def test_a_new_exercise_is_clean_and_gets_the_next_number(tmp_path: Path) -> None:
    write(tmp_path, "first")
    facts, sh = write(tmp_path, "second")
    assert (facts.name, sh.name) == ("02-second.yaml", "02-second.sh")
    for each in load_all(tmp_path):
        assert problems(each, lint_plans()) == []
    with pytest.raises(UsageError, match="already"):
        write(tmp_path, "second")
    with pytest.raises(UsageError, match="cannot be"):
        write(tmp_path, "../x")


def test_a_misspelt_key_is_refused_with_its_line(tmp_path: Path) -> None:
    facts, _ = write(tmp_path, "first")
    facts.write_text(facts.read_text().replace("minutes:", "minuts:"))
    with pytest.raises(SpecError, match="minuts"):
        load(facts)


def test_prices_and_points_are_whole_numbers() -> None:
    assert [points.won(level, hints) for level in (1, 2, 3) for hints in range(4)] == [
        *(10, 9, 7, 4),
        *(20, 18, 14, 8),
        *(30, 27, 21, 12),
    ]
