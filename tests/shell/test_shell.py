"""The shell helpers by bats, and how a step reads. `make lint` has shellcheck and shfmt."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROVISION = ROOT / "provision"


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


@pytest.mark.parametrize(
    "path", sorted(PROVISION.rglob("[0-9]*.sh")), ids=lambda path: str(path.relative_to(PROVISION))
)
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
