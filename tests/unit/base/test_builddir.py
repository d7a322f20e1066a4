"""A lab works in a directory that was empty when it came, and in no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.base import builddir
from lab.base.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

SEED = "0123456789abcdef" * 4 + "\n"


def test_an_absent_or_empty_directory_is_taken_and_marked(tmp_path: Path) -> None:
    for name in ("absent", "empty", "mounted"):
        place = tmp_path / name
        if name != "absent":
            place.mkdir()
        if name == "mounted":
            (place / "lost+found").mkdir()
        assert builddir.claim(place) == place
        assert (place / builddir.MARKER).is_file()
        (place / "anything").touch()
        assert builddir.claim(place) == place


@pytest.mark.parametrize(
    "names",
    [["notes.txt"], ["logs/a.log"], ["plan.json"], ["seed", "thesis.tex"], [".rendered.json"], ["checkpoints/x/y"]],
)
def test_another_directory_is_refused_and_nothing_is_changed(tmp_path: Path, names: list[str]) -> None:
    place = tmp_path / "mine"
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(SEED)
    before = sorted(place.rglob("*"))
    with pytest.raises(UsageError, match="not a lab's build directory") as caught:
        builddir.claim(place)
    assert f"touch {place / builddir.MARKER}" in str(caught.value)
    assert sorted(place.rglob("*")) == before
    (place / builddir.MARKER).touch()  # what the hint tells
    assert builddir.claim(place) == place


@pytest.mark.parametrize(
    "names",
    [
        ["plan.json", ".rendered.json", "Vagrantfile", "users-notes"],
        ["seed", "lock"],
        ["seed"],
        ["seed", "lock", "logs", "state.json"],
    ],
)
def test_what_an_earlier_version_made_is_taken(tmp_path: Path, names: list[str]) -> None:
    place = tmp_path / "old"
    place.mkdir()
    for name in names:
        (place / name).write_text(SEED if name == "seed" else "{}")
    assert builddir.claim(place) == place
    assert (place / builddir.MARKER).is_file()


def test_a_marker_that_is_a_link_marks_nothing(tmp_path: Path) -> None:
    place = tmp_path / "mine"
    place.mkdir()
    (tmp_path / "victim").touch()
    (place / builddir.MARKER).symlink_to(tmp_path / "victim")
    with pytest.raises(UsageError):
        builddir.claim(place)
    assert (tmp_path / "victim").read_text() == ""
