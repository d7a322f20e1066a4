"""`lab box list` and `lab box remove` on a cache that holds good and damaged boxes."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from lab.box import store
from lab.box.intact import facts_of_all
from lab.box.manifest import ReadyMade
from lab.machines.boxes import show_to_vagrant
from lab.terminal.boxes import print_list
from lab.verbs import boxes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GOOD, BAD = "compute-lab/ready-made-aa", "compute-lab/ready-made-bb"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One good box and an empty one."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    for name in (GOOD, BAD):
        with store.scratch(tmp_path, name) as scratch:
            files = scratch / "result/libvirt"
            files.mkdir(parents=True)
            (files / "box.img").write_bytes(b"image")
            facts = {"name": name, "version": "1", "built": "2026-01-02T03:04:05Z", "files": facts_of_all(files)}
            made = ReadyMade(**facts, url="file:///a[b].box", sha256=name[-2:])
            store.publish(tmp_path, made, scratch / "result")
    (tmp_path / "boxes" / store.slug(BAD) / "1/libvirt/box.img").write_bytes(b"")


def test_a_damaged_box_is_listed_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    print_list(boxes.list_all(), as_json=False)
    said = capsys.readouterr().out
    assert "version 1, ready-made, from file:///a[b].box, 0 MiB" in said
    assert "version 1 is damaged: box.img has 0 bytes instead of 5" in said
    assert "1 boxes, 0.0 GiB" in said


def test_a_program_is_told_too(capsys: pytest.CaptureFixture[str]) -> None:
    print_list(boxes.list_all(), as_json=True)
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows[GOOD]["version"] == "1"
    assert rows[BAD]["damaged"] == "box.img has 0 bytes instead of 5"


def test_an_image_is_placed_for_vagrant_and_several_disks_are_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vagrant-libvirt names the volumes of version 2 by the disks, and uploads what the pool lacks."""
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "home"))
    (tmp_path / "pool").mkdir()
    (good,) = store.list_boxes(tmp_path)
    disks = good.manifest.model_copy(update={"files": {"disk.img": good.manifest.files["box.img"]}})
    host: Any = PoolHost(tmp_path / "pool")
    show_to_vagrant([store.Box(disks, good.directory)], host)
    assert list(host.pool_dir.iterdir()) == []
    show_to_vagrant([good], host)
    assert [p.name for p in host.pool_dir.iterdir()] == [good.volume_name]
    assert host.refreshed == 2


class PoolHost:
    """A host with nothing but a pool."""

    def __init__(self, pool_dir: Path) -> None:
        self.pool_dir = pool_dir
        self.refreshed = 0

    @contextmanager
    def hypervisor(self) -> Iterator[PoolHost]:
        yield self

    def refresh_pool(self) -> None:
        self.refreshed += 1


def test_all_removes_the_damaged_ones_too(tmp_path: Path) -> None:
    boxes.remove("all")
    assert store.survey(tmp_path) == ([], [])
