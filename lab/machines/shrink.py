"""Taking compute nodes out of the lab: first out of OpenStack, then their machines."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.base import safe
from lab.base.errors import MachineError, UsageError
from lab.host.removal import remove
from lab.machines.vagrant import Vagrant
from lab.openstack import KEEP_OTHERS, OTHERS_LIVE_THERE, STOP_SERVICES, remove_computes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lab.base.progress import Progress
    from lab.host.host import Host
    from lab.host.ownership import Own
    from lab.nodes.ssh import Ssh
    from lab.nodes.state import StateFile

LOG = "logs/controller/remove-compute.log"
CONTROLLER_LIMIT_S, NODE_LIMIT_S = 60.0, 15.0
"""for an answer over ssh; on a KVM host"""


@dataclass(frozen=True)
class Leaving:
    """A compute node that leaves."""

    name: str
    domain: str


class Shrink:
    """Takes compute nodes out. Each part may be done again: an interrupted one is picked up by the next `lab up`."""

    def __init__(
        self,
        host: Host,
        ssh: Ssh,
        state: StateFile,
        progress: Progress,
        wait_factor: float,
        mask: Callable[[str], str],
    ) -> None:
        """Keep what it works with; `mask` hides the passwords in what the controller says."""
        self._host = host
        self._mask = mask
        self._ssh = ssh
        self._state = state
        self._progress = progress
        self._factor = wait_factor

    def out_of_openstack(self, leaving: Sequence[Leaving]) -> None:
        """Take nodes out of OpenStack: the lab's own instances, services, agents, resource providers, cell mappings.

        Raises:
            UsageError: other instances live there; nothing has been changed.
            MachineError: the controller does not do it.
        """
        self._ssh.wait_ready("controller", CONTROLLER_LIMIT_S * self._factor)
        there = [node for node in leaving if self._answers(node)]
        gone = [node.name for node in leaving if node not in there]
        self._remove("drain", leaving, gone)
        for node in leaving:
            if node in there:
                self._ssh.run(node.name, ["sudo", "sh", "-c", STOP_SERVICES])
            else:  # one that hangs could come back and register itself again
                with self._host.hypervisor() as hypervisor:
                    hypervisor.power_off(node.domain)
        self._remove("forget", leaving, gone)

    def machines(self, leaving: Sequence[Leaving], own: Own) -> None:
        """Remove the machines of nodes with their volumes, and all that is remembered of them here."""
        names = [node.name for node in leaving]
        self._ssh.forget(names)
        with self._host.hypervisor() as hypervisor:
            removed = remove(hypervisor, [node.domain for node in leaving], own=own)
        for line in removed.left:
            self._progress.say(f"left alone: {line}")
        Vagrant(self._ssh.build_dir).forget(names)
        for name in names:
            self._state.save(self._state.load().without_node(name))
            shutil.rmtree(self._ssh.build_dir / "logs" / name, ignore_errors=True)

    def _answers(self, node: Leaving) -> bool:
        with self._host.hypervisor() as hypervisor:
            if hypervisor.state(node.domain) != "running" or node.name not in self._ssh.nodes():
                return False
        try:
            self._ssh.wait_ready(node.name, NODE_LIMIT_S * self._factor)
        except MachineError:
            return False
        return True

    def _remove(self, verb: str, leaving: Sequence[Leaving], gone: Sequence[str]) -> None:
        names = [node.name for node in leaving]
        log = self._ssh.build_dir / LOG
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        said: list[str] = []
        with open(log, "a", opener=safe.private_opener) as out:

            def hear(line: str) -> None:
                said.append(self._mask(line))
                print(said[-1], file=out, flush=True)

            code = self._ssh.stream("controller", ["sudo", *remove_computes(verb, names, gone)], hear)
        if code == OTHERS_LIVE_THERE:
            raise UsageError(
                f"{' '.join(names)} cannot be removed: instances run there that the lab did not create",
                detail="\n".join(said),
                hint=KEEP_OTHERS,
            )
        if code != 0:
            raise MachineError(
                f"remove-compute {verb} failed on controller (exit code {code})",
                detail="\n".join([*said[-15:], f"full log: {log}"]),
                hint="fix the cause, then run `lab up` again: it continues there; or put nodes.compute.count back",
            )
