"""Where a lab will run, beside its neighbours on this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lab.base.errors import HostError, MachineError
from lab.base.rights import same_with_sudo
from lab.host import records
from lab.host.host import choose_host
from lab.host.neighbours import require_no_collision
from lab.host.private import PrivateHost

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.host.host import Host
    from lab.planning.plan import Plan


def require_open(host: Host) -> None:
    """Refuse to judge or change what this user cannot see: all machines of root's lab would look as if they were gone.

    Raises:
        HostError: with the same call for root.
    """
    if host.is_closed():
        raise HostError(
            f"lab {host.name} belongs to root: run as root to see its machines", hint=f"run: {same_with_sudo()}"
        )


def host_for(
    plan: Plan, build_dir: Path, *, look: bool = False, choose: Callable[[str, Path], Host] = choose_host
) -> Host:
    """Choose where a lab runs, as `choose_host` does, without a conflict with its neighbours.

    Where somebody else on the machine's libvirt has its subnets or names, the lab gets a private host of its own, and
    so keeps the guide's addresses. With `look` it may be a host that is closed to this user.

    Raises:
        HostError: that is not possible: it runs there already, LAB_HOST decides otherwise, or it would need root.
    """
    host = choose(plan.name, build_dir)
    if not look:
        require_open(host)
    if plan.ended and host.mode == "system":
        return _shut(plan, build_dir)
    try:
        _refuse_namesake(plan, host, build_dir)
        require_no_collision(plan, host, build_dir)
    except HostError as error:
        asked = os.environ.get("LAB_HOST", "auto") not in ("", "auto")
        exists = records.load(records.lab_key(plan.name, build_dir)) is not None
        if asked or exists or os.geteuid() != 0:
            raise
        first = (error.detail.splitlines() or [error.message])[0]
        return PrivateHost(plan.name, build_dir, reason=f"the machine's libvirt cannot be used for it: {first}")
    return host


def _shut(plan: Plan, build_dir: Path) -> PrivateHost:
    """Give a lab of a release without security updates the private way, in which no other machine can reach it.

    Raises:
        HostError: the system way was asked for, or this is not root, who alone can make a private host.
    """
    since = f"release {plan.release} has had no security updates since {plan.ended}"
    if os.environ.get("LAB_HOST", "auto") == "system" or os.geteuid() != 0:
        raise HostError(
            f"{since}: its labs meet no network but their own, so they do not use the machine's libvirt",
            hint=f"as root, with LAB_HOST=private: {same_with_sudo()}",
        )
    return PrivateHost(plan.name, build_dir, reason=f"{since}: its labs meet no network but their own")


def own_host(
    plan: Plan, build_dir: Path, *, look: bool = False, choose: Callable[[str, Path], Host] = choose_host
) -> Host:
    """Choose where a lab runs, for a verb that reaches its machines; with `look` also a host that is closed.

    Raises:
        HostError: it is closed to this user.
        MachineError: the machine's libvirt has others' machines of their names, as of a lab that was only rendered.
    """
    host = choose(plan.name, build_dir)
    if not look:
        require_open(host)
    if host.mode == "system" and host.is_running():
        with host.hypervisor() as hypervisor:
            foreign = hypervisor.foreign_domains([node.domain for node in plan.nodes], build_dir)
        if foreign:
            raise MachineError(
                f"not machines of {build_dir}, though they have its names: {', '.join(foreign)}",
                hint="`lab list` shows their owners; give this lab another `name` in the spec",
            )
    return host


def _refuse_namesake(plan: Plan, host: Host, build_dir: Path) -> None:
    """Refuse a lab whose networks have the names of another's; libvirt's networks do not say whose they are."""
    if host.mode != "system":
        return
    own = records.lab_key(plan.name, build_dir)
    for key in records.known_keys():
        other = records.load(key)
        if other is not None and other.name == plan.name and other.mode == "system" and key != own:
            raise HostError(
                f"lab {plan.name} of {other.build_dir} already uses this machine's libvirt",
                hint="another `name` in the spec; `lab list` shows the labs of this machine",
            )
