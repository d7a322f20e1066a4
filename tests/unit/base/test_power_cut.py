"""A power cut at any moment of any writer: the readers see the old or the new, and what was promised is on the disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from power_cut import after_each, at_the_end, recorded
from sample_plans import sample_plan

from lab.base import builddir, durable
from lab.base.errors import UsageError
from lab.box import store
from lab.box.intact import facts_of_all
from lab.box.manifest import Inputs
from lab.box.manifest import Manifest as BoxManifest
from lab.checkpoint.store import Checkpoints, Manifest
from lab.generator.files import KEPT_LIST, write_tree
from lab.generator.render import RenderedFile
from lab.host import records
from lab.machines.vagrant import Vagrant
from lab.nodes.ssh_config import SshConfig
from lab.nodes.state import State, StateFile, StepRecord
from lab.planning import project
from lab.planning.secrets import load_or_create_seed, load_seed

if TYPE_CHECKING:
    from pathlib import Path

PLAN = sample_plan()
NEW_STATE = State(steps={"controller/10-environment": StepRecord(inputs="a", seconds=1.0, finished="now")})
MANIFEST = Manifest(created=1.0, running=True, steps=())
SSH = "Host controller\n  HostName 10.0.0.11\n"


def box_manifest(name: str = "compute-lab/zed-controller", files: Path | None = None) -> BoxManifest:
    """Make the manifest of a box with the files of a directory."""
    return BoxManifest(
        name=name,
        version="2026.102.5",
        release="zed",
        role="controller",
        flavour="installed",
        built="2026-01-02T03:04:05Z",
        files=facts_of_all(files) if files else {},
        inputs=Inputs(suite="bookworm", requested=(), definition="", scripts={}, tools={}),
        sources=(),
        packages={},
        seconds={},
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "build"
    place.mkdir()
    return place


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "after"


def test_the_recorder_sees_a_writer_that_does_not_sync(root: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "file").write_text("old")
    with recorded(root, monkeypatch) as disk:
        (root / ".new").write_text("new")
        (root / ".new").replace(root / "file")
    contents = {(place / "file").read_text() for _, place in after_each(disk, work)}
    assert contents == {"old", ""}
    assert (at_the_end(disk, work) / "file").read_text() == "old"


def test_a_file_is_old_or_new(root: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "file").write_text("old")
    with recorded(root, monkeypatch) as disk:
        durable.write_text(root / "file", "new", mode=0o600)
    assert {(place / "file").read_text() for _, place in after_each(disk, work)} == {"old", "new"}
    assert (at_the_end(disk, work) / "file").read_text() == "new"


def test_the_state(root: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    StateFile(root / "state.json").save(State())
    with recorded(root, monkeypatch) as disk:
        StateFile(root / "state.json").save(NEW_STATE)
    for moment, place in after_each(disk, work):
        assert StateFile(place / "state.json").load() in (State(), NEW_STATE), moment
    assert StateFile(at_the_end(disk, work) / "state.json").load() == NEW_STATE


def test_a_build_directory(root: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "plan.json": RenderedFile(PLAN.model_dump_json()),
        "nodes/controller/env": RenderedFile("A=1\n"),
        "nodes/compute1/env": RenderedFile("A=1\n"),
    }
    write_tree(root, {"plan.json": files["plan.json"], "old": RenderedFile("x")})
    with recorded(root, monkeypatch) as disk:
        write_tree(root, files)
    for moment, place in after_each(disk, work):
        assert project.load_plan(place) == PLAN, moment
        known = set(json.loads((place / KEPT_LIST).read_text()))
        found = {str(p.relative_to(place)) for p in place.rglob("*") if p.is_file() and p.suffix != ".tmp"}
        assert found - known <= {KEPT_LIST, "old"}, moment
    end = at_the_end(disk, work)
    assert {path: (end / path).read_text() for path in files} == {path: file.text for path, file in files.items()}


def test_the_marker_is_there_before_anything_that_it_covers(
    root: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recorded(root, monkeypatch) as disk:
        builddir.claim(root / "x" / "y")
        load_or_create_seed(root / "x" / "y" / "seed")
    for moment, place in after_each(disk, work):
        assert builddir.require(place / "x" / "y"), moment
    assert (at_the_end(disk, work) / "x" / "y" / builddir.MARKER).is_file()


def test_the_seed(root: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with recorded(root, monkeypatch) as disk:
        seed = load_or_create_seed(root / "seed")
    for moment, place in after_each(disk, work):
        assert not (place / "seed").exists() or load_seed(place / "seed") == seed, moment
    assert load_seed(at_the_end(disk, work) / "seed") == seed


def test_a_record_is_written_and_removed(root: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = records.record_of(PLAN, root, "private")
    monkeypatch.setattr(records, "places", lambda: [root])
    with recorded(root, monkeypatch) as saved:
        records.save(record)
    (root / "other.json").touch()  # so that the directory stays
    with recorded(root, monkeypatch) as removed:
        records.remove(record.key)
    for disk in (saved, removed):
        for moment, place in after_each(disk, work / disk.moments[0].before[:6]):
            monkeypatch.setattr(records, "places", lambda place=place: [place])
            known = records.load(record.key) if record.key in records.known_keys() else None
            assert known in (None, record), moment
            assert record.key not in records.known_keys() or known == record, moment
    monkeypatch.setattr(records, "places", lambda: [at_the_end(saved, work / "saved")])
    assert records.load(record.key) == record
    monkeypatch.setattr(records, "places", lambda: [at_the_end(removed, work / "removed")])
    assert records.known_keys() == ["other"]


def test_a_checkpoint_is_complete_or_half_written(root: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(root)
    with recorded(root, monkeypatch) as disk:
        partial = checkpoints.begin("one", PLAN, NEW_STATE)
        (partial / "controller.mem").write_bytes(b"memory")  # as libvirt does: without a sync
        checkpoints.begin_restore("one")
        checkpoints.finish(partial, MANIFEST)
    for moment, place in after_each(disk, work):
        for each in Checkpoints(place).complete():
            assert each.manifest == MANIFEST, moment
            assert (each.directory / "controller.mem").read_bytes() == b"memory", moment
            assert project.load_plan(each.directory) == PLAN, moment
            assert StateFile(each.directory / "state.json").load() == NEW_STATE, moment
            assert Checkpoints(place).restoring() == "one", moment
    end = Checkpoints(at_the_end(disk, work))
    assert [each.name for each in end.complete()] == ["one"]


def test_a_checkpoint_that_was_removed_and_a_mark_that_went_do_not_come_back(
    root: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(root)
    checkpoints.finish(checkpoints.begin("one", PLAN, NEW_STATE), MANIFEST)
    checkpoints.begin_restore("one")
    with recorded(root, monkeypatch) as spoiled:
        checkpoints.end_restore()
        checkpoints.spoil("one")
    end = Checkpoints(at_the_end(spoiled, work / "spoiled"))
    assert (end.restoring(), end.complete(), end.half_written()) == (None, [], ["one"])
    with recorded(root, monkeypatch) as removed:
        checkpoints.remove("one")
    end = Checkpoints(at_the_end(removed, work / "removed"))
    assert not end.exists("one")
    assert not end.unfinished()


def test_a_box_is_complete_or_not_there(root: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with recorded(root, monkeypatch) as disk, store.scratch(root, box_manifest().name) as scratch:
        (scratch / "result" / "libvirt").mkdir(parents=True)
        (scratch / "result" / "libvirt" / store.IMAGE).write_bytes(b"image")
        manifest = box_manifest(files=scratch / "result" / "libvirt")
        store.publish(root, manifest, scratch / "result")
    for moment, place in after_each(disk, work):
        for box in store.list_boxes(place):
            assert box.image.read_bytes() == b"image", moment
    assert [box.name for box in store.list_boxes(at_the_end(disk, work))] == [manifest.name]


def test_the_ssh_configuration(root: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SshConfig(root).add(SSH)
    with recorded(root, monkeypatch) as disk:
        SshConfig(root).add(SSH.replace("controller", "compute1"))
    for moment, place in after_each(disk, work):
        assert SshConfig(place).nodes()[:1] in (["controller"], []), moment
        assert (place / "ssh_config").stat().st_size, moment
    assert SshConfig(at_the_end(disk, work)).nodes() == ["controller", "compute1"]


def test_vagrants_list_of_all_projects(root: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = root / "data" / "machine-index" / "index"
    index.parent.mkdir(parents=True)
    index.with_name("index.lock").touch()
    machines = {"1": {"vagrantfile_path": str(root / "build")}, "2": {"vagrantfile_path": "/of/others"}}
    index.write_text(json.dumps({"version": 1, "machines": machines}))
    index.chmod(0o640)
    with recorded(root, monkeypatch) as disk:
        Vagrant(root / "build", env={"VAGRANT_HOME": str(root)}).forget()
    for moment, place in after_each(disk, work):
        kept = json.loads((place / "data/machine-index/index").read_text())["machines"]
        assert "2" in kept, moment
    assert list(json.loads((at_the_end(disk, work) / "data/machine-index/index").read_text())["machines"]) == ["2"]
    assert index.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"version": 1}', b"null"])
def test_a_damaged_manifest_is_a_half_written_checkpoint_among_good_ones(root: Path, content: bytes) -> None:
    checkpoints = Checkpoints(root)
    checkpoints.finish(checkpoints.begin("broken", PLAN, NEW_STATE), MANIFEST)
    (root / "checkpoints" / "broken" / "manifest.json").write_bytes(content)
    assert not checkpoints.any()
    checkpoints.finish(checkpoints.begin("good", PLAN, NEW_STATE), MANIFEST)
    assert [each.name for each in checkpoints.complete()] == ["good"]
    assert checkpoints.half_written() == ["broken"]
    assert checkpoints.any()
    with pytest.raises(UsageError, match="broken is incomplete"):
        checkpoints.find("broken")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"{}", b"null"])
def test_a_damaged_box_manifest_hides_no_good_box(root: Path, content: bytes) -> None:
    for name in ("a", "b"):
        result = root / "boxes" / name / ".building-1"
        (result / "libvirt").mkdir(parents=True)
        (result / "libvirt" / store.IMAGE).write_bytes(b"image")
        manifest = box_manifest(name, result / "libvirt")
        store.publish(root, manifest, result)
    broken = root / "boxes" / "a" / manifest.version
    (broken / "manifest.json").write_bytes(content)
    assert [box.name for box in store.list_boxes(root)] == ["b"]


def test_a_new_version_of_a_box_takes_the_place_of_half_written_ones(root: Path) -> None:
    broken = root / "boxes" / "a" / "2020.101.1"
    broken.mkdir(parents=True)
    (broken / "manifest.json").touch()
    result = root / "boxes" / "a" / ".building-1"
    (result / "libvirt").mkdir(parents=True)
    (result / "libvirt" / store.IMAGE).write_bytes(b"image")
    store.publish(root, box_manifest("a", result / "libvirt"), result)
    assert not broken.exists()


@pytest.mark.parametrize("content", ["", "{", "null", '{"machines": []}', '{"machines": {"1": 2}}'])
def test_a_damaged_list_of_vagrants_is_left_for_vagrant_to_tell(root: Path, content: str) -> None:
    index = root / "data" / "machine-index" / "index"
    index.parent.mkdir(parents=True)
    index.with_name("index.lock").touch()
    index.write_text(content)
    Vagrant(root / "build", env={"VAGRANT_HOME": str(root)}).forget()
    assert index.read_text() == content
