"""After the machines of a lab stood still: clocks to now, then a wait for what depends on time.

The nodes wake up in the past. Before anything else their clocks are set, and chrony is waited for. Then the services
have to notice that they are alive: nova's and neutron's tell the database every few seconds, those of the compute nodes
through RabbitMQ, so a fresh row is the proof of a connection to the message queue too.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from lab.errors import MachineError
from lab.runtime.clock import TOLERANCE_S, step_clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.plan import Plan
    from lab.runtime.ssh import Ssh

SSH_LIMIT_S = 60
"""for a machine that runs to answer; on a KVM host"""
CHRONY_LIMIT_S = 60
"""for chrony to find its time after the clock was set, which takes it about 10 s; on a KVM host"""
HEARTBEAT_LIMIT_S = 60
"""for the services to tell that they are alive, which they do every 10 s (nova) or 30 s (neutron); on a KVM host"""
ALIVE_S = 75
"""who had not told for so long when the machines stopped was dead already, and is not waited for"""
_POLL_S = 2.0

# Where chrony does not run (yet), there is nothing to wait for. (`chronyc waitsync` knows no clock that is the source.)
_WAIT_FOR_CHRONY = """\
systemctl is-active --quiet chrony || exit 0
tries=$1
until chronyc -n tracking | grep -q 'Leap status.*Normal'; do
  tries=$((tries - 1))
  [ "$tries" -gt 0 ] || exit 1
  sleep 1
done
"""

# One client for both questions. A table that is not there yet belongs to a chapter that has not come: --force goes on.
# Nor is a database that does not answer waited for: the checks tell whether there should be one.
_QUERY = """\
set -eu
client=$(command -v mariadb || command -v mysql) || exit 0
"$client" --force --skip-column-names --batch 2>/dev/null <<SQL || true
SET time_zone = '+00:00';
SELECT CONCAT(\\`binary\\`, ' on ', host) FROM nova.services
  WHERE deleted = 0 AND last_seen_up BETWEEN FROM_UNIXTIME($1) AND FROM_UNIXTIME($2);
SELECT CONCAT(\\`binary\\`, ' on ', host) FROM neutron.agents
  WHERE heartbeat_timestamp BETWEEN FROM_UNIXTIME($1) AND FROM_UNIXTIME($2);
SQL
"""


def step_clocks(ssh: Ssh, plan: Plan) -> float:
    """Wait until every node answers and set its clock, all at the same time; gives by how much the worst was off.

    Connections that stood before are given up: TCP would wait as long again as the machines stood still. At the end
    chrony is waited for, which forgets its sources when somebody sets the clock.

    Raises:
        MachineError: a node does not answer in time, or its chrony finds no time.
    """

    def step(node: str) -> float:
        ssh.wait_ready(node, timeout_s=SSH_LIMIT_S * plan.wait_factor)
        return abs(step_clock(ssh, node))

    def wait(node: str) -> None:
        tries = round(CHRONY_LIMIT_S * plan.wait_factor)
        argv = ["sudo", "sh", "-c", _WAIT_FOR_CHRONY, "chrony", str(tries)]
        if ssh.run(node, argv, timeout_s=tries * 10, check=False).returncode != 0:
            raise MachineError(f"{node}: chrony has not found its time within {tries} s", hint="`lab up` mends it")

    ssh.close()
    names = [node.name for node in plan.nodes]
    with ThreadPoolExecutor(max_workers=len(names), thread_name_prefix="clock") as pool:
        off = dict(zip(names, pool.map(step, names), strict=True))
        list(pool.map(wait, [name for name in names if off[name] > TOLERANCE_S]))
    return max(off.values())


def wait_for_heartbeats(
    ssh: Ssh, plan: Plan, stopped: float, *, poll_s: float = _POLL_S, say: Callable[[str], None] = lambda _: None
) -> None:
    """Wait until every service that was alive when the machines stopped has told so again.

    `stopped` is that moment, in seconds since the epoch. Where there is no database yet, nothing is waited for.

    Raises:
        MachineError: somebody keeps silent; it says who.
    """
    controller = plan.nodes[0].name
    now = time.time()
    deadline = time.monotonic() + HEARTBEAT_LIMIT_S * plan.wait_factor
    told: list[str] = []
    while silent := _silent(ssh, controller, stopped - ALIVE_S, now):
        if time.monotonic() > deadline:
            raise MachineError(
                f"no heartbeat within {HEARTBEAT_LIMIT_S * plan.wait_factor:.0f} s: {', '.join(silent)}",
                hint="`lab verify` tells what is wrong, `lab up` mends it",
            )
        if silent != told:
            say(f"waiting for the heartbeat of {', '.join(silent)}")
            told = silent
        time.sleep(poll_s)


def _silent(ssh: Ssh, controller: str, after: float, before: float) -> list[str]:
    """Name the services whose last sign of life is from between two moments."""
    argv = ["sudo", "bash", "-c", _QUERY, "heartbeats", f"{after:.0f}", f"{before:.0f}"]
    return sorted(set(ssh.run(controller, argv).stdout.splitlines()))
