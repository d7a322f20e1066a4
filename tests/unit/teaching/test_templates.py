"""What `lab new` writes can be used as it is, and what is wrong with a chapter is named."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from lab.base import resources
from lab.base.errors import UsageError
from lab.cli.main import app
from lab.teaching import chapters, templates

if TYPE_CHECKING:
    from pathlib import Path

runner = CliRunner()


def test_the_projects_own_chapters_have_no_problem() -> None:
    assert chapters.problems(resources.PROVISION) == []


def test_a_new_chapter_is_clean(tmp_path: Path) -> None:
    facts, script = templates.chapter(tmp_path, "95-quotas")
    assert (facts.name, script.name) == ("95-quotas.yaml", "95-quotas.sh")
    assert chapters.problems(tmp_path) == []
    with pytest.raises(UsageError, match="a chapter 95-quotas already"):
        templates.chapter(tmp_path, "96-quotas")


@pytest.mark.parametrize("step", ["quotas", "9-quotas", "95_quotas", "95-../x", "95-Quotas"])
def test_an_id_that_cannot_be_one_is_refused(step: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be the id"):
        templates.chapter(tmp_path, step)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("suffix", "before", "after", "told"),
    [
        ("sh", "# Guide: Compute", "# See: Compute", "names no section of the guide"),
        ("sh", "# What the chapter makes, in one sentence.\n#\n", "", "does not begin with what it is for"),
        ("sh", "heading '", "echo '", "no heading"),
        ("yaml", "kind: openstack", "kind: opnstack", "of the kind opnstack"),
        ("yaml", "units: [nova-api]", "unit: [nova-api]", "unit"),
    ],
)
def test_lint_names_what_is_wrong_with_a_chapter(
    suffix: str, before: str, after: str, told: str, tmp_path: Path
) -> None:
    templates.chapter(tmp_path, "95-quotas")
    path = tmp_path / f"95-quotas.{suffix}"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    result = runner.invoke(app, ["exercise", "lint", "--chapters", str(tmp_path)])
    assert result.exit_code == 2
    assert told in result.output


def test_a_new_check_is_a_test_of_plain_testinfra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert runner.invoke(app, ["new", "check", "class-quota"]).exit_code == 0
    tree = ast.parse((tmp_path / "checks" / "test_class_quota.py").read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert [(f.name, [a.arg for a in f.args.args]) for f in functions] == [
        ("test_class_quota", ["controller"]),
        ("test_class_quota_on_every_compute_node", ["computes"]),
    ]
    again = runner.invoke(app, ["new", "check", "class-quota"])
    assert again.exit_code == 2
    assert "exists" in again.output
    assert runner.invoke(app, ["new", "check", "../x"]).exit_code == 2
