from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from lab.runtime.clock import step_clock

if TYPE_CHECKING:
    from lab.runtime.ssh import Ssh


class FakeSsh:
    """A node whose clock is off by some seconds."""

    def __init__(self, off: float) -> None:
        self.off = off
        self.set_to: float | None = None

    def run(self, node: str, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        if "--set" in command:
            self.set_to = float(command[-1].removeprefix("@"))
        return subprocess.CompletedProcess(command, 0, f"{time.time() + self.off}\n", "")


@pytest.mark.parametrize("off", [-1147.0, 3.0])
def test_a_clock_that_is_off_is_set(off: float) -> None:
    node = FakeSsh(off)
    assert step_clock(cast("Ssh", node), "controller") == pytest.approx(off, abs=0.5)
    assert node.set_to == pytest.approx(time.time(), abs=5)


@pytest.mark.parametrize("off", [0.0, 0.5, -0.5])
def test_a_clock_that_is_right_is_left_alone(off: float) -> None:
    node = FakeSsh(off)
    step_clock(cast("Ssh", node), "controller")
    assert node.set_to is None
