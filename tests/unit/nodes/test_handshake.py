"""The first words with a node, which is a directory here."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from lab.base.errors import MachineError
from lab.base.process import Completed
from lab.nodes.handshake import PAYLOAD, first_contact

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class FakeSsh:
    """Runs the commands here, below `root` instead of /opt/lab, with a clock that is `ahead`."""

    def __init__(self, root: Path, ahead: float = 0.0) -> None:
        self._root = root
        self._ahead = ahead
        self.pushed: list[str] = []
        self.commands: list[list[str]] = []

    def abort(self) -> None: ...

    def first_answer(self, node: str, command: Sequence[str], timeout_s: float) -> Completed:
        if node == "away":
            raise MachineError(f"away did not answer within {timeout_s:.0f} s")
        return self.run(node, command)

    def run(self, node: str, command: Sequence[str]) -> Completed:
        self.commands.append([node, *command])
        if command[:2] == ["date", "+%s.%N"]:
            return self._said(f"{time.time() + self._ahead}\n")
        if "--set" in command:
            return self._said("")
        words = [str(self._root / node) if word == PAYLOAD else word for word in command[2:]]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        first, *files, last = done.stdout.splitlines()
        lines = [f"{float(first) + self._ahead}", *files, f"{float(last) + self._ahead}"]
        return self._said("\n".join(lines) + "\n")

    def push(self, node: str, local_dir: Path, remote_dir: str) -> None:
        assert remote_dir == PAYLOAD
        self.pushed.append(node)

    @staticmethod
    def _said(text: str) -> Completed:
        return Completed((), 0, text, "", 0.0)


@pytest.fixture
def build(tmp_path: Path) -> Path:
    build = tmp_path / "build"
    for node in ("controller", "compute1"):
        (build / "nodes" / node / "lib").mkdir(parents=True)
        for name in ("run-step", "lib/a b.sh", "lib/Z.sh", "lib/a.sh", "lib-x"):
            (build / "nodes" / node / name).write_text(f"{node} {name}")
    return build


def test_a_node_that_has_it_all_gets_nothing(build: Path, tmp_path: Path) -> None:
    shutil.copytree(build / "nodes", tmp_path / "there")
    ssh = FakeSsh(tmp_path / "there")
    found = first_contact(cast("Any", ssh), build, ["controller", "compute1"], timeout_s=5)
    assert not any(contact.pushed for contact in found.values())
    assert ssh.pushed == []
    assert len(ssh.commands) == 2


@pytest.mark.parametrize("change", ["another text", "a file too many", "a file missing", "no directory"])
def test_any_difference_is_replaced(build: Path, tmp_path: Path, change: str) -> None:
    there = tmp_path / "there" / "controller"
    shutil.copytree(build / "nodes" / "controller", there)
    if change == "another text":
        (there / "run-step").write_text("")  # as a power cut leaves it
    elif change == "a file too many":
        (there / "lib" / "extra.sh").touch()
    elif change == "a file missing":
        (there / "lib-x").unlink()
    else:
        shutil.rmtree(there)
    ssh = FakeSsh(tmp_path / "there")
    assert first_contact(cast("Any", ssh), build, ["controller"], timeout_s=5)["controller"].pushed
    assert ssh.pushed == ["controller"]


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
def test_a_wrong_clock_is_set(build: Path, tmp_path: Path, ahead: float) -> None:
    shutil.copytree(build / "nodes", tmp_path / "there")
    ssh = FakeSsh(tmp_path / "there", ahead)
    off = first_contact(cast("Any", ssh), build, ["controller"], timeout_s=5)["controller"].clock_off_s
    assert off == pytest.approx(ahead, abs=30)
    assert ssh.commands[-1][:5] == ["controller", "sudo", "date", "--utc", "--set"]


def test_a_node_that_is_away(build: Path, tmp_path: Path) -> None:
    shutil.copytree(build / "nodes", tmp_path / "there")
    with pytest.raises(MachineError, match="away did not answer"):
        first_contact(cast("Any", FakeSsh(tmp_path / "there")), build, ["controller", "away"], timeout_s=5)
