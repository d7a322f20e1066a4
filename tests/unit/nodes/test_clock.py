from __future__ import annotations

import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any, cast

import pytest
from sample_plans import sample_plan

from lab.base.errors import MachineError
from lab.base.process import Completed
from lab.nodes import clock

if TYPE_CHECKING:
    from pathlib import Path

    from lab.nodes.ssh import Ssh

PLAN = sample_plan(computes=3, wait_factor=2.0)


class FakeNodes:
    """Nodes that answer to ssh with a date."""

    def __init__(self) -> None:
        self.off = -1000.0
        self.chrony = 0
        self.asked: list[tuple[str, ...]] = []
        self.ready: dict[str, float] = {}
        self.together = threading.Barrier(len(PLAN.nodes), timeout=20)

    def abort(self) -> None: ...

    def close(self) -> None:
        assert not self.ready, "before anybody is asked"

    def wait_ready(self, node: str, timeout_s: float) -> None:
        self.together.wait()  # nobody passes unless all are asked at the same time
        self.ready[node] = timeout_s

    def run(self, node: str, command: list[str], **_: Any) -> Completed:
        if command[0] == "date":
            return Completed(tuple(command), 0, f"{time.time() + self.off:.3f}\n", "", 0.0)
        self.asked.append((node, *command))
        code = self.chrony if clock._WAIT_FOR_CHRONY in command else 0
        return Completed(tuple(command), code, "", "", 0.0)


def ssh(nodes: FakeNodes) -> Ssh:
    return cast("Ssh", nodes)


class FakeHost:
    """A host whose clocks stand still unless they are told."""

    def __init__(self) -> None:
        self.now, self.boot, self.awake = 1_000_000.0, 500.0, 500.0
        self.clock = clock.HostClock(lambda: self.now, lambda: self.boot, lambda: self.awake)

    def run(self, seconds: float) -> None:
        self.now, self.boot, self.awake = self.now + seconds, self.boot + seconds, self.awake + seconds

    def sleep(self, seconds: float) -> None:
        self.now, self.boot = self.now + seconds, self.boot + seconds


def test_a_host_that_only_runs_was_not_set_and_did_not_sleep() -> None:
    host = FakeHost()
    host.run(3600)
    assert (host.clock.set_by_s(), host.clock.slept_s()) == (0.0, 0.0)


def test_a_host_that_slept_was_not_set() -> None:
    host = FakeHost()
    host.sleep(600)
    assert host.clock.set_by_s() == 0.0
    assert host.clock.slept_s() == 600.0
    assert host.clock.slept_s() == 0.0


@pytest.mark.parametrize("seconds", [-3600.0, 90.0])
def test_a_host_whose_clock_was_set_did_not_sleep(seconds: float) -> None:
    host = FakeHost()
    host.run(10)
    host.now += seconds
    assert host.clock.slept_s() == 0.0
    assert host.clock.set_by_s() == seconds
    assert host.clock.set_by_s() == 0.0


def test_the_real_clocks_of_this_host() -> None:
    real = clock.HostClock()
    assert real.set_by_s() == 0.0
    assert real.slept_s() == pytest.approx(0.0, abs=0.5)


@pytest.mark.parametrize(("seen", "off"), [(90.0, -10.0), (100.0, 0.0), (104.0, 0.0), (105.0, 0.0), (115.0, 10.0)])
def test_what_an_answer_took_is_not_the_clocks_fault(seen: float, off: float) -> None:
    assert clock.off_by_s(seen, 100.0, 105.0) == off


def test_all_clocks_are_set_at_the_same_time_and_then_chrony_is_waited_for() -> None:
    nodes = FakeNodes()
    off = clock.step_clocks(ssh(nodes), PLAN)
    names = [node.name for node in PLAN.nodes]
    assert off == pytest.approx(dict.fromkeys(names, 1000), abs=5)
    clock.wait_for_chrony(ssh(nodes), PLAN, off)
    assert nodes.ready == dict.fromkeys(names, 120.0)
    kinds = [command[2] for command in nodes.asked]
    assert kinds == ["date"] * len(names) + ["sh"] * len(names)
    assert {command[0] for command in nodes.asked[len(names) :]} == set(names)
    assert all(command[-1] == "120" for command in nodes.asked[len(names) :])


def test_a_chrony_that_finds_no_time_is_told() -> None:
    nodes = FakeNodes()
    nodes.chrony = 1
    with pytest.raises(MachineError, match="chrony has not found its time within 120 s"):
        clock.wait_for_chrony(ssh(nodes), PLAN, clock.step_clocks(ssh(nodes), PLAN))


def test_clocks_that_are_right_need_no_wait() -> None:
    nodes = FakeNodes()
    nodes.off = 0.0
    off = clock.step_clocks(ssh(nodes), PLAN)
    assert max(off.values()) < 1
    clock.wait_for_chrony(ssh(nodes), PLAN, off)
    assert nodes.asked == []


@pytest.mark.parametrize(
    ("active", "status", "code", "asked"),
    [
        (0, "Leap status     : Normal", 0, ["-n tracking"]),
        # by itself chrony would measure a minute apart
        (0, "Leap status     : Not synchronised", 1, ["-n tracking", "burst 4/4", "-n tracking", "-n tracking"]),
        (3, "506 Cannot talk to daemon", 0, []),
    ],
)
def test_the_wait_for_chrony_as_the_shell_does_it(
    active: int, status: str, code: int, asked: list[str], tmp_path: Path
) -> None:
    chronyc = f"printf '%s\\n' \"$*\" >>{tmp_path}/asked; echo '{status}'"
    programs = {"systemctl": f"exit {active}", "chronyc": chronyc, "sleep": ""}
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "asked").touch()
    argv = ["/bin/sh", "-c", clock._WAIT_FOR_CHRONY, "chrony", "3"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert done.returncode == code
    assert (tmp_path / "asked").read_text().splitlines() == asked
