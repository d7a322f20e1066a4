"""README and docs/ say what is so: verbs, keys of the spec, targets, links, the module map, the example of a step."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer

from lab.base import errors
from lab.cli.main import app
from lab.inputs.catalog import load_step, load_steps
from lab.inputs.components import in_order
from lab.inputs.model import Spec, json_schema
from lab.inputs.release import Chapter, load_release, release_names
from lab.planning.plan import HostFacts
from lab.planning.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ADDING_A_STEP = (ROOT / "docs" / "adding-a-step.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
SPEC = (ROOT / "docs" / "spec.md").read_text(encoding="utf-8")
MEASURED = (ROOT / "docs" / "measured.md").read_text(encoding="utf-8")
PAPERS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


def block(text: str, name: str) -> str:
    """The text between <!-- name --> and <!-- /name -->."""
    found: list[str] = re.findall(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
    assert len(found) == 1, f"{len(found)} blocks {name}"
    return found[0]


def rows(text: str, name: str) -> list[list[str]]:
    """The cells of the table in a block, without its head."""
    lines = [line for line in block(text, name).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def verbs(group: Any = None, prefix: str = "lab") -> Iterator[tuple[str, Any]]:
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from verbs(command, f"{prefix} {name}")
        elif not command.hidden:
            yield f"{prefix} {name}", command


def test_the_table_has_every_verb_and_no_other() -> None:
    told = [re.match(r"`(lab(?: [a-z][a-z-]*)+)", row[0]) for row in rows(COMMANDS, "verbs")]
    assert sorted(match[1] for match in told if match) == sorted(name for name, _ in verbs())


def test_options_named_beside_a_verb_are_its_own() -> None:
    known = dict(verbs())
    for cell, does in rows(COMMANDS, "verbs"):
        match = re.match(r"`(lab(?: [a-z][a-z-]*)+)", cell)
        assert match
        own = {option for parameter in known[match[1]].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z][a-z-]*", cell + does)) <= own, cell


def spec_keys(schema: dict[str, Any], part: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in part["properties"].items():
        if reference := value.get("$ref"):
            yield from spec_keys(schema, schema["$defs"][reference.rsplit("/", 1)[1]], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value.get("default")


def test_the_table_of_keys_has_every_key_with_its_default() -> None:
    def shown(default: object) -> str:
        return "" if default is None else f"`{default}`"

    schema = json_schema()
    expected = {key: shown(default) for key, default in spec_keys(schema, schema)}
    assert {row[0].strip("`"): row[1] for row in rows(SPEC, "spec")} == expected


def test_the_table_of_chapters_has_every_chapter_with_its_releases() -> None:
    expected: dict[str, list[str]] = {}
    for release in in_order():
        for chapter in release.chapters:
            expected.setdefault(f"`{chapter}`", []).append(release.name)
    told = {row[0]: row[1] for row in rows(SPEC, "chapters")}
    assert told == {chapter: ", ".join(names) for chapter, names in expected.items()}


def test_make_targets_are_those_of_make_help() -> None:
    listed = subprocess.run(["make", "-s", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    targets = set(re.findall(r"^  make ([a-z-]+)", listed, re.MULTILINE))
    assert {"lab-up", "test"} <= targets
    for paper in PAPERS:
        told = set(re.findall(r"`make ([a-z-]+)", paper.read_text(encoding="utf-8")))
        told |= set(re.findall(r"^    (?:.* && )?make ([a-z-]+)", paper.read_text(encoding="utf-8"), re.MULTILINE))
        assert told <= targets, paper.name
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_exit_codes() -> None:
    told = dict(re.findall(r"(\d+) ([a-z][^·.]*)", COMMANDS[COMMANDS.index("Exit codes:") :].split("Reading verbs")[0]))
    codes = {errors.GOOD, errors.CHECK_FAILED, errors.CANNOT_TELL, errors.INTERRUPTED}
    codes |= {kind.exit_code for kind in (errors.UsageError, errors.HostError, errors.MachineError)}
    assert {int(code) for code in told} == codes


def test_the_releases_and_the_number_of_steps() -> None:
    for name in release_names():
        assert f"**{name} on" in README
    steps = load_release("zed").steps
    assert f"{len(steps)} steps from\n`{steps[0]}` to `{steps[-1]}`" in COMMANDS


@pytest.mark.parametrize(("paper", "name"), [(README, "first-run"), (MEASURED, "figures")], ids=["README", "measured"])
def test_measured_parts_are_delimited(paper: str, name: str) -> None:
    assert block(paper, name).strip()


def test_the_readme_says_the_two_commands_on_its_first_screen() -> None:
    first_screen = README.splitlines()[:18]
    assert [line.strip().split(" && ")[-1] for line in first_screen if line.startswith("    ")] == [
        "make lab-up",
        "make test",
    ]


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_links_lead_somewhere(paper: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", paper.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (paper.parent / target).exists(), f"{paper.name}: {target}"


# --- docs/architecture.md


def rooms_of_the_map() -> list[str]:
    return re.findall(r"^\| `lab/(\w+)(?:\.py)?` \|", block(ARCHITECTURE, "rooms"), re.MULTILINE)


def test_every_room_has_its_row() -> None:
    rooms = [path.parent.name for path in (ROOT / "lab").glob("*/__init__.py")]
    modules = [path.stem for path in (ROOT / "lab").glob("*.py") if path.stem != "__init__"]
    assert sorted(rooms_of_the_map()) == sorted(rooms + modules)


def test_the_rooms_stand_in_the_order_in_which_they_may_import() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    layers = [room for layer in reversed(contract["layers"]) for room in layer.split(" : ")]
    assert rooms_of_the_map() == layers


# --- docs/adding-a-step.md


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The example pair of the paper, as files."""
    for kind, ending in (("yaml", "yaml"), ("bash", "sh")):
        heading = f"`provision/95-quotas.{ending}`\n\n```{kind}\n"
        text = ADDING_A_STEP[ADDING_A_STEP.index(heading) + len(heading) :].split("```")[0]
        (tmp_path / f"95-quotas.{ending}").write_text(text, encoding="utf-8")
    return tmp_path


def test_the_example_step_gives_the_checks_that_the_paper_promises(example: Path) -> None:
    release = load_release("zed")
    chapter = Chapter(title="Quotas for a class", steps=("95-quotas",))
    release = release.model_copy(update={"chapters": {"quotas": chapter}})
    steps = load_steps(load_release("zed"), ROOT / "provision")
    steps["95-quotas"] = load_step("95-quotas", example, release.capabilities)
    spec = Spec(name="class", release="zed", chapters=("quotas",))
    checks = {check.id for check in resolve(spec, release, steps, HostFacts()).checks if check.step == "95-quotas"}
    assert checks == {
        "controller-95-quotas-unit-nova-api",
        "controller-95-quotas-unit-nova-conductor",
        "controller-95-quotas-unit-nova-scheduler",
        "controller-95-quotas-option-etc-nova-nova.conf-quota-instances",
        "controller-95-quotas-option-etc-nova-nova.conf-quota-cores",
        "controller-95-quotas-openstack-limit-instances",
    }
    assert "controller-95-quotas-option-etc-nova-nova.conf-quota-instances" in ADDING_A_STEP


def test_the_example_script_is_clean(example: Path) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    path = ROOT / "provision"
    done = subprocess.run(
        [shellcheck, "--external-sources", f"--source-path={path}", example / "95-quotas.sh"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
