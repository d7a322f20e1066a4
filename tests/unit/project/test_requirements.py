"""requirements/*.txt hold what pyproject.toml asks for, each with its checksum, and the doors install nothing else."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = PROJECT["project"]["dependencies"]
EXTRAS = PROJECT["project"]["optional-dependencies"]
GROUPS = PROJECT["dependency-groups"]
WANTED = {
    "runtime": RUNTIME,
    "dev": [*RUNTIME, *EXTRAS["dev"], *EXTRAS["pdf"]],
    "pdf": [*RUNTIME, *EXTRAS["pdf"]],
    "build": [*GROUPS["build"], *PROJECT["build-system"]["requires"]],
    "browser": GROUPS["browser"],
    "clients": GROUPS["clients"],
    "tempest": GROUPS["tempest"],
}
FILES = pytest.mark.parametrize("name", WANTED)


def text_of(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text()


def entries(name: str) -> dict[str, str]:
    """Read a file as: a package's canonical name to its line, with the lines that go on joined."""
    joined = text_of(name).replace("\\\n", " ")
    lines = [line.strip() for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return {canonicalize_name(Requirement(line.split(" --hash")[0]).name): line for line in lines}


def pinned(name: str) -> dict[str, str]:
    found = {}
    for package, line in entries(name).items():
        (specifier,) = Requirement(line.split(" --hash")[0]).specifier
        assert specifier.operator == "==", line
        found[package] = specifier.version
    return found


@FILES
def test_what_pyproject_asks_for_is_pinned_within_its_range(name: str) -> None:
    versions = pinned(name)
    for wanted in map(Requirement, WANTED[name]):
        assert wanted.specifier.contains(versions.get(canonicalize_name(wanted.name), "none at all")), wanted


@FILES
def test_every_package_has_a_checksum_and_nothing_says_where_it_comes_from(name: str) -> None:
    for line in entries(name).values():
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), line
    assert not re.search(r"://|^\s*-(?!-hash)", text_of(name), re.MULTILINE)


def test_the_files_agree_with_each_other() -> None:
    dev = pinned("dev")
    assert pinned("runtime").items() <= pinned("pdf").items() <= dev.items()
    shared = {package: version for package, version in pinned("build").items() if package in dev}
    assert shared.items() <= dev.items()


def test_the_runtime_has_no_tool_of_development_and_no_pdf() -> None:
    tools = {canonicalize_name(Requirement(r).name) for r in (*EXTRAS["dev"], *EXTRAS["pdf"])}
    assert not tools & set(pinned("runtime"))


def test_these_tests_run_with_what_is_pinned() -> None:
    applies = {package for package, line in entries("dev").items() if ";" not in line}
    wrong = {p: version(p) for p, pin in pinned("dev").items() if p in applies and version(p) != pin}
    assert not wrong


def dry_run(target: str) -> list[str]:
    """The commands of pip that a target leads to where there is no virtualenv yet."""
    shown = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", target, "VENV=no-virtualenv-yet", "LAB=pyproject.toml"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [line.strip() for line in shown.stdout.splitlines() if "pip install" in line]


@pytest.mark.parametrize("target", ["setup", "lab-up", "lab-down"])
def test_who_runs_a_lab_gets_the_runtime_with_checksums_and_no_more(target: str) -> None:
    commands = dry_run(target)
    assert [re.findall(r"requirements/\w+\.txt|--editable \.$", c) for c in commands] == [
        ["requirements/build.txt"],
        ["requirements/runtime.txt"],
        ["--editable ."],
    ]
    for command in commands:
        assert "--no-build-isolation" in command
        assert "--no-deps" in command if "--editable" in command else "--require-hashes" in command


@pytest.mark.parametrize("target", ["test", "lint"])
def test_who_develops_gets_the_rest_with_checksums_too(target: str) -> None:
    (last,) = [command for command in dry_run(target) if "dev" in command]
    assert "--require-hashes --requirement requirements/dev.txt" in last
