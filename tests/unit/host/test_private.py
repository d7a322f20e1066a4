from __future__ import annotations

import os
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from lab.base.errors import HostError
from lab.host import private_view as view
from lab.host.private import PrivateHost

if TYPE_CHECKING:
    from pathlib import Path


def test_labs_of_one_name_do_not_meet(tmp_path: Path) -> None:
    one, two = (PrivateHost("x", tmp_path / sub, state_root=tmp_path) for sub in "ab")
    assert one.netns != two.netns
    assert one.state_dir != two.state_dir
    assert one.netns.startswith("lab-x-")


def test_the_same_lab_is_found_again_by_another_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "link").symlink_to("b")
    monkeypatch.chdir(tmp_path)
    roots = [tmp_path / "b", tmp_path / "link", tmp_path / "b" / ".." / "b"]
    assert len({PrivateHost("x", path, state_root=tmp_path).netns for path in roots}) == 1


def test_nothing_there(tmp_path: Path) -> None:
    host = PrivateHost("x", tmp_path, state_root=tmp_path / "state")
    assert not host.exists()
    assert not host.is_running()
    assert not host.entered()
    host.stop()
    with pytest.raises(HostError, match="does not run"):
        host.enter()
    assert not (tmp_path / "state").exists()


def test_a_stale_pid_file_is_not_a_running_libvirtd(tmp_path: Path) -> None:
    host = PrivateHost("x", tmp_path, state_root=tmp_path)
    host.state_dir.mkdir()
    (host.state_dir / "libvirtd.pid").write_text(f"{os.getpid()}\n")
    assert host.exists()
    assert not host.is_running()


def test_without_root_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(HostError, match="it needs root"):
        PrivateHost("x", tmp_path, reason="no systemd", state_root=tmp_path).start()


def test_a_file_left_by_a_reboot_is_no_namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "NETNS_DIR", tmp_path)
    (tmp_path / "lab-x").touch()
    assert view.netns_inode("lab-x") == 0
    assert view.netns_inode("lab-y") == 0


def test_processes_of_a_namespace_are_found_without_this_one_and_its_parents() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        found = view.pids_in(view.inode_of("self"))
        child.kill()
    assert child.pid in found
    assert not {os.getpid(), os.getppid()} & set(found)


def test_a_namespace_that_is_not_there_has_no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "inode_of", lambda pid: 0)  # as of one that ends while it is looked at
    assert view.pids_in(0) == []


def test_a_thread_cannot_enter(tmp_path: Path) -> None:
    caught: list[Exception] = []

    def enter() -> None:
        try:
            view.enter_view("lab-x", {})
        except HostError as error:
            caught.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert "only the main thread" in str(caught[0])


def test_the_command_of_the_view_can_be_pasted(tmp_path: Path) -> None:
    argv = view.inside("lab-x", {tmp_path / "seen": tmp_path / "taken"}, ["virsh", "list"])
    assert argv[1:] == [
        "-P",
        "-m",
        "lab.host.private_view",
        "lab-x",
        f"{tmp_path}/seen={tmp_path}/taken",
        "--",
        "virsh",
        "list",
    ]
