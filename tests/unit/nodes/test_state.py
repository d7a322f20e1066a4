from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.base.errors import DamagedFileError, MachineError
from lab.nodes.state import State, StateFile, StepRecord, digest

if TYPE_CHECKING:
    from pathlib import Path

RECORD = StepRecord(inputs="abc", seconds=1.5, finished="2026-01-01T00:00:00+00:00")


def test_absent_file_is_the_empty_state(tmp_path: Path) -> None:
    assert StateFile(tmp_path / "state.json").load() == State()


def test_what_is_saved_is_loaded_and_private(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    state = State().with_step("controller", "20-database", RECORD)
    StateFile(path).save(state)
    assert StateFile(path).load() == state
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_step_can_be_forgotten() -> None:
    state = State().with_step("controller", "20-database", RECORD).with_step("compute1", "10-environment", RECORD)
    assert list(state.without_steps({("controller", "20-database")}).steps) == ["compute1/10-environment"]


def test_a_file_with_phases_is_still_read(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"version": 1, "steps": {}, "phases": {"boxes": 0.3}}')
    assert StateFile(tmp_path / "state.json").load() == State()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1, "steps": 3}', '{"version": 1, "surprise": 1}'])
def test_a_damaged_file_says_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(DamagedFileError, match=r"state\.json is damaged") as caught:
        StateFile(path).load()
    assert "lab up" in caught.value.hint
    assert path.read_text() == text
    assert caught.value.set_aside().read_text() == text
    assert StateFile(path).load() == State()


def test_bytes_that_are_no_text_are_damage(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DamagedFileError):
        StateFile(tmp_path / "state.json").load()


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"version": 2}')
    with pytest.raises(MachineError, match="newer version of lab") as caught:
        StateFile(path).load()
    assert not isinstance(caught.value, DamagedFileError)
    assert path.exists()


def test_digest_tells_names_and_texts_apart() -> None:
    assert digest({"a": "bc"}) != digest({"ab": "c"})
    assert digest({"a": "1", "b": "2"}) == digest({"b": "2", "a": "1"})
