"""What an exercise does to a lab, as a small protocol; and a lab that does it."""

from __future__ import annotations

import contextlib
import math
import shlex
import time
from typing import TYPE_CHECKING, Protocol

from lab.base.errors import MachineError
from lab.base.lock import lab_lock
from lab.base.side_by_side import for_all
from lab.checkpoint import recovery, save_restore
from lab.checkpoint.store import Checkpoints
from lab.host import fence
from lab.host.choice import own_host
from lab.nodes.clock import wait_for_chrony
from lab.nodes.readiness import wait_until_ready
from lab.nodes.ssh import Ssh
from lab.openstack import REPORTING
from lab.teaching.exercise import state
from lab.teaching.exercise.script import SHELL
from lab.verbs import power
from lab.verification.run import verify

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from lab.base.progress import Progress
    from lab.planning.project import Lab
    from lab.verification.report import Report

SCRIPT_LIMIT_S = 900.0
"""for what an exercise does to a node"""
REACH_LIMIT_S = 60.0
SETTLE_S = 30.0
"""for services to work after a restart, on a KVM host; times the wait factor"""


class Bench(Protocol):
    """A lab on which an exercise runs. Every method may raise LabError."""

    def locked(self, verb: str) -> contextlib.AbstractContextManager[None]:
        """Hold the lab's lock."""

    def unreachable(self) -> list[str]:
        """Name the nodes that do not answer."""

    def run(self, node: str, script: str) -> str:
        """Run a script as root, and give what it printed."""

    def verify(self, ids: Collection[str] | None = None, *, quick: bool = False) -> Report:
        """Run the suite, or these checks of it; with full messages."""

    def restart(self, node: str, units: Sequence[str]) -> None:
        """Restart services, without waiting for them."""

    def settle(self, limit_s: float | None = None, *, restarted: Collection[tuple[str, str]] | None = None) -> None:
        """Wait for the services, at most `limit_s` (on a KVM host; default SETTLE_S). No error if they do not work.

        Of `restarted`, as (node, unit), a report is waited for too; by default of all.
        """

    def reboot(self) -> None:
        """Shut all nodes down, and boot them."""

    def state(self) -> dict[str, dict[str, str]]:
        """Digest what exercises may change: node -> topic -> digest."""

    def save(self, name: str) -> None:
        """Save a checkpoint."""

    def restore(self, name: str) -> Report | None:
        """Restore it, and give the result of its quick checks; None if none ran."""

    def forget(self, name: str) -> None:
        """Delete it; no error if there is none."""


def restart_script(units: Sequence[str]) -> str:
    """Write what restarts services, also those that systemd no longer tries to start.

    Those that take their work from the queue are killed, which is safe: they keep no data. Told to end, some of them go
    on until systemd kills them.
    """
    names, workers = shlex.join(units), shlex.join(unit for unit in units if unit in REPORTING)
    kill = f"systemctl kill --signal=KILL {workers} 2>/dev/null\n" if workers else ""
    return f"{kill}systemctl reset-failed {names} 2>/dev/null\nsystemctl restart --no-block {names}\n"


class LabBench:
    """A lab that runs."""

    def __init__(self, lab: Lab, progress: Progress) -> None:
        """Start the lab's host, and enter it.

        Raises:
            UsageError: the lab has no machines, or was put away.
        """
        self._lab = lab
        self._progress = progress
        self._ssh = Ssh(lab.build_dir)
        host = own_host(lab.plan, lab.build_dir)
        recovery.start_host(lab, host)
        fence.close(host, lab.plan, lab.build_dir)
        host.enter()

    @contextlib.contextmanager
    def locked(self, verb: str) -> Iterator[None]:
        """Hold the lab's lock."""
        with lab_lock(self._lab.build_dir, verb):
            yield

    def unreachable(self) -> list[str]:
        """Ask every node for an answer."""
        answers = for_all([node.name for node in self._lab.plan.nodes], self._answers, on_interrupt=self._ssh.abort)
        return [name for name, answered in answers.items() if not answered]

    def _answers(self, node: str) -> bool:
        with contextlib.suppress(MachineError):
            limit_s = REACH_LIMIT_S * max(1.0, self._lab.plan.wait_factor)
            return self._ssh.run(node, ["sudo", "-n", "true"], timeout_s=limit_s, check=False).ok
        return False

    def run(self, node: str, script: str) -> str:
        """Run a script, which comes on standard input."""
        limit_s = SCRIPT_LIMIT_S * max(1.0, self._lab.plan.wait_factor)
        return self._ssh.run(node, list(SHELL), input=script, timeout_s=limit_s).stdout

    def verify(self, ids: Collection[str] | None = None, *, quick: bool = False) -> Report:
        """Run the suite, with full messages."""
        tell = self._progress.counter("checks")
        return verify(self._lab.plan, self._lab.build_dir, ids=ids, quick=quick, full=True, on_result=tell)

    def restart(self, node: str, units: Sequence[str]) -> None:
        """Restart services."""
        self.run(node, restart_script(units))

    def settle(self, limit_s: float | None = None, *, restarted: Collection[tuple[str, str]] | None = None) -> None:
        """Wait as `lab resume` does, but not so long; then for chrony, which may have been restarted.

        A network agent reports every 30 s: one that ran on need not be waited for. Nothing is said meanwhile: what is
        waited for would name the service at fault.
        """
        plan, limit_s = self._lab.plan, SETTLE_S if limit_s is None else limit_s
        wait_until_ready(
            self._lab,
            self._ssh,
            since=time.time(),
            say=lambda _: None,
            limit_s=limit_s * max(1.0, plan.wait_factor),
            reports=lambda node, unit: restarted is None or (node, unit) in restarted,
        )
        with contextlib.suppress(MachineError):  # the suite says so
            wait_for_chrony(self._ssh, plan, {node.name: math.inf for node in plan.nodes}, limit_s)

    def reboot(self) -> None:
        """Do as `lab halt` and `lab resume` do; the complete suite comes afterwards."""
        power.halt(self._lab, self._progress)
        power.resume(self._lab, self._progress, command="lab exercise grade", check=False)

    def state(self) -> dict[str, dict[str, str]]:
        """Ask all nodes at once."""
        names = [node.name for node in self._lab.plan.nodes]
        return for_all(names, lambda node: state.read(self.run(node, state.script())), on_interrupt=self._ssh.abort)

    def save(self, name: str) -> None:
        """Do as `lab checkpoint save` does."""
        save_restore.save(self._lab, name, self._progress)

    def restore(self, name: str) -> Report | None:
        """Do as `lab checkpoint restore` does."""
        return save_restore.restore(self._lab, name, self._progress)

    def forget(self, name: str) -> None:
        """Do as `lab checkpoint delete` does."""
        if Checkpoints(self._lab.build_dir).exists(name):
            save_restore.delete(self._lab, name, self._progress)
