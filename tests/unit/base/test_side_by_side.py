"""The same for several nodes at once, and an end to it."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from lab.base.side_by_side import beside, for_all


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


def test_work_runs_beside_a_block_and_gives_its_result_or_error() -> None:
    meet = threading.Barrier(2, timeout=30)

    def come() -> str:
        meet.wait()
        return "done"

    with beside(come, on_error=meet.abort) as result:
        meet.wait()
        assert result() == "done"

    def fail() -> str:
        raise ValueError("work")

    aborted: list[bool] = []
    with pytest.raises(ValueError, match="work"), beside(fail, on_error=lambda: aborted.append(True)) as result:
        result()
    assert aborted == [True]


def test_what_the_block_raises_ends_the_work_first() -> None:
    over = threading.Event()
    ended: list[bool] = []

    def work() -> None:
        ended.append(over.wait(30))

    with pytest.raises(KeyboardInterrupt), beside(work, on_error=over.set):
        raise KeyboardInterrupt
    assert ended == [True]
