import json
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from lab.box import store
from lab.box.manifest import Inputs, Manifest
from lab.box.store import Box, list_boxes, new_version, place_base_volume, register, remove_box, volume_name
from lab.errors import HostError

NAME = "compute-lab/zed-controller"


def manifest(version: str, name: str = NAME) -> Manifest:
    return Manifest(
        name=name,
        version=version,
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
        return store.publish(cache, manifest(version, name), scratch / "result")


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


def test_half_a_base_volume_is_replaced(tmp_path: Path) -> None:
    box = build(tmp_path / "cache", "2026.101.1")
    (tmp_path / box.volume_name).write_bytes(b"im")
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


def test_the_second_builder_waits_for_the_first(tmp_path: Path) -> None:
    order: list[str] = []
    asked = threading.Event()

    def second() -> None:
        with store.lock(tmp_path, "box", waiting=asked.set):
            order.append("second")

    with store.lock(tmp_path, "box"):
        thread = threading.Thread(target=second)
        thread.start()
        assert asked.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "here"))
    assert store.cache_directory() == tmp_path / "here"
    monkeypatch.delenv("LAB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert store.cache_directory() == tmp_path / "openstack-compute-lab"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/student")
    assert store.cache_directory() == Path("/home/student/.cache/openstack-compute-lab")
