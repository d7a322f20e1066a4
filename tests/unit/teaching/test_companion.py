"""The student's companion: what is proven, what comes next, what of a chapter is right, and what to read again."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from teaching_labs import plan_of
from typer.testing import CliRunner

from lab.base import builddir
from lab.base.errors import UsageError
from lab.cli import companion as verbs
from lab.cli.main import app
from lab.nodes.state import State, StateFile
from lab.planning.project import Lab
from lab.planning.secrets import Secrets
from lab.teaching import pages
from lab.teaching.companion import graded, place_of, plan_of_handout
from lab.teaching.handout import Edition, handout
from lab.verification import proven, veil
from lab.verification.report import CheckResult, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from lab.verification.report import Outcome

PLAN = plan_of("zed")
STEPS = [step.id for step in PLAN.steps]
CONTROLLER = "50-compute-controller"
UNIT = f"controller-{CONTROLLER}-unit-nova-scheduler"
URL = f"controller-{CONTROLLER}-option-etc-nova-nova.conf-default-transport_url"
runner = CliRunner()


def report(step: str, outcomes: Mapping[str, Outcome] | None = None) -> Report:
    """What the suite says of a step: all passed, but those whose ids end so."""

    def outcome(name: str) -> Outcome:
        return next((value for end, value in (outcomes or {}).items() if name.endswith(end)), "passed")

    checks = [check for check in PLAN.checks if check.step == step]
    said = "expected rabbit://openstack:s3cret@controller, found nothing"
    results = [CheckResult(c.id, c.step, c.node, outcome(c.id), said, c.guide, 0.1) for c in checks]
    return Report(tuple(results))


def after(*steps: str) -> State:
    """What is kept when all checks of these steps have passed."""
    state = State()
    for step in steps:
        state = proven.remember(PLAN, state, report(step))
    return state


def test_what_is_proven_by_checks_comes_first_and_the_first_that_is_not_is_next() -> None:
    assert place_of(PLAN, State()).proven == ()
    place = place_of(PLAN, after(*STEPS[:2]))
    assert [step.id for step in place.proven] == STEPS[:2]
    assert place.next is not None
    assert place.next.id == STEPS[2]
    assert place_of(PLAN, after(*STEPS)).next is None


def test_a_chapter_that_was_broken_again_is_next_again() -> None:
    state = proven.remember(PLAN, after(*STEPS), report(STEPS[1], {"mariadb": "failed"}))
    place = place_of(PLAN, state)
    assert place.next is not None
    assert place.next.id == STEPS[1]


def test_a_point_says_what_to_look_at_and_which_statement_to_read_and_no_value() -> None:
    found = graded(PLAN, CONTROLLER, report(CONTROLLER, {"unit-nova-scheduler": "failed", "transport_url": "failed"}))
    unit, url = (next(p for p in found.of("missing") if p.what.startswith(kind)) for kind in ("unit", "option"))
    assert (unit.what, unit.node) == ("unit nova-scheduler", "controller")
    assert unit.look.startswith("systemctl is-active nova-scheduler")
    assert any("service nova-scheduler restart" in text for text in unit.read)
    assert url.look == "crudini --get /etc/nova/nova.conf DEFAULT transport_url"
    assert any("transport_url" in text for text in url.read)
    assert "s3cret" not in json.dumps(found.as_dict())
    assert len(found.of("right")) == len(found.points) - 2


@pytest.mark.parametrize("step", STEPS)
def test_every_check_of_every_chapter_has_something_to_read(step: str) -> None:
    wrong = Report(tuple(replace(check, outcome="failed") for check in report(step).checks))
    found = graded(PLAN, step, wrong)
    assert found.points
    for point in found.points:
        assert point.read, point.what
        assert point.look, point.what
        assert not any(f"${{{name}}}" in " ".join((point.look, *point.read)) for name in PLAN.secrets)


def test_what_could_not_be_judged_has_its_reason() -> None:
    found = graded(PLAN, CONTROLLER, report(CONTROLLER, {"unit-nova-api": "error"}))
    assert [point.why != "" for point in found.points if point.answer == "unknown"] == [True]
    assert not found.of("missing")


@pytest.mark.parametrize("write", [pages.html, pages.markdown])
def test_a_handout_says_of_which_plan_it_is(write: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "course"
    path.write_text(write(handout(PLAN, {}, Edition.STUDENT)))
    assert plan_of_handout(path) == PLAN.digest


def test_what_is_no_handout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pdf").write_bytes(b"%PDF-1.7 \xff")
    with pytest.raises(UsageError, match="no handout in HTML or Markdown"):
        plan_of_handout(tmp_path / "x.pdf")
    with pytest.raises(UsageError, match="No such file"):
        plan_of_handout(tmp_path / "nothing")


def test_a_section_is_one_chapter(tmp_path: Path) -> None:
    text = pages.section(handout(PLAN, {}, Edition.STUDENT), "20-database")
    assert text.startswith("## 20-database: ")
    assert "What to check at the end" in text
    assert "21-message-queue:" not in text


class Course:
    """A lab whose suite reports the given results."""

    def __init__(self, directory: Path) -> None:
        self.lab = Lab(directory, PLAN, Secrets({}))
        self.said: dict[str, Outcome] = {}
        self.asked: list[str] = []

    def verify(self, plan: object, build_dir: object, steps: Collection[str], **_: object) -> Report:
        (step,) = steps
        self.asked.append(step)
        return report(step, self.said)


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Course:
    course = Course(builddir.claim(tmp_path / "build"))
    monkeypatch.setattr(verbs, "existing_lab", lambda *_: course.lab)
    monkeypatch.setattr("lab.verbs.opening.existing", lambda *_, **__: course.lab)
    monkeypatch.setattr("lab.verification.run.verify", course.verify)
    StateFile(course.lab.build_dir / "state.json").save(after(*STEPS[:2]))
    return course


def called(*argv: str) -> tuple[int, str]:
    result = runner.invoke(app, list(argv))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_a_chapter_made_by_hand_is_proven_by_its_checks(course: Course) -> None:
    code, text = called("next")
    assert code == 0
    assert f"next    {STEPS[2]}" in text
    course.said = {"rabbitmq-server": "failed"}
    code, text = called("check-step")
    assert code == 1, text
    assert course.asked == [STEPS[2]]
    assert "missing  " in text
    assert f"section {STEPS[2]} of the handout" in text
    assert "s3cret" not in text
    course.said = {}
    assert called("check-step")[0] == 0
    assert json.loads(called("next", "--json")[1])["next"]["step"] == STEPS[3]


@pytest.mark.parametrize("word", ["30-identity", "identity", "30"])
def test_a_chapter_is_named_by_its_id_or_a_part_of_it(course: Course, word: str) -> None:
    assert called("check-step", word)[0] == 0
    assert course.asked == ["30-identity"]


def test_a_chapter_that_the_lab_does_not_have_is_refused(course: Course) -> None:
    code, text = called("check-step", "90-nothing")
    assert course.asked == []
    assert code == 2
    assert "no step 90-nothing" in text


def test_what_could_not_be_judged_is_no_fault_of_the_student(course: Course) -> None:
    course.said = {"rabbitmq-server": "error"}
    code, text = called("check-step")
    assert code == 5
    assert "could not be judged" in text
    assert "missing" not in text


def test_all_is_proven(course: Course) -> None:
    StateFile(course.lab.build_dir / "state.json").save(after(*STEPS))
    assert "all chapters of this lab are proven" in called("next")[1]
    code, text = called("check-step")
    assert code == 2
    assert "all chapters are proven" in text


def test_while_an_exercise_runs_no_chapter_is_graded(course: Course) -> None:
    (course.lab.build_dir / veil.FILE).write_text('{"veiled": true}')
    code, text = called("check-step", "20-database")
    assert code == 2
    assert "would give its answer away" in text
    assert course.asked == []


def test_the_handout_of_another_plan_is_named_as_such(course: Course, tmp_path: Path) -> None:
    mine, other = tmp_path / "mine.html", tmp_path / "other.md"
    mine.write_text(pages.html(handout(PLAN, {}, Edition.STUDENT)))
    other.write_text(pages.markdown(handout(plan_of("epoxy"), {}, Edition.STUDENT)))
    assert "another plan" not in called("next", "--handout", str(mine))[1]
    assert "is the handout of another plan" in called("next", "--handout", str(other))[1].replace("\n", " ")
    assert f"## {STEPS[2]}: " in called("next", "--read")[1]
