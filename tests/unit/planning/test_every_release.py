"""A release is data: what belongs to one, and that no code asks for its name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from lab.base import resources
from lab.base.errors import HostError, UsageError
from lab.box.definition import built_suites, load_definition
from lab.inputs.catalog import load_step, load_steps
from lab.inputs.model import Spec
from lab.inputs.release import load_release, release_names
from lab.machines.boxes import ensure_for_plan
from lab.planning.plan import HostFacts
from lab.planning.resolve import resolve

ROOT = Path(__file__).resolve().parents[3]
DISTRIBUTIONS = {"debian", "ubuntu"}
PROBES = ("os-release", "lsb_release", "VERSION_CODENAME", "debian_version", "LAB_RELEASE", "LAB_SUITE")
PYTHON = sorted((ROOT / "lab").rglob("*.py"))
SHELL = [
    path
    for path in sorted((ROOT / "provision").rglob("*"))
    if path.is_file() and path.suffix not in {".yaml", ".pyc"} and "/." not in str(path.relative_to(ROOT))
]


def names() -> set[str]:
    releases = [load_release(name) for name in release_names()]
    return {text for release in releases for text in (release.name, release.series, release.suite)}


def asked_in_python(text: str) -> set[str]:
    """Names that stand in the code as a value of their own, to be compared with or looked up by."""
    nodes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
    constants = {node.value for node in nodes if isinstance(node.value, str)}
    return constants & (names() | DISTRIBUTIONS)


def asked_in_shell(text: str) -> set[str]:
    """Names and ways to find them out, in a script's code; its comments may tell of them."""
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    words = set(re.findall(r"[\w.]+", code.replace("-", " ")))
    return (words & names()) | {probe for probe in PROBES if probe in code}


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_asks_for_a_release_or_a_distribution(path: Path) -> None:
    assert asked_in_python(path.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize("path", SHELL, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_script_asks_for_a_release_or_a_distribution(path: Path) -> None:
    assert asked_in_shell(path.read_text(encoding="utf-8")) == set()


def test_what_would_be_found() -> None:
    assert asked_in_python('if release == "zed":\n    x = {"2025.1": 1}\n"""as zed"""') == {"zed", "2025.1"}
    assert asked_in_python('match suite:\n    case "trixie" | "debian": pass') == {"trixie", "debian"}
    assert asked_in_shell("# zed\nif [[ $X == zed-1 ]] || grep -q trixie /etc/os-release; then") == {
        "zed",
        "trixie",
        "os-release",
    }


def missing(name: str) -> list[str]:
    """What a release named NAME still lacks."""
    if name not in release_names():
        return [f"lab/releases/{name}.yaml"]
    release = load_release(name)
    pairs = [f"{step}.{end}" for step in release.every_step for end in ("yaml", "sh")]
    wanted = [
        *(resources.PROVISION / release.edition / pair for pair in pairs),
        resources.BOXES / f"{release.suite}.yaml",
        ROOT / "tests/golden/releases" / f"{name}.txt",
    ]
    lacking = [path.relative_to(ROOT).as_posix() for path in wanted if not path.is_file()]
    if f"**{name} on" not in (ROOT / "README.md").read_text(encoding="utf-8"):
        lacking.append(f"README.md: **{name} on …**")
    return lacking


@pytest.mark.parametrize("name", release_names())
def test_a_release_lacks_nothing(name: str) -> None:
    assert missing(name) == []


def test_what_is_missing_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing("wallaby") == ["lab/releases/wallaby.yaml"]
    changed = load_release("zed").model_copy(update={"suite": "sid", "steps": ("10-environment", "11-nothing")})
    monkeypatch.setattr("test_every_release.load_release", lambda name: changed)
    assert missing("zed") == ["provision/11-nothing.yaml", "provision/11-nothing.sh", "boxes/sid.yaml"]


@pytest.mark.parametrize("name", release_names())
def test_every_capability_is_read_by_a_script_or_by_facts(name: str) -> None:
    stated = set(load_release(name).capabilities)
    scripts = "\n".join(path.read_text(encoding="utf-8") for path in SHELL)
    steps = [load_step(path.stem, path.parent, stated) for path in resources.PROVISION.rglob("[0-9]*.yaml")]
    read = {*re.findall(r"LAB_HAS_(\w+)", scripts), *(asked for step in steps for asked in step.facts.when)}
    read |= {asked for step in steps for check in step.facts.checks for asked in (check.when, check.unless) if asked}
    assert stated == read


@pytest.mark.parametrize("name", [name for name in release_names() if load_release(name).suite in built_suites()])
def test_the_box_of_a_release_is_of_its_suite(name: str) -> None:
    release = load_release(name)
    definition = load_definition(release.suite)
    assert (definition.suite, definition.archives[0]) == (release.suite, release.suite)
    assert release.box == f"compute-lab/{name}"


def test_the_boxes_of_every_tested_release_are_built_here() -> None:
    tested = {release.suite for release in map(load_release, release_names()) if release.tested}
    assert tested
    assert tested <= set(built_suites())
    assert "xenial" not in built_suites()


def test_a_box_that_is_not_built_is_the_users_to_bring() -> None:
    with pytest.raises(UsageError, match="boxes of xenial are not built here: provide one, with its checksum") as no:
        load_definition("xenial")
    assert "generic/ubuntu1604" in no.value.detail
    assert "box: {url: FILE-OR-ADDRESS, sha256: 64 HEXADECIMAL DIGITS}" in no.value.detail


def test_a_box_that_the_spec_brings_is_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    release = load_release("newton")
    box = {"url": str(tmp_path / "ubuntu1604.box"), "sha256": "AB" * 32}
    spec = Spec.model_validate({"name": "demo", "release": "newton", "box": box})
    plan = resolve(spec, release, load_steps(release, resources.PROVISION), HostFacts())
    assert (plan.box_url, plan.box_sha256) == (f"file://{tmp_path}/ubuntu1604.box", "ab" * 32)
    with pytest.raises(HostError, match=r"ubuntu1604\.box could not be fetched"):
        ensure_for_plan(plan, None, print)
    with pytest.raises(UsageError, match="are not built here"):
        ensure_for_plan(plan.model_copy(update={"box_url": None}), None, print)
