"""The guest that proves an accelerator comes from where the boxes come from, and is made again when damaged."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from recorded_progress import RecordedProgress

from lab.base.errors import HostError
from lab.box import proof
from lab.box.guests import Guests
from lab.box.proof import proof_images
from lab.box.sources import Distribution, Source
from lab.diagnosis import doctor, doctor_look
from lab.host import capacity
from lab.verbs import goto, opening, up

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Debian host whose sources say `stable`, and an apt-get that reaches nothing."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/apt-get").write_text("#!/bin/sh\nexit 100\n")
    (tmp_path / "bin/apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setattr("lab.box.pool.keyring_of", lambda definition: Path("/k.gpg"))
    monkeypatch.setattr(proof, "host_sources", lambda: [Source("http://m.example/debian", "stable", ("main",))])
    monkeypatch.setattr(proof, "host_distribution", lambda: Distribution("debian", "bookworm"))


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize(
    ("mirror", "asked"),
    [(None, "http://m.example/debian"), ("http://near.example/debian", "http://near.example/debian")],
)
def test_the_proofs_packages_come_from_where_the_boxes_do(tmp_path: Path, mirror: str | None, asked: str) -> None:
    with pytest.raises(HostError, match="the mirror does not answer") as caught:
        proof_images(tmp_path, "bookworm", mirror)
    assert f"{asked} bookworm main\n" in (tmp_path / "apt/bookworm/etc/sources.list").read_text()
    assert "`box.mirror` of the spec" in caught.value.hint


@pytest.mark.usefixtures("host")
def test_a_mirror_without_one_suite_is_asked_for_the_others(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="bookworm"):
        proof_images(tmp_path)
    assert {p.name for p in (tmp_path / "apt").iterdir()} == {"bookworm", "bullseye", "trixie"}


def guests(directory: Path) -> Guests:
    for name in ("tiny/vmlinuz", "tiny/initrd.gz", "tiny/root.raw", "proof/vmlinuz", "proof/initrd.gz", "stamp"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text("x")
    return Guests(directory)


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("file", ["proof/vmlinuz", "proof/initrd.gz", "stamp", "tiny/root.raw"])
def test_an_empty_guest_does_not_count(tmp_path: Path, file: str) -> None:
    made = guests(tmp_path / "guests/bookworm")
    assert proof_images(tmp_path, "bookworm") == (made.proof / "vmlinuz", made.proof / "initrd.gz")
    (made.directory / file).write_text("")
    with pytest.raises(HostError, match="the mirror does not answer"):
        proof_images(tmp_path, "bookworm")


def test_the_specs_mirror_reaches_the_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tmp_path / "lab.yaml"
    spec.write_text("name: demo\nrelease: zed\nbox: {mirror: 'http://near.example/debian'}\n")
    given: list[Any] = []

    def stop(*_: object, mirror: str | None = None, **__: object) -> None:
        given.append(mirror)
        raise HostError("that is all")

    for module in (opening, doctor_look):
        monkeypatch.setattr(module, "host_facts", stop)
    monkeypatch.setattr(capacity, "proof_images", stop)
    calls: list[Callable[[], object]] = [
        lambda: up.up(spec, tmp_path / "build", RecordedProgress()),
        lambda: goto.goto(spec, tmp_path / "build", "30-identity", RecordedProgress()),
        lambda: capacity.host_facts(mirror="http://near.example/debian"),
    ]
    for call in calls:
        with pytest.raises(HostError, match="that is all"):
            call()
    assert doctor_look._proof(None, "http://near.example/debian") == (None, "that is all")
    monkeypatch.setattr(doctor, "look", lambda plan, build_dir, mirror: stop(mirror=mirror))
    with pytest.raises(HostError, match="that is all"):
        doctor.diagnose(None, None, "http://near.example/debian")
    assert given == ["http://near.example/debian"] * 5
