"""The nodes' clocks. A lab has no time source outside: this host is it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.runtime.ssh import Ssh

TOLERANCE_S = 1.0
"""below this, chrony brings the computes to the controller's time by itself"""


def step_clock(ssh: Ssh, node: str) -> float:
    """Set a node's clock to this host's where it is off, as after a pause; gives by how many seconds it was.

    Raises:
        MachineError: the node does not answer.
    """
    before = time.time()
    seen = float(ssh.run(node, ["date", "+%s.%N"]).stdout)
    after = time.time()
    # What the answer took is not the clock's fault.
    off = seen - before if seen < before else max(0.0, seen - after)
    if abs(off) > TOLERANCE_S:
        ssh.run(node, ["sudo", "date", "--utc", "--set", f"@{time.time():.3f}"])
    return off
