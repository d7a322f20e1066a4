"""The watch over machines, with a libvirt that says what it is told to say."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from lab.base.errors import HostError, MachineError
from lab.nodes import watch as watching
from lab.nodes.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator


class SayingHost:
    """A libvirt whose domains run, until told otherwise."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {"demo-controller": "running", "demo-compute1": "running"}
        self.looks = 0
        self.silent = False

    @contextlib.contextmanager
    def hypervisor(self) -> Iterator[SayingHost]:
        self.looks += 1
        if self.silent:
            raise HostError("libvirtd does not answer")
        yield self

    def state(self, domain: str) -> str:
        return self.states[domain]

    def wait_for_looks(self, number: int) -> None:
        deadline, wanted = time.monotonic() + 10, self.looks + number
        while self.looks < wanted:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> SayingHost:
    monkeypatch.setattr(watching, "_AGAIN_S", 0.02)
    return SayingHost()


def watch_of(host: Any, ended: threading.Event) -> Watch:
    return Watch(host, {"controller": "demo-controller", "compute1": "demo-compute1"}, ended.set, every_s=0.02)


def test_a_machine_that_ends_ends_the_work(host: SayingHost) -> None:
    ended = threading.Event()
    watch = watch_of(host, ended)

    def work() -> None:
        with watch.kept():
            watch.start()
            host.wait_for_looks(2)
            watch.check()
            host.states["demo-compute1"] = "shut off"
            assert ended.wait(10)
            assert not watch.all_run
            raise MachineError("on compute1: the connection broke")  # what the work itself says of it

    with pytest.raises(MachineError, match=r"a machine has ended: compute1 \(domain demo-compute1\) is shut off"):
        work()
    with pytest.raises(MachineError, match="a machine has ended"):
        watch.check()


def test_a_libvirtd_that_is_away_says_nothing_of_its_machines(host: SayingHost) -> None:
    ended = threading.Event()
    watch = watch_of(host, ended)
    with watch.kept():
        watch.start()
        host.silent = True
        host.wait_for_looks(5)
        assert watch.all_run
        host.silent = False
        host.states["demo-controller"] = "crashed"
        assert ended.wait(10)


def test_machines_that_are_stopped_on_purpose_have_not_ended(host: SayingHost) -> None:
    ended = threading.Event()
    watch = watch_of(host, ended)
    with watch.kept():
        watch.start()
        with watch.paused():
            host.states["demo-controller"] = "shut off"
            assert not ended.wait(0.3)
            host.states["demo-controller"] = "running"
        host.wait_for_looks(3)
        assert watch.all_run


def test_an_error_that_has_another_cause_stays(host: SayingHost) -> None:
    watch = watch_of(host, threading.Event())

    def work() -> None:
        with watch.kept():
            raise MachineError("step 20-database failed")

    with pytest.raises(MachineError, match="step 20-database failed"):
        work()
