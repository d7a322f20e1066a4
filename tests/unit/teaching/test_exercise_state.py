"""The digest of what exercises may change on a node."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from lab.teaching.exercise import state

if TYPE_CHECKING:
    from pathlib import Path

PLACES = ("/etc/default", "/usr/lib/systemd/system")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Give a PATH with the programs that the script asks; they answer nothing."""
    for name in ("ss", "iptables-save"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def ask(programs: Path) -> subprocess.CompletedProcess[str]:
    environ, script = {"PATH": f"{programs}:/usr/bin:/bin"}, state.script(PLACES)
    return subprocess.run(["bash"], input=script, env=environ, capture_output=True, text=True, check=False)


def test_the_same_node_is_the_same_twice(programs: Path) -> None:
    (first, second) = (state.read(ask(programs).stdout) for _ in range(2))
    assert {"packet filter", "listeners", "/etc/default", "/usr/lib/systemd/system"} <= first.keys()
    assert state.differences({"controller": first}, {"controller": second}) == []


def test_another_rule_has_a_name(programs: Path) -> None:
    before = state.read(ask(programs).stdout)
    (programs / "iptables-save").write_text("#!/bin/sh\necho '-A INPUT -p tcp --dport 5000 -j DROP'\n")
    after = state.read(ask(programs).stdout)
    assert state.differences({"controller": before}, {"controller": after}) == ["packet filter on controller"]


def test_a_program_that_does_not_answer_is_no_answer(programs: Path) -> None:
    (programs / "ss").write_text("#!/bin/sh\necho 'it took too long' >&2\nexit 1\n")
    asked = ask(programs)
    assert asked.returncode != 0
    assert "ss -Hltn: it took too long" in asked.stderr
