"""The same for several nodes at once, and an end to it."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from lab.base.side_by_side import for_all


def test_results_come_by_name_and_all_run_at_once() -> None:
    meet = threading.Barrier(3, timeout=30)

    def work(name: str) -> str:
        meet.wait()
        return name.upper()

    assert for_all(["a", "b", "c"], work) == {"a": "A", "b": "B", "c": "C"}
    assert for_all([], work) == {}


def test_a_failure_waits_for_the_others() -> None:
    ended: list[str] = []
    begun = threading.Event()

    def work(name: str) -> None:
        if name == "a":
            begun.wait(30)
            raise ValueError(name)
        begun.set()
        time.sleep(0.2)
        ended.append(name)

    with pytest.raises(ValueError, match="a"):
        for_all(["a", "b"], work)
    assert ended == ["b"]


def test_an_interrupt_ends_what_the_threads_wait_for() -> None:
    told, begun = threading.Event(), threading.Event()

    def work(_name: str) -> bool:
        begun.set()
        return told.wait(60)

    def interrupt() -> None:
        begun.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        for_all(["a", "b"], work, on_interrupt=told.set)
    assert time.monotonic() - began < 50
