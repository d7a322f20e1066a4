from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sample_plans import sample_plan

from lab.base.errors import HostError, UsageError
from lab.host import host as hosts
from lab.host.capacity import count, count_for, memory_mib
from lab.host.host import SystemHost, choose_host, sudo, why_not
from lab.host.private import PrivateHost

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ANSWERS = "test:///default"
REFUSES = "test:///nowhere/at/all"


def choose(tmp_path: Path, uri: str, *, systemd: bool = False, **environ: str) -> hosts.Host:
    return choose_host(
        "compute-101",
        tmp_path / "build",
        environ=environ,
        systemd=tmp_path if systemd else tmp_path / "none",
        system_uri=uri,
        system_socket=tmp_path / "libvirt-sock",
        state_root=tmp_path / "state",
    )


@pytest.mark.parametrize(
    ("uri", "systemd", "mode", "reason"),
    [
        (ANSWERS, True, "system", "its libvirtd answers"),
        (ANSWERS, False, "system", "its libvirtd answers"),
        (REFUSES, False, "private", "no libvirtd answers and no systemd could start one"),
        (REFUSES, True, "system", "this machine runs systemd, but its libvirtd does not answer"),
    ],
)
def test_choice(tmp_path: Path, uri: str, systemd: bool, mode: str, reason: str) -> None:
    host = choose(tmp_path, uri, systemd=systemd)
    assert host.mode == mode
    assert host.reason.startswith(reason)
    assert mode in str(host)
    assert reason in str(host)


@pytest.mark.parametrize(("uid", "mode"), [(1000, "system"), (0, "private")])
def test_a_libvirtd_that_refuses_a_user_is_still_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: int, mode: str
) -> None:
    """With sudo the lab would stand there: the user must not read that no libvirtd answers."""
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "libvirt-sock"))
        server.listen()
        host = choose(tmp_path, REFUSES)
    assert host.mode == mode
    assert (mode == "system") == ("closed to this user" in host.reason)
    assert choose(tmp_path, REFUSES).mode == "private"  # a socket that nobody listens at


def test_the_environment_decides(tmp_path: Path) -> None:
    assert choose(tmp_path, ANSWERS, LAB_HOST="private").mode == "private"
    assert choose(tmp_path, REFUSES, LAB_HOST="system").mode == "system"
    assert choose(tmp_path, REFUSES, LAB_HOST="auto").mode == "private"


def test_another_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="LAB_HOST is 'mine'"):
        choose(tmp_path, ANSWERS, LAB_HOST="mine")


def test_a_lab_keeps_its_private_host(tmp_path: Path) -> None:
    first = choose(tmp_path, REFUSES)
    assert isinstance(first, PrivateHost)
    first.state_dir.mkdir(parents=True)
    assert choose(tmp_path, ANSWERS, systemd=True).mode == "private"


def test_a_choice_changes_nothing(tmp_path: Path) -> None:
    choose(tmp_path, REFUSES)
    assert list(tmp_path.iterdir()) == []


def test_system_host_that_does_not_answer_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "SYSTEM_URI", REFUSES)
    host = SystemHost("compute-101")
    assert not host.is_running()
    assert why_not(REFUSES)
    assert host.pool_dir == Path("/var/lib/libvirt/images")
    with pytest.raises(HostError, match="does not answer"):
        host.start()


def test_system_host_gets_the_pool_and_nothing_is_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "SYSTEM_URI", ANSWERS)
    host = SystemHost("compute-101")
    assert host.pool_dir == Path("/var/lib/libvirt/images")
    host.start()
    host.enter()
    host.stop()
    assert host.is_running()


def test_numbers_of_a_place_that_is_not_there_yet(tmp_path: Path) -> None:
    numbers = count(tmp_path / "not" / "yet")
    assert numbers.disk_path == str(tmp_path)
    assert numbers.cpus >= 1
    assert 0 < numbers.memory_available_mib <= numbers.memory_total_mib


MEMINFO = "MemTotal:       16384000 kB\nMemFree: 1 kB\nMemAvailable:    8192000 kB\n"


@pytest.mark.parametrize(
    ("limit", "expected"), [("4294967296", (4096, 4096)), ("max", (16000, 8000)), ("", (16000, 8000))]
)
def test_memory_of_a_container_ends_at_its_limit(tmp_path: Path, limit: str, expected: tuple[int, int]) -> None:
    (tmp_path / "meminfo").write_text(MEMINFO)
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    assert memory_mib(tmp_path / "meminfo", (tmp_path / "memory.max", tmp_path / "none")) == expected


class FakeHost:
    """A host whose libvirt knows these states, with disks in a directory."""

    def __init__(self, pool: Path, states: dict[str, str]) -> None:
        self.pool_dir = pool
        self._states = states

    def is_running(self) -> bool:
        return bool(self._states)

    @contextlib.contextmanager
    def hypervisor(self) -> Iterator[FakeHost]:
        yield self

    def states(self, names: Iterable[str]) -> dict[str, str]:
        return {name: self._states[name] for name in names}


@pytest.mark.parametrize(
    ("state", "counted"), [("running", True), ("paused", True), ("shut off", False), ("saved", False)]
)
def test_a_paused_machine_has_its_memory(tmp_path: Path, state: str, counted: bool) -> None:
    host: Any = FakeHost(tmp_path, {"demo-controller": "running", "demo-compute1": state})
    assert ("compute1" in count_for(sample_plan(), host).running) is counted


def test_what_the_disks_of_a_halted_lab_hold_is_measured(tmp_path: Path) -> None:
    disk = tmp_path / "demo-controller.img"
    disk.write_bytes(b"x" * 2**20)
    os.truncate(disk, 2**34)  # 16 GiB, of which 1 MiB is written
    host: Any = FakeHost(tmp_path, {})
    found = count_for(sample_plan(), host).written_gib
    assert set(found) == {"controller"}
    assert found["controller"] == pytest.approx(1 / 1024, rel=0.1)


def test_sudo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert sudo(["apt-get", "update"]) == ["apt-get", "update"]
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="sudo is not installed"):
        sudo(["apt-get", "update"])
    (tmp_path / "sudo").touch(mode=0o755)
    assert sudo(["apt-get", "update"]) == ["sudo", "apt-get", "update"]
