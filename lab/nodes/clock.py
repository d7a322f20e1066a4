"""The nodes' clocks. A lab has no other time source than this host."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.base.errors import MachineError
from lab.base.side_by_side import for_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lab.nodes.ssh import Ssh
    from lab.planning.plan import Plan

TOLERANCE_S = 1.0
"""below this, chrony brings the computes to the controller's time by itself"""
SSH_LIMIT_S = 60
"""for a machine that runs to answer; on a KVM host"""
CHRONY_LIMIT_S = 60
"""for chrony to find its time after the clock was set, which takes it about 10 s; on a KVM host"""

# Where chrony does not run (yet), there is nothing to wait for. (`chronyc waitsync` knows no clock that is the source.)
_WAIT_FOR_CHRONY = """\
systemctl is-active --quiet chrony || exit 0
try=0
until chronyc -n tracking | grep -q 'Leap status.*Normal'; do
  # Some measurements at once: by itself it would make the four that it wants a minute apart.
  [ $((try % 20)) -ne 0 ] || chronyc burst 4/4 >/dev/null || true
  try=$((try + 1))
  [ "$try" -lt "$1" ] || exit 1
  sleep 1
done
"""


@dataclass
class HostClock:
    """This host's own time, watched: was it set meanwhile, and did the host sleep?"""

    now: Callable[[], float] = time.time
    """seconds since 1970, which somebody may set"""
    since_boot: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME)
    """seconds, those of sleep too"""
    awake: Callable[[], float] = time.monotonic
    """seconds without those of sleep"""

    def __post_init__(self) -> None:
        self._boot_at, self._slept = self._look()

    def set_by_s(self) -> float:
        """Give by how much the host's clock was set since the last call; 0 where it only ran."""
        before, (self._boot_at, _) = self._boot_at, self._look()
        moved = self._boot_at - before
        return moved if abs(moved) > TOLERANCE_S else 0.0

    def slept_s(self) -> float:
        """Give how long the host has slept since the last call: its virtual machines slept too, and their clocks."""
        before, (_, self._slept) = self._slept, self._look()
        return max(0.0, self._slept - before)

    def _look(self) -> tuple[float, float]:
        return self.now() - self.since_boot(), self.since_boot() - self.awake()


def off_by_s(seen: float, before: float, after: float) -> float:
    """Give how far a node's clock is ahead of this host's; what the answer took is not the clock's fault.

    Args:
        seen: what the node said, in seconds since 1970.
        before: when it was asked.
        after: when it had answered.
    """
    return seen - before if seen < before else max(0.0, seen - after)


def step_clock(ssh: Ssh, node: str) -> float:
    """Set a node's clock to this host's where it is off, as after a pause; gives by how many seconds it was.

    Raises:
        MachineError: the node does not answer.
    """
    before = time.time()
    seen = float(ssh.run(node, ["date", "+%s.%N"]).stdout)
    after = time.time()
    off = off_by_s(seen, before, after)
    if abs(off) > TOLERANCE_S:
        ssh.run(node, ["sudo", "date", "--utc", "--set", f"@{time.time():.3f}"])
    return off


def step_clocks(ssh: Ssh, plan: Plan) -> dict[str, float]:
    """Wait until every node answers and set its clock, all at the same time; gives by how many seconds each was off.

    Open connections are closed first: TCP would wait as long again as the machines were stopped.

    Raises:
        MachineError: a node does not answer in time.
    """

    def step(node: str) -> float:
        ssh.wait_ready(node, timeout_s=SSH_LIMIT_S * plan.wait_factor)
        return abs(step_clock(ssh, node))

    ssh.close()
    names = [node.name for node in plan.nodes]
    return for_all(names, step, on_interrupt=ssh.abort)


def wait_for_chrony(ssh: Ssh, plan: Plan, off: Mapping[str, float], limit_s: float = CHRONY_LIMIT_S) -> None:
    """Wait where `step_clocks` has set the clock until chrony, which forgets its sources then, has found them again.

    `limit_s` is that of a KVM host.

    Raises:
        MachineError: one finds no time.
    """

    def wait(node: str) -> None:
        tries = round(limit_s * plan.wait_factor)
        argv = ["sudo", "sh", "-c", _WAIT_FOR_CHRONY, "chrony", str(tries)]
        if not ssh.run(node, argv, timeout_s=tries * 10, check=False).ok:
            raise MachineError(f"{node}: chrony has not found its time within {tries} s", hint="`lab up` repairs it")

    for_all([name for name, seconds in off.items() if seconds > TOLERANCE_S], wait, on_interrupt=ssh.abort)
