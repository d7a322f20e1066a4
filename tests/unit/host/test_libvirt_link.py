"""A daemon that takes the connection and says nothing, as one that is stopped does; no libvirtd is needed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import libvirt
import pytest

from lab.base.errors import HostError, MachineError
from lab.host import libvirt_link
from lab.host.host import why_not
from lab.host.libvirt import Hypervisor
from lab.host.libvirt_link import NoAnswerError, is_stopped, pid_of, within

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def mute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URI of somebody who listens and never answers."""
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    monkeypatch.setattr(libvirt_link, "ANSWER_LIMIT_S", 1.0)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("mute")
        server.listen()
        yield f"qemu+unix:///system?socket={tmp_path / 'mute'}"


def test_who_does_not_answer_is_given_up(mute: str, tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(f"{os.getpid()}\n")
    before = time.monotonic()
    with pytest.raises(NoAnswerError) as caught:
        Hypervisor(mute, pid_files=(tmp_path / "absent", tmp_path / "pid"))
    assert time.monotonic() - before < 10
    assert str(caught.value).startswith(f"libvirtd (pid {os.getpid()}) does not answer: waited 1 s for it\n")
    assert f"`kill -CONT {os.getpid()}`" in caught.value.hint
    assert caught.value.exit_code == 3


def test_a_second_question_waits_less(mute: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvirt_link, "_AGAIN_LIMIT_S", 0.2)
    for waited in ("1", "0"):
        assert f"does not answer: waited {waited} s" in str(why_not(mute))


def test_nobody_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="libvirt does not answer at") as caught:
        Hypervisor(f"qemu+unix:///system?socket={tmp_path / 'nobody'}")
    assert not isinstance(caught.value, NoAnswerError)
    assert "nobody" in caught.value.detail


def test_a_call_that_waits_for_a_stopped_qemu_ends() -> None:
    forever = threading.Event()
    with pytest.raises(MachineError, match="suspending demo-controller did not end within 0 s"):
        within(0.2, "suspending demo-controller", forever.wait)
    forever.set()
    assert within(5, "a call", lambda: "result") == "result"


def test_a_call_that_fails_does_so_with_its_own_error() -> None:
    def fail() -> None:
        raise libvirt.libvirtError("no such domain")

    with pytest.raises(libvirt.libvirtError, match="no such domain"):
        within(5, "a call", fail)


def test_a_stopped_process_is_known_by_its_pid_file(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        (tmp_path / "pid").write_text(str(process.pid))
        assert pid_of([tmp_path / "pid"]) == process.pid
        assert not is_stopped(process.pid)
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        assert is_stopped(process.pid)
        process.kill()
    assert pid_of([tmp_path / "pid"]) == 0
