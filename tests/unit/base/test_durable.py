"""Directories that a lab has no more use for."""

from __future__ import annotations

from pathlib import Path

from lab.base import durable


def test_an_empty_directory_is_removed_and_one_that_holds_something_stays(tmp_path: Path) -> None:
    (empty := tmp_path / "empty").mkdir()
    assert durable.remove_empty(empty)
    assert not empty.exists()
    assert not durable.remove_empty(empty)
    (tmp_path / "file").touch()
    assert not durable.remove_empty(tmp_path)
    assert tmp_path.exists()


def test_a_mount_point_stays_without_an_error() -> None:
    assert not durable.remove_empty(Path("/proc"))  # empty or not: the kernel refuses for every mount point
