"""The golden labs of a cache: complete or not there, nobody else's to read, and not removed below a lab."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from golden_samples import manifest_of

from lab.base.errors import MachineError, UsageError
from lab.golden.digest import Parts
from lab.golden.store import Golden, GoldenLabs
from lab.host import golden_disks

if TYPE_CHECKING:
    from pathlib import Path

PARTS = Parts(disks={"release": "zed"}, memory={"QEMU": "7.2"})


@pytest.fixture
def store(tmp_path: Path) -> GoldenLabs:
    return GoldenLabs(tmp_path / "cache", state_root=tmp_path / "hosts")


def made(store: GoldenLabs, name: str = "zed-1", created: float = 1.0) -> Golden:
    partial = store.begin(name)
    (partial / "disks" / "controller.qcow2").write_bytes(b"disk")
    (partial / "controller.mem").write_bytes(b"memory")
    return store.finish(partial, manifest_of(partial, PARTS, created))


def test_a_new_one_is_there_with_its_manifest_alone(store: GoldenLabs) -> None:
    partial = store.begin("zed-1")
    assert (store.complete(), store.exists("zed-1"), store.half_written()) == ([], False, ["zed-1.partial"])
    store.abandon(partial)
    golden = made(store)
    assert [each.name for each in store.complete()] == ["zed-1"]
    assert store.find("zed-1").manifest == golden.manifest
    assert golden.damage() == ""


def test_nobody_else_comes_near(store: GoldenLabs) -> None:
    golden = made(store)
    for directory in (store.root, golden.directory):
        assert directory.stat().st_mode & 0o777 == 0o700
    assert (golden.directory / "manifest.json").stat().st_mode & 0o777 == 0o600
    assert golden.disks.stat().st_mode & 0o777 == 0o755  # a private host shows it to QEMU's user


def test_the_newest_comes_first(store: GoldenLabs) -> None:
    for name, created in (("zed-1", 1.0), ("zed-2", 3.0), ("zed-3", 2.0)):
        made(store, name, created)
    assert [each.name for each in store.complete()] == ["zed-2", "zed-3", "zed-1"]


def test_what_a_crash_leaves_goes_with_the_next_save(store: GoldenLabs) -> None:
    store.begin("zed-1")
    made(store, "zed-2")
    (store.root / "zed-2" / "manifest.json").unlink()  # as an interrupted removal
    store.begin("zed-3")
    assert store.half_written() == ["zed-3.partial"]


@pytest.mark.parametrize("text", ["", "{", "{}"])
def test_one_with_a_damaged_manifest_is_half_written(store: GoldenLabs, text: str) -> None:
    golden = made(store)
    (golden.directory / "manifest.json").write_text(text)
    assert (store.complete(), store.half_written()) == ([], ["zed-1"])


def test_one_of_a_newer_version_is_left_alone(store: GoldenLabs) -> None:
    golden = made(store)
    path = golden.directory / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 2}))
    store.sweep()
    assert store.of_other_versions() == ["zed-1"]
    with pytest.raises(MachineError, match="newer version"):
        store.find("zed-1")


def test_a_changed_disk_or_memory_is_seen(store: GoldenLabs) -> None:
    golden = made(store)
    (golden.disks / "controller.qcow2").write_bytes(b"DISK")
    assert "controller.qcow2" in golden.damage()
    (golden.disks / "controller.qcow2").write_bytes(b"disk")
    (golden.directory / "controller.mem").unlink()
    assert golden.damage() == "controller.mem is missing"


def test_one_below_a_lab_is_not_removed(store: GoldenLabs, tmp_path: Path) -> None:
    golden = made(store)
    state = tmp_path / "hosts" / "demo-12345678"
    golden_disks.note(state, golden.directory)
    assert store.users("zed-1") == ["demo-12345678"]
    with pytest.raises(UsageError, match=r"golden lab zed-1 is in use: the disks of demo-12345678"):
        store.remove("zed-1")
    assert [each.name for each in store.complete()] == ["zed-1"]
    (state / "golden").unlink()  # as with the host
    store.remove("zed-1")
    assert not golden.directory.exists()


def test_one_that_a_lab_begins_with_just_now_is_not_removed(store: GoldenLabs, tmp_path: Path) -> None:
    golden = made(store)
    looks: list[bool] = []

    class Racing(GoldenLabs):
        """A lab notes it between the first look and the last."""

        def users(self, name: str) -> list[str]:
            looks.append((golden.directory / "manifest.json").exists())
            found = super().users(name)
            golden_disks.note(tmp_path / "hosts" / "demo-1", golden.directory)
            return found

    with pytest.raises(UsageError, match="is in use: the disks of demo-1"):
        Racing(store.root.parent, state_root=tmp_path / "hosts").remove("zed-1")
    assert looks == [True, False]  # who notes it after the last look finds no manifest
    golden.require()
    assert store.complete() == [golden]
    (tmp_path / "hosts" / "demo-1" / "golden").unlink()
    store.remove("zed-1")
    with pytest.raises(MachineError, match="golden lab zed-1 was removed"):
        golden.require()


def test_an_unknown_name(store: GoldenLabs) -> None:
    with pytest.raises(UsageError, match="no golden lab zed-1") as caught:
        store.remove("zed-1")
    assert "there is none yet" in caught.value.hint
    made(store, "zed-2")
    with pytest.raises(UsageError, match="no golden lab zed-1"):
        store.remove("zed-1")


def test_the_note_of_a_host_shows_the_disks(store: GoldenLabs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden_disks, "DISKS_SEEN_AT", tmp_path / "seen")
    state, golden = tmp_path / "hosts" / "demo-1", made(store)
    assert golden_disks.binds(state) == {}
    golden_disks.note(state, golden.directory)
    assert golden_disks.binds(state) == {tmp_path / "seen": golden.disks}
    assert (tmp_path / "seen").is_dir()
    store.abandon(golden.directory)  # removed by hand: the host starts, and says so at the machines
    assert golden_disks.binds(state) == {}
