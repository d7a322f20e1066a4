"""Places that others can reach into are refused; what users ordinarily have is not."""

from __future__ import annotations

import grp
import json
import os
import pwd
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from sample_plans import sample_plan

from lab.base import builddir, safe
from lab.base.errors import HostError
from lab.base.lock import lab_lock
from lab.box import store
from lab.box.build import ensure_boxes
from lab.box.manifest import Inputs, Manifest
from lab.box.proof import proof_images
from lab.box.store import Box
from lab.generator.files import write_tree
from lab.host import records
from lab.machines.vagrant import Vagrant

if TYPE_CHECKING:
    from collections.abc import Callable

STRANGER = 4242


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in a directory `bob` belongs to somebody else; the tests need not be root for it."""
    real = os.lstat, os.fstat

    def owned(found: os.stat_result) -> os.stat_result:
        return os.stat_result((*found[:4], STRANGER, *found[5:10]))

    def lstat(path: str | os.PathLike[str], **rest: int) -> os.stat_result:
        found = real[0](path, **rest)
        return owned(found) if "/bob" in os.fspath(path) else found

    def fstat(descriptor: int) -> os.stat_result:
        found = real[1](descriptor)
        return owned(found) if "/bob" in os.readlink(f"/proc/self/fd/{descriptor}") else found

    monkeypatch.setattr(os, "lstat", lstat)
    monkeypatch.setattr("pathlib.Path.lstat", lambda self: lstat(self))
    monkeypatch.setattr(os, "fstat", fstat)


def test_a_place_is_made_with_its_parents_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        place = safe.make(tmp_path / "parent" / "build")
    finally:
        os.umask(old)
    assert place == tmp_path / "parent" / "build"
    assert place.stat().st_mode & 0o777 == 0o700
    assert place.parent.stat().st_mode & 0o777 == 0o755


def test_links_of_our_own_are_followed_to_where_they_lead(tmp_path: Path) -> None:
    (tmp_path / "var" / "home").mkdir(parents=True)
    (tmp_path / "home").symlink_to("var/home")
    (tmp_path / "var" / "home" / "up").symlink_to("../../other")
    (tmp_path / "other").mkdir()
    assert safe.make(tmp_path / "home" / "x") == tmp_path / "var" / "home" / "x"
    assert safe.require(tmp_path / "home" / "up" / "x") == tmp_path / "other" / "x"
    assert safe.require(tmp_path / "home" / ".." / "x") == tmp_path / "var" / "x"


def test_a_link_that_leads_to_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(HostError, match="40 symbolic links"):
        safe.require(tmp_path / "loop")


@pytest.mark.parametrize("mode", [0o777, 0o757])
def test_a_place_that_everybody_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x").chmod(mode)
    with pytest.raises(HostError, match="written by") as caught:
        safe.require(tmp_path / "x")
    assert f"chmod o-w {tmp_path / 'x'}" in str(caught.value)
    with pytest.raises(HostError, match="written by"):
        safe.make(tmp_path / "x" / "below")


def test_below_a_sticky_directory_is_fine_but_the_directory_itself_is_not(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o1777)
    assert safe.make(tmp_path / "tmp" / "x").is_dir()
    with pytest.raises(HostError, match="everybody"):
        safe.require(tmp_path / "tmp")


@pytest.mark.parametrize(
    ("name", "members", "refused"), [("alice", [], False), ("alice", ["bob"], True), ("users", [], True)]
)
def test_a_group_of_ones_own_is_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, members: list[str], refused: bool
) -> None:
    monkeypatch.setattr(grp, "getgrgid", lambda gid: SimpleNamespace(gr_name=name, gr_mem=members))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_name="alice", pw_gid=1000))
    (tmp_path / "x").mkdir()
    (tmp_path / "x").chmod(0o775)
    if refused:
        with pytest.raises(HostError, match=f"group {name}"):
            safe.require(tmp_path / "x")
    else:
        assert safe.require(tmp_path / "x") == tmp_path / "x"


@pytest.mark.usefixtures("stranger")
def test_somebody_elses_directory_link_and_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "bob").mkdir()
    with pytest.raises(HostError, match="belongs to user 4242") as caught:
        safe.make(tmp_path / "bob" / "build")
    assert "hint:" in str(caught.value)
    assert not (tmp_path / "bob" / "build").exists()
    (tmp_path / "bobs-link").symlink_to("ours")
    with pytest.raises(HostError, match="is a symbolic link of user 4242"):
        safe.require(tmp_path / "bobs-link" / "x")
    (tmp_path / "bobs-file").touch()
    with pytest.raises(HostError, match="cannot be trusted"):
        safe.open_file(tmp_path / "bobs-file", os.O_RDONLY)


@pytest.mark.usefixtures("stranger")
def test_who_called_sudo_is_trusted_and_by_root_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bob").mkdir()
    monkeypatch.setenv("SUDO_UID", str(STRANGER))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert safe.make(tmp_path / "bob" / "build").is_dir()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(HostError, match="belongs to user 4242"):
        safe.require(tmp_path / "bob" / "build")


def test_a_file_is_opened_and_a_link_or_a_pipe_is_not(tmp_path: Path) -> None:
    with open(tmp_path / "log", "w", opener=safe.private_opener) as log:
        log.write("x")
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600
    (tmp_path / "victim").write_text("stays")
    (tmp_path / "link").symlink_to("victim")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(HostError, match="not a plain file"):
            open(tmp_path / name, "w", opener=safe.private_opener)  # noqa: SIM115 - it does not open
    with pytest.raises(HostError, match="not a plain file"):
        safe.open_file(tmp_path / "pipe", os.O_RDONLY)
    assert (tmp_path / "victim").read_text() == "stays"


def _vagrants_list(place: Path) -> None:
    index = place / "data" / "machine-index" / "index"
    index.parent.mkdir(parents=True)
    index.with_name("index.lock").touch()
    index.write_text(json.dumps({"machines": {"1": {"vagrantfile_path": "/x"}}}))
    Vagrant(Path("/x"), env={"VAGRANT_HOME": str(place)}).forget()


def _record(place: Path) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(records, "places", lambda: [place / "records"])
        records.save(records.record_of(sample_plan(), place, "private"))


def _box_for_vagrant(place: Path) -> None:
    manifest = Manifest(
        name="a/b",
        version="1",
        release="zed",
        role="controller",
        flavour="installed",
        built="2026-01-02T03:04:05Z",
        inputs=Inputs(suite="bookworm", requested=(), definition="", scripts={}, tools={}),
        sources=(),
        packages={},
        files={},
        seconds={},
    )
    store.register(Box(manifest, place), place)


WRITERS: dict[str, Callable[[Path], object]] = {
    "the build directory": lambda place: builddir.claim(place / "build"),
    "the lab's lock": lambda place: lab_lock(place / "build").__enter__(),
    "rendered files": lambda place: write_tree(place / "build", {}),
    "a lock of the cache": lambda place: store.lock(place, "x").__enter__(),
    "boxes that are believed": lambda place: ensure_boxes([], place),
    "the guest that proves": lambda place: proof_images(place),
    "a box for Vagrant": _box_for_vagrant,
    "Vagrant's list": _vagrants_list,
    "a record": _record,
}


@pytest.mark.parametrize("name", WRITERS)
def test_wherever_lab_writes_others_cannot(tmp_path: Path, name: str) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(HostError, match="can be written by everybody"):
        WRITERS[name](tmp_path / "open")
