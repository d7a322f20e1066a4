"""Whether the lab's machines still run, while others work on them: a step, a wait or the suite would not notice.

A thread asks libvirt every few seconds. Where a machine has ended, `on_end` is called once, to end what waits for it,
and `check` raises what happened. A libvirtd that is gone or silent says nothing about its machines, which run on.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import libvirt

from lab.base.errors import LabError, MachineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lab.host.host import Host

EVERY_S = 5.0
_AGAIN_S = 2.0
"""a machine has ended when it does not run at two looks with this between them"""


class Watch:
    """Watches over the machines of a lab, `domains` by the nodes' names, from `start` to the end of `kept`."""

    def __init__(
        self, host: Host, domains: Mapping[str, str], on_end: Callable[[], None], *, every_s: float = EVERY_S
    ) -> None:
        self._host, self._domains, self._on_end, self._every_s = host, dict(domains), on_end, every_s
        self._problem: MachineError | None = None
        self._stop = threading.Event()
        self._looking = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def all_run(self) -> bool:
        """Whether no machine was seen to have ended."""
        return self._problem is None

    def check(self) -> None:
        """Raise MachineError, which names the machine, where one has ended."""
        if self._problem is not None:
            raise self._problem

    def start(self) -> None:
        """Begin to look; from the main thread, where that has entered the lab's host."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
            self._thread.start()

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """End with the block; an error of the block that a machine's end caused is reported as that."""
        try:
            yield
        except LabError as error:
            if self._problem is not None:
                raise self._problem from error
            raise
        finally:
            self._stop.set()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Do not look while the block stops machines on purpose."""
        with self._looking:
            yield

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            with self._looking:
                ended = self._ended()
                if ended and not self._stop.wait(_AGAIN_S):
                    ended = {name: state for name, state in self._ended().items() if name in ended}
            if ended and not self._stop.is_set():
                told = ", ".join(f"{name} (domain {self._domains[name]}) is {state}" for name, state in ended.items())
                self._problem = MachineError(
                    f"a machine has ended: {told}", hint="`lab doctor` says why; `lab up` starts it and continues"
                )
                self._on_end()
                return

    def _ended(self) -> dict[str, str]:
        try:
            with self._host.hypervisor() as hypervisor:
                states = {name: hypervisor.state(domain) for name, domain in self._domains.items()}
        except (LabError, libvirt.libvirtError):
            return {}
        return {name: state for name, state in states.items() if state != "running"}
