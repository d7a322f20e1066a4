import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.base.errors import HostError, LockedError
from lab.box import store
from lab.box.intact import FileFacts, facts_of_all
from lab.box.manifest import Inputs, Manifest
from lab.box.store import Box, list_boxes, new_version, place_base_volume, register, remove_box, volume_name

NAME = "compute-lab/zed-controller"


def manifest(version: str, name: str = NAME, files: dict[str, FileFacts] | None = None) -> Manifest:
    return Manifest(
        name=name,
        version=version,
        files=files or {},
        release="zed",
        role="controller",
        flavour="installed",
        built="2026-01-02T03:04:05Z",
        inputs=Inputs(suite="bookworm", requested=(), definition="", scripts={}, tools={}),
        sources=(),
        packages={"nova-api": "2:26.2.2-1"},
        seconds={},
    )


def build(cache: Path, version: str, name: str = NAME, content: bytes = b"image") -> Box:
    with store.scratch(cache, name) as scratch:
        files = scratch / "result/libvirt"
        files.mkdir(parents=True)
        (files / "box.img").write_bytes(content)
        (files / "metadata.json").write_text('{"provider": "libvirt"}')
        (files / "Vagrantfile").write_text("# empty\n")
        return store.publish(cache, manifest(version, name, facts_of_all(files)), scratch / "result")


def test_the_volume_has_the_name_that_vagrant_libvirt_looks_for() -> None:
    assert (
        volume_name("compute-lab/zed-controller", "2026.1122.63012")
        == "compute-lab-VAGRANTSLASH-zed-controller_vagrant_box_image_2026.1122.63012_box.img"
    )


GEM = Path("/usr/share/rubygems-integration/all/gems/vagrant-libvirt-0.11.2/lib")
ASK = """
$:.unshift ARGV[0]
require 'vagrant-libvirt/action/handle_box_image'
box = Struct.new(:name, :version).new(ARGV[1], ARGV[2])
print VagrantPlugins::ProviderLibvirt::Action::HandleBoxImage.get_volume_name(box, 'box', '', nil)
"""


@pytest.mark.skipif(not (GEM.is_dir() and shutil.which("ruby")), reason="vagrant-libvirt 0.11.2 is not installed")
def test_vagrant_libvirt_itself_gives_the_volume_that_name() -> None:
    asked = subprocess.run(
        ["ruby", "-e", ASK, GEM, NAME, "2026.102.5"], capture_output=True, text=True, timeout=60, check=True
    )
    assert asked.stdout == volume_name(NAME, "2026.102.5")


def test_versions_rise_and_have_no_leading_zeros() -> None:
    times = ["2026-01-02 00:00:05", "2026-01-02 23:59:59", "2026-09-10 01:00:00", "2026-11-01 00:00:00"]
    versions = [new_version(time.strptime(t, "%Y-%m-%d %H:%M:%S")) for t in times]
    assert versions == ["2026.102.5", "2026.102.86399", "2026.910.3600", "2026.1101.0"]
    assert [tuple(map(int, v.split("."))) for v in versions] == sorted(tuple(map(int, v.split("."))) for v in versions)


def test_a_new_version_replaces_the_old_one_and_the_catalog_tells_where_it_is(tmp_path: Path) -> None:
    build(tmp_path, "2026.101.9")
    box = build(tmp_path, "2026.101.10")
    assert [b.version for b in list_boxes(tmp_path)] == ["2026.101.10"]
    catalog = json.loads((tmp_path / "boxes" / store.slug(NAME) / "catalog.json").read_text())
    assert catalog["name"] == NAME
    assert [v["version"] for v in catalog["versions"]] == ["2026.101.10"]
    assert catalog["versions"][0]["providers"][0]["url"] == (box.directory / "libvirt").as_uri()


def test_what_a_broken_build_leaves_is_no_box_and_is_swept(tmp_path: Path) -> None:
    box = build(tmp_path, "2026.101.1")
    home = box.directory.parent
    half = home / ".building-4711"
    (half / "libvirt").mkdir(parents=True)
    (half / "libvirt/box.img").touch()
    (half / "manifest.json").write_text(manifest("2027.101.1").model_dump_json())
    (home / "2028.101.1").mkdir()
    (home / "2028.101.1/manifest.json").write_text("{half a manif")
    assert [b.version for b in list_boxes(tmp_path)] == ["2026.101.1"]
    store.sweep(tmp_path, NAME)
    assert not half.exists()
    assert box.image.exists()


def test_an_interrupted_build_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with store.scratch(tmp_path, NAME) as scratch:
            (scratch / "tree").mkdir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list((tmp_path / "boxes" / store.slug(NAME)).iterdir()) == []


def test_the_manifest_keeps_sizes_and_checksums(tmp_path: Path) -> None:
    facts = build(tmp_path, "2026.101.1").manifest.files["box.img"]
    assert facts.size == 5
    assert (
        facts.sha256 == "6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d"
    )  # printf image | sha256sum


def empty(file: Path) -> None:
    file.write_bytes(b"")


def other_content(file: Path) -> None:
    file.write_bytes(b"egami")


def binary(file: Path) -> None:
    file.write_bytes(b"\xff\x00\xfe")


def another_box(file: Path) -> None:
    file.write_text(manifest("2026.101.1", "compute-lab/other").model_dump_json())


def before_checksums(file: Path) -> None:
    file.write_text(json.dumps({k: v for k, v in json.loads(file.read_text()).items() if k != "files"}))


def nested(file: Path) -> None:
    file.unlink()
    file.mkdir()


DAMAGES: list[tuple[str, Callable[[Path], None], str]] = [
    ("libvirt/box.img", empty, "box.img has 0 bytes instead of 5"),
    ("libvirt/box.img", other_content, "the content of box.img is not what was written"),
    ("libvirt/box.img", Path.unlink, "box.img is missing"),
    ("libvirt/box.img", nested, "box.img is no file"),
    ("libvirt/metadata.json", empty, "metadata.json has 0 bytes instead of 23"),
    ("libvirt/Vagrantfile", empty, "Vagrantfile has 0 bytes instead of 8"),
    ("manifest.json", empty, "its manifest.json is damaged, or of another version of this program"),
    ("manifest.json", binary, "its manifest.json is damaged, or of another version of this program"),
    ("manifest.json", before_checksums, "its manifest.json is damaged, or of another version of this program"),
    ("manifest.json", another_box, "its manifest.json is of compute-lab/other 2026.101.1"),
    ("manifest.json", Path.unlink, "its manifest.json is missing"),
    ("manifest.json", nested, "its manifest.json cannot be read: Is a directory"),
]


@pytest.mark.parametrize(("file", "deed", "reason"), DAMAGES)
def test_a_damaged_box_does_not_count_and_harms_no_other(
    tmp_path: Path, file: str, deed: Callable[[Path], None], reason: str
) -> None:
    good = build(tmp_path, "2026.101.1", "compute-lab/zed-compute")
    bad = build(tmp_path, "2026.101.1")
    deed(bad.directory / file)
    boxes, damaged = store.survey(tmp_path)
    assert boxes == [good]
    assert [(d.name, d.reason) for d in damaged] == [(NAME, reason)]
    assert store.find_intact(NAME, tmp_path) == (None, reason)
    again = build(tmp_path, "2026.101.1")
    assert store.survey(tmp_path) == ([good, again], [])


def test_a_damage_that_keeps_size_and_time_is_found_before_a_box_is_used(tmp_path: Path) -> None:
    box = build(tmp_path, "2026.101.1")
    written = box.image.stat()
    box.image.write_bytes(b"IMAGE")
    os.utime(box.image, ns=(written.st_atime_ns, written.st_mtime_ns))
    assert store.find(NAME, tmp_path) == box
    assert store.find_intact(NAME, tmp_path) == (None, "the content of box.img is not what was written")


def test_a_copied_cache_is_read_once_and_then_believed(tmp_path: Path) -> None:
    box = build(tmp_path, "2026.101.1")
    os.utime(box.image)
    assert store.list_boxes(tmp_path) == [box]
    assert box.image.stat().st_mtime_ns == box.manifest.files["box.img"].mtime_ns


def test_a_finished_box_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    rename = Path.rename
    deeds: list[tuple[str, list[str]]] = []

    def note(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)

    def renaming(self: Path, target: Path) -> Path:
        deeds.append((target.name, list(synced)))
        return rename(self, target)

    monkeypatch.setattr("os.fsync", note)
    monkeypatch.setattr(Path, "rename", renaming)
    build(tmp_path, "2026.101.1")
    ((name, before),) = deeds
    assert name == "2026.101.1"
    assert {"box.img", "metadata.json", "Vagrantfile", "manifest.json", "libvirt", "result"} <= set(before)
    assert synced[-1] == store.slug(NAME)


def test_boxes_are_listed_by_name(tmp_path: Path) -> None:
    build(tmp_path, "2026.101.1", "compute-lab/zed-controller")
    build(tmp_path, "2026.101.1", "compute-lab/zed-compute")
    assert [b.name for b in list_boxes(tmp_path)] == ["compute-lab/zed-compute", "compute-lab/zed-controller"]
    assert store.find("compute-lab/zed-compute", tmp_path) is not None
    assert store.find("compute-lab/zed", tmp_path) is None


def test_removing(tmp_path: Path) -> None:
    build(tmp_path, "2026.101.1")
    build(tmp_path, "2026.101.1", "compute-lab/zed-compute")
    assert [b.version for b in remove_box(NAME, tmp_path)] == ["2026.101.1"]
    assert [b.name for b in list_boxes(tmp_path)] == ["compute-lab/zed-compute"]
    assert remove_box(NAME, tmp_path) == []


def test_removing_a_damaged_one(tmp_path: Path) -> None:
    empty(build(tmp_path, "2026.101.1").directory / "manifest.json")
    assert [b.version for b in remove_box(NAME, tmp_path)] == ["2026.101.1"]
    assert store.survey(tmp_path) == ([], [])


def test_registering_links_and_copies_nothing(tmp_path: Path) -> None:
    box = build(tmp_path / "cache", "2026.101.1")
    directory = register(box, tmp_path / "home")
    assert directory == tmp_path / "home/boxes/compute-lab-VAGRANTSLASH-zed-controller/2026.101.1/libvirt"
    assert (directory / "box.img").samefile(box.image)
    assert sorted(p.name for p in directory.iterdir()) == ["Vagrantfile", "box.img", "metadata.json"]
    assert register(box, tmp_path / "home") == directory


def test_registering_replaces_another_image_and_drops_older_versions(tmp_path: Path) -> None:
    old = build(tmp_path / "cache", "2026.101.1")
    register(old, tmp_path / "home")
    box = build(tmp_path / "cache", "2026.101.2", content=b"newer")
    home = tmp_path / "home/boxes" / store.slug(NAME)
    stale = home / "2026.101.2/libvirt"
    stale.mkdir(parents=True)
    (stale / "box.img").write_bytes(b"another")
    assert (register(box, tmp_path / "home") / "box.img").read_bytes() == b"newer"
    assert [p.name for p in home.iterdir()] == ["2026.101.2"]


def test_where_linking_is_not_possible_the_image_is_a_symbolic_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    box = build(tmp_path / "cache", "2026.101.1")
    image = register(box, tmp_path / "home") / "box.img"
    assert image.is_symlink()
    assert image.read_bytes() == b"image"


def test_the_base_volume_is_placed_whole_under_its_name(tmp_path: Path) -> None:
    box = build(tmp_path / "cache", "2026.101.1")
    pool = tmp_path / "pool"
    pool.mkdir()
    volume = place_base_volume(box, pool)
    assert volume == pool / volume_name(NAME, "2026.101.1")
    assert volume.read_bytes() == b"image"
    assert list(pool.iterdir()) == [volume]
    before = volume.stat().st_ino
    assert place_base_volume(box, pool).stat().st_ino == before
    os.utime(volume)
    assert place_base_volume(box, pool).stat().st_ino == before


def test_the_pool_gets_no_hard_link_of_the_caches_file(tmp_path: Path) -> None:
    box = build(tmp_path / "cache", "2026.101.1")
    linked = tmp_path / box.volume_name
    os.link(box.image, linked)  # as earlier versions did
    assert not place_base_volume(box, tmp_path).samefile(box.image)
    assert linked.read_bytes() == b"image"
    assert box.image.stat().st_nlink == 1


@pytest.mark.parametrize("content", [b"", b"im", b"egami"])
def test_another_content_under_the_volumes_name_is_replaced(tmp_path: Path, content: bytes) -> None:
    box = build(tmp_path / "cache", "2026.101.1")
    (tmp_path / box.volume_name).write_bytes(content)
    assert place_base_volume(box, tmp_path).read_bytes() == b"image"


def test_a_pool_without_room_is_told_and_nothing_half_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = build(tmp_path / "cache", "2026.101.1")
    pool = tmp_path / "pool"
    pool.mkdir()

    def full(source: Path, target: Path) -> None:
        target.write_bytes(b"im")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "_clone", full)
    with pytest.raises(HostError, match="No space left on device"):
        place_base_volume(box, pool)
    assert list(pool.iterdir()) == []


def test_a_copy_that_fails_is_told_in_its_own_words(tmp_path: Path) -> None:
    box = build(tmp_path / "cache", "2026.101.1")
    box.image.unlink()
    with pytest.raises(HostError, match="cannot write to .*: cp: cannot stat"):
        place_base_volume(box, tmp_path)


def test_the_second_builder_waits_for_the_first(tmp_path: Path) -> None:
    order: list[str] = []
    told: list[str] = []
    asked = threading.Event()

    def ask(holder: str) -> None:
        told.append(holder)
        asked.set()

    def second() -> None:
        with store.lock(tmp_path, "box", waiting=ask):
            order.append("second")

    with store.lock(tmp_path, "box"):
        thread = threading.Thread(target=second)
        thread.start()
        assert asked.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert told[0].startswith(f"process {os.getpid()} (`")


def test_a_box_that_never_becomes_free_is_told_with_its_holder(tmp_path: Path) -> None:
    with (
        store.lock(tmp_path, "box"),
        pytest.raises(LockedError, match=f"process {os.getpid()} .* works on box of .*: waited 0 s"),
        store.lock(tmp_path, "box", limit_s=0.3),
    ):
        pass


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "here"))
    assert store.cache_directory() == tmp_path / "here"
    monkeypatch.delenv("LAB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert store.cache_directory() == tmp_path / "openstack-compute-lab"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/student")
    assert store.cache_directory() == Path("/home/student/.cache/openstack-compute-lab")
