"""The shell scripts, by the programs made for them: bats, shellcheck, shfmt."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROVISION = ROOT / "provision"


def scripts() -> list[Path]:
    """Every shell script of provision/ and boxes/: by its ending, or by its first line where it has none."""
    files = [path for top in ("provision", "boxes") for path in sorted((ROOT / top).rglob("*")) if path.is_file()]
    return [path for path in files if path.suffix in {".sh", ".bash"} or first_line(path).endswith(("bash", "/sh"))]


def first_line(path: Path) -> str:
    with path.open("rb") as file:
        line = file.readline(100)
    return line.decode(errors="replace").strip() if line.startswith(b"#!") else ""


def tool(name: str) -> str:
    """The program of this virtual environment, else the machine's."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not installed: apt-get install {name}, or make test")
    return found


def check(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "tests/shell").glob("*.bats")), ids=lambda path: path.name)
def test_bats(path: Path) -> None:
    check(tool("bats"), str(path))


def test_shellcheck() -> None:
    check(tool("shellcheck"), "--external-sources", *map(str, scripts()))


def test_shfmt() -> None:
    check(tool("shfmt"), "-i", "2", "-ci", "-d", *map(str, scripts()))


def test_the_scripts_are_found() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in scripts()}
    assert {"provision/run-step", "provision/lib/wait.sh", "provision/50-compute-controller.sh"} <= names


@pytest.mark.parametrize("path", sorted(PROVISION.glob("[0-9]*.sh")), ids=lambda path: path.stem)
def test_a_step_reads_beside_the_guide(path: Path) -> None:
    """Header, strict mode, one place for helpers, a fact file."""
    text = path.read_text()
    lines = text.splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "# Guide: " in text
    assert "set -euo pipefail" in lines
    assert 'source "${LAB_DIR:-/opt/lab}/lib/common.sh"' in lines
    assert path.with_suffix(".yaml").is_file()
    code = [line for line in lines if not line.lstrip().startswith("#")]
    assert not any(line.strip().startswith("sleep ") for line in code), "a wait has a name and a limit: wait_for"
    assert all(len(line) <= 120 for line in lines if "ensure " not in line)
