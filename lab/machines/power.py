"""A lab's virtual machines off, on, paused and awake, through libvirt alone."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import libvirt

from lab.base.errors import MachineError
from lab.host.libvirt import unless

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from lab.host.libvirt import Hypervisor

SHUTDOWN_LIMIT_S = 90.0
"""for a node to shut down on a KVM host; times the lab's wait factor"""
_PRESS_AGAIN_S = 15.0
"""a guest that is still booting does not feel the power button"""
_PRESS_LIMIT_S = 10.0
_LOOK_EVERY_S = 0.5
OFF = frozenset({"shut off", "crashed", "saved", "absent"})


def shut_down(
    hypervisor: Hypervisor, names: Collection[str], *, timeout_s: float, say: Callable[[str], None] = print
) -> None:
    """Press the power button of domains, side by side, until all are off; those that do not follow are cut off.

    Domains that are off are left alone; paused ones are woken first, as they could not follow.
    """
    deadline = time.monotonic() + timeout_s
    press_at = 0.0
    while left := [name for name in names if hypervisor.state(name) not in OFF]:
        now = time.monotonic()
        for name in left:
            domain = hypervisor.domain(name)
            if domain is None:  # it went while we looked
                continue
            if now > deadline:
                say(f"{name} did not shut down within {timeout_s:.0f} s: switching it off")
                unless(libvirt.VIR_ERR_OPERATION_INVALID, domain.destroy)
            elif now > press_at:
                _press(hypervisor, name)
        if now > press_at:
            press_at = now + _PRESS_AGAIN_S
        time.sleep(_LOOK_EVERY_S)


def _press(hypervisor: Hypervisor, name: str) -> None:
    """Press the power button of a domain, waking it first; one whose QEMU does not answer is cut off at the end."""

    def press(domain: Any) -> None:
        if hypervisor.state(name) == "paused":
            domain.resume()
        unless(libvirt.VIR_ERR_OPERATION_INVALID, domain.shutdown)

    with contextlib.suppress(MachineError):
        hypervisor.ask_qemu(name, "shutting down", press, limit_s=_PRESS_LIMIT_S)


def switch_on(hypervisor: Hypervisor, names: Sequence[str]) -> list[str]:
    """Start what is off (from its managed save image where it has one) and wake what is paused, in this order.

    Gives the names of those that did not run.

    Raises:
        MachineError: a domain is not there; nothing was started.
    """
    states = hypervisor.states(names)
    absent = [name for name in names if states[name] == "absent"]
    if absent:
        raise MachineError(f"no virtual machine {', '.join(absent)}", hint="`lab up` makes it")
    asleep = [name for name in names if states[name] != "running"]
    for name in asleep:
        domain = hypervisor.domain(name)
        assert domain is not None
        if states[name] == "paused":
            hypervisor.resume(name)
        else:
            domain.create()
    return asleep


def pause(hypervisor: Hypervisor, names: Sequence[str]) -> list[str]:
    """Stop the processors of those that run, computes before the controller; gives their names."""
    running = [name for name in reversed(names) if hypervisor.state(name) == "running"]
    for name in running:
        hypervisor.suspend(name)
    return running
