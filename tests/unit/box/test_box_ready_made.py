"""A box that the spec brings is the one with its checksum, whatever way it came."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from lab.base import resources
from lab.base.errors import HostError
from lab.box.ready_made import ensure_ready_made
from lab.box.store import find, list_boxes, place_base_volume, register
from lab.inputs.catalog import load_steps
from lab.inputs.model import Spec
from lab.inputs.release import load_release
from lab.planning.plan import HostFacts
from lab.planning.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.box.make import BoxEvent
    from lab.planning.plan import Plan

METADATA = b'{"provider": "libvirt", "format": "qcow2", "virtual_size": 20}'
FILES = {"metadata.json": METADATA, "box.img": b"disk", "Vagrantfile": b"# empty\n"}


def pack(file: Path, files: dict[str, bytes], compression: str = "gz") -> str:
    """Write a box as publishers do; gives its checksum."""
    with tarfile.open(file, f"w:{compression}") as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return checksum(file)


def checksum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize("compression", ["", "gz", "xz", "bz2"])
def test_a_box_is_fetched_once_and_is_a_box_as_any(tmp_path: Path, compression: str) -> None:
    file = tmp_path / "ubuntu1604.box"
    sha256 = pack(file, {f"./{name}": data for name, data in FILES.items()}, compression)
    events: list[BoxEvent] = []
    box = ensure_ready_made(file.as_uri(), sha256, tmp_path / "cache", events.append)
    assert box.name == f"compute-lab/ready-made-{sha256}"
    assert {p.name: p.read_bytes() for p in box.files.iterdir()} == FILES
    assert [e.text for e in events] == [f"fetching {file.as_uri()}", "ready, its checksum is that of the spec"]
    assert (register(box, tmp_path / "home") / "box.img").read_bytes() == b"disk"
    pool = tmp_path / "pool"
    pool.mkdir()
    assert place_base_volume(box, pool).read_bytes() == b"disk"

    file.unlink()  # nobody asks for it again
    assert ensure_ready_made(file.as_uri(), sha256, tmp_path / "cache", events.append) == box
    assert len(events) == 2


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of tmp_path/web over HTTP."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    (tmp_path / "web").mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "web"))) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{web.server_port}"
        web.shutdown()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_a_box_comes_over_http(tmp_path: Path, server: str) -> None:
    sha256 = pack(tmp_path / "web/a.box", FILES)
    assert ensure_ready_made(f"{server}/a.box", sha256, tmp_path / "cache").image.read_bytes() == b"disk"


def test_another_file_at_the_address_is_refused_and_nothing_of_it_stays(tmp_path: Path, server: str) -> None:
    pinned = pack(tmp_path / "web/a.box", FILES)
    other = pack(tmp_path / "web/a.box", {**FILES, "box.img": b"evil"})
    with pytest.raises(HostError, match="not the one of the spec") as caught:
        ensure_ready_made(f"{server}/a.box", pinned, tmp_path / "cache")
    assert pinned in caught.value.detail
    assert other in caught.value.detail
    assert list_boxes(tmp_path / "cache") == []
    assert not list((tmp_path / "cache").rglob("box.img"))


def test_a_changed_checksum_is_another_box_although_the_address_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "a.box"
    first = ensure_ready_made(file.as_uri(), pack(file, FILES), tmp_path / "cache")
    second = ensure_ready_made(file.as_uri(), pack(file, {**FILES, "box.img": b"newer"}), tmp_path / "cache")
    assert second.image.read_bytes() == b"newer"
    assert first.image.read_bytes() == b"disk"
    assert first.volume_name != second.volume_name


def test_an_address_that_leads_to_vagrants_own_json_is_refused(tmp_path: Path, server: str) -> None:
    # Vagrant would follow it and compare with the checksum that the JSON gives, not with the spec's.
    evil = pack(tmp_path / "web/evil.box", FILES)
    provider = {"name": "libvirt", "url": f"{server}/evil.box", "checksum_type": "sha256", "checksum": evil}
    (tmp_path / "web/a.box").write_text(json.dumps({"versions": [{"version": "1", "providers": [provider]}]}))
    with pytest.raises(HostError, match="is no Vagrant box"):
        ensure_ready_made(f"{server}/a.box", checksum(tmp_path / "web/a.box"), tmp_path / "cache")


def test_a_box_that_was_changed_in_the_cache_is_fetched_again_and_the_reason_told(tmp_path: Path) -> None:
    file = tmp_path / "a.box"
    sha256 = pack(file, FILES)
    ensure_ready_made(file.as_uri(), sha256, tmp_path / "cache").image.write_bytes(b"evil")
    events: list[BoxEvent] = []
    box = ensure_ready_made(file.as_uri(), sha256, tmp_path / "cache", events.append)
    assert box.image.read_bytes() == b"disk"
    assert "the content of box.img is not what was written" in events[0].text


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({**FILES, "../evil": b""}, "is no Vagrant box"),
        ({**FILES, "/evil": b""}, "is no Vagrant box"),
        ({"box.img": b"disk"}, "has no metadata.json"),
        ({**FILES, "metadata.json": b"[]"}, "has no metadata.json"),
        ({**FILES, "metadata.json": b'{"provider": "virtualbox"}'}, "is for 'virtualbox', not for libvirt"),
        ({"metadata.json": METADATA}, "has no box.img"),
        ({**FILES, "metadata.json": b'{"provider": "libvirt", "disks": [{"path": "d.img"}]}'}, "has no d.img"),
    ],
)
def test_what_is_no_box_of_libvirts_is_refused(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    file = tmp_path / "a.box"
    sha256 = pack(file, files)
    with pytest.raises(HostError, match=message):
        ensure_ready_made(file.as_uri(), sha256, tmp_path / "cache")
    assert find(f"compute-lab/ready-made-{sha256}", tmp_path / "cache") is None
    assert not (tmp_path / "cache/boxes/evil").exists()


def test_a_link_in_a_box_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.box"
    with tarfile.open(file, "w") as archive:
        link = tarfile.TarInfo("box.img")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/shadow"
        archive.addfile(link)
    with pytest.raises(HostError, match="is no Vagrant box") as caught:
        ensure_ready_made(file.as_uri(), checksum(file), tmp_path / "cache")
    assert "regular files" in caught.value.detail


def test_half_a_file_is_told_by_its_checksum(tmp_path: Path) -> None:
    file = tmp_path / "a.box"
    sha256 = pack(file, {**FILES, "box.img": bytes(range(256)) * 999})
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(HostError, match="not the one of the spec"):
        ensure_ready_made(file.as_uri(), sha256, tmp_path / "cache")


def test_a_missing_file_is_told_with_its_address(tmp_path: Path, server: str) -> None:
    for url in ((tmp_path / "none.box").as_uri(), f"{server}/none.box"):
        with pytest.raises(HostError, match=r"none\.box could not be fetched"):
            ensure_ready_made(url, "0" * 64, tmp_path / "cache")


def plan_of(url: str, sha256: str) -> Plan:
    release = load_release("newton")
    spec = Spec.model_validate({"name": "demo", "release": "newton", "box": {"url": url, "sha256": sha256}})
    return resolve(spec, release, load_steps(release, resources.PROVISION), HostFacts())


def test_the_plans_boxes_are_named_by_the_checksum_however_it_is_written() -> None:
    names = {node.box for node in plan_of("/srv/boxes/a.box", f" {'AB' * 32}\n").nodes}
    assert names == {f"compute-lab/ready-made-{'ab' * 32}"}
    assert {node.box for node in plan_of("/srv/boxes/a.box", "cd" * 32).nodes}.isdisjoint(names)


@pytest.mark.parametrize("folder", ["my boxes", "50% off", "R&D", "Bob's", 'a"b', "a$b`c", "büro", "a#b?c"])
def test_a_path_with_odd_characters_reaches_its_file(tmp_path: Path, folder: str) -> None:
    file = tmp_path / folder / "a.box"
    file.parent.mkdir()
    sha256 = pack(file, FILES)
    plan = plan_of(str(file), sha256)
    assert plan.box_url is not None
    cache = tmp_path / folder / "cache"
    box = ensure_ready_made(plan.box_url, sha256, cache)
    assert (register(box, tmp_path / folder / "home") / "box.img").read_bytes() == b"disk"
    assert place_base_volume(box, tmp_path / folder).read_bytes() == b"disk"
