"""`lab coverage`: every statement has a step and a check, every check a statement or a reason, in every lab."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError
from teaching_labs import LABS, plan_of
from typer.testing import CliRunner

from lab.cli.main import app
from lab.inputs.components import find
from lab.inputs.release import load_release, release_names
from lab.teaching.coverage import STATES, cover, name_of
from lab.teaching.guide import Change, Statement, load_guide

if TYPE_CHECKING:
    from pathlib import Path

    from lab.planning.plan import Plan
    from lab.teaching.coverage import Coverage

STATEMENTS = [statement for section in load_guide().sections for statement in section.statements]


@cache
def cover_of(name: str, chapters: tuple[str, ...] = ()) -> Coverage:
    return cover(plan_of(name, chapters))


@pytest.mark.parametrize(("name", "chapters"), LABS)
def test_every_statement_is_proven_and_every_check_has_a_reason(name: str, chapters: tuple[str, ...]) -> None:
    found = cover_of(name, chapters)
    assert [(s.id, s.why) for s in found.statements if s.state == "missing"] == []
    assert found.unexplained == ()
    for statement in found.statements:
        if statement.state in ("covered", "changed"):
            assert statement.step in {step.id for step in plan_of(name, chapters).steps}, statement.id
            assert statement.checks, statement.id
        if statement.state in ("changed", "obsolete"):
            assert statement.since, statement.id
            assert statement.instead, statement.id
            assert statement.why, statement.id
    counts = found.counts
    assert counts["statements"] == len(STATEMENTS) == sum(counts[state] for state in STATES)
    assert counts["checks"] == len(plan_of(name, chapters).checks)


def test_the_first_edition_does_all_that_the_guide_says() -> None:
    found = cover_of("newton")
    assert {statement.state for statement in found.statements} == {"covered", "optional"}
    assert {s.id for s in found.statements if s.state == "optional"} < {s.id for s in STATEMENTS if s.component}


@pytest.mark.parametrize("name", release_names())
def test_a_component_that_is_optional_is_proven_where_its_chapter_is(name: str) -> None:
    release = load_release(name)
    for statement in STATEMENTS:
        part = find(statement.component) if statement.component else None
        if part and part.chapter in release.chapters:
            states = {s.id: s.state for s in cover_of(name, (part.chapter,)).statements}
            assert states[statement.id] == "covered", statement.id


def test_every_reason_is_some_checks_and_every_change_some_labs() -> None:
    names = {name_of(check) for lab in LABS for check in plan_of(*lab).checks}
    patterns = [pattern for beyond in load_guide().beyond for pattern in beyond.checks]
    assert [p for p in patterns if not any(fnmatchcase(name, p) for name in names)] == []
    told = {s.why for lab in LABS for s in cover_of(*lab).statements if s.state in ("changed", "obsolete")}
    assert [name for name, change in load_guide().changes.items() if change.reason not in told] == []


def without(plan: Plan, ending: str) -> Plan:
    kept = tuple(check for check in plan.checks if not check.id.endswith(ending))
    assert len(kept) < len(plan.checks)
    return plan.model_copy(update={"checks": kept})


def test_a_check_that_is_gone_leaves_its_statement_missing() -> None:
    found = cover(without(plan_of("zed"), "option-etc-nova-nova.conf-oslo_concurrency-lock_path"))
    missing = {s.id: s.why for s in found.statements if s.state == "missing"}
    assert missing == {
        f"{role}-oslo-concurrency-lock-path": f"no check {step}-option-etc-nova-nova.conf-oslo_concurrency-lock_path"
        for role, step in (("controller", "50-compute-controller"), ("compute", "55-compute-node"))
    }
    assert not found.good


def test_a_step_that_is_gone_leaves_its_statements_missing() -> None:
    plan = plan_of("zed")
    found = cover(plan.model_copy(update={"steps": tuple(s for s in plan.steps if s.id != "70-discover-hosts")}))
    assert {s.why for s in found.statements if s.state == "missing"} == {"no step 70-discover-hosts or 71-verify"}


def test_a_check_that_asks_for_another_value_proves_nothing() -> None:
    plan = plan_of("zed")
    changed = tuple(
        c.model_copy(update={"args": {**c.args, "value": "http://other:9292"}})
        if c.id == "controller-50-compute-controller-option-etc-nova-nova.conf-glance-api_servers"
        else c
        for c in plan.checks
    )
    found = cover(plan.model_copy(update={"checks": changed}))
    assert [s.id for s in found.statements if s.state == "missing"] == ["controller-glance-api-servers"]


def test_a_new_check_needs_a_statement_or_a_reason() -> None:
    plan = plan_of("zed")
    check = plan.checks[0].model_copy(update={"id": "controller-50-compute-controller-moon-full", "node": "controller"})
    found = cover(plan.model_copy(update={"checks": (*plan.checks, check)}))
    assert found.unexplained == ("controller-50-compute-controller-moon-full",)
    assert not found.good


@pytest.mark.parametrize(
    "values",
    [
        {"id": "x", "command": "a", "sql": "b", "proof": ("c",)},
        {"id": "x", "command": "a"},
        {"id": "x", "option": "name = value"},
    ],
    ids=["two kinds", "no proof", "no section"],
)
def test_a_wrong_statement_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Statement.model_validate(values)


@pytest.mark.parametrize(
    "values",
    [
        {"version": "nova 1", "why": "it is"},
        {"version": "nova 1", "instead": "x"},
        {"version": "nova 1", "instead": "x", "why": "it is", "component": "nova-cert"},
        {"component": "nova-scheduler"},
        {"version": "nova 1", "instead": "x", "why": "it is", "since": "atlantis"},
    ],
    ids=["nothing instead", "no reason", "two sources", "was not removed", "unknown release"],
)
def test_a_change_says_since_when_and_what_instead(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Change.model_validate({"state": "obsolete", **values})


def test_the_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    runner = CliRunner()
    runner.invoke(app, ["init", "--release", "zed"])
    shown = runner.invoke(app, ["coverage"])
    assert shown.exit_code == 0
    assert "zed: 107 statements of the guide's Compute chapter: 66 covered, 18 changed, 20 obsolete" in shown.output
    found = json.loads(runner.invoke(app, ["coverage", "--json"]).output)
    rpc = next(s for s in found["statements"] if s["id"] == "controller-rpc-backend")
    assert (rpc["state"], rpc["step"]) == ("obsolete", "50-compute-controller")
    assert rpc["since"] == "oslo.messaging 9.0.0 (Stein)"
    assert rpc["instead"] == "[DEFAULT] transport_url"
    assert not (tmp_path / ".lab").exists()
