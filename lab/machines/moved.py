"""A lab whose build directory was moved goes on where it is now."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from lab.base.errors import UsageError
from lab.base.lock import lab_lock
from lab.host import place, records
from lab.host.host import SystemHost
from lab.host.place import At, Place
from lab.host.private import PrivateHost
from lab.host.relocate import relocate_domain
from lab.machines.vagrant import Vagrant
from lab.nodes.ssh import Ssh
from lab.nodes.ssh_config import SshConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.host.host import Host
    from lab.host.records import LabRecord
    from lab.planning.plan import Plan


def follow(name: str, build_dir: Path, command: str, say: Callable[[str], None]) -> None:
    """Make sure that its lab's machines belong to a build directory: to one that was moved, they belong from now on.

    Raises:
        UsageError: it is a copy. Nothing was changed.
        LabError: libvirt, which must learn the new place, does not answer.
    """
    recorded = records.place_of(build_dir)
    at = place.whereabouts(build_dir, recorded)
    place.refuse_other(build_dir, at, recorded)
    if at is At.MOVED:
        with lab_lock(build_dir, command):
            _adopt(name, build_dir, say)


def claim(plan: Plan, build_dir: Path, mode: str) -> None:
    """Let the build directory, and this machine, remember the lab before anything is made of it."""
    if place.load(build_dir) is None:
        key = records.lab_key(plan.name, build_dir)
        record = records.load(key)
        known = record.id if record else ""
        place.save(build_dir, Place(id=known or place.new_id(), key=key, build_dir=os.path.realpath(build_dir)))
    records.save(records.record_of(plan, build_dir, mode))


def refuse_lost(name: str, build_dir: Path) -> None:
    """Refuse to make a lab in the place of one that may have been moved away: its machines would be taken for ours.

    Raises:
        UsageError: this machine remembers such a lab, and nothing of it is in the directory.
    """
    record = records.load(records.lab_key(name, build_dir))
    if record is None or not record.id or place.load(build_dir) is not None:
        return
    if not SshConfig(build_dir).path.exists():
        raise UsageError(
            f"this machine has a lab {name} of {build_dir}, but that directory has no record of it",
            hint="where you moved it to, `lab up` goes on with its machines; "
            f"if it is deleted: `lab down --lab {record.key}` removes them, then `lab up`",
        )


def _adopt(name: str, build_dir: Path, say: Callable[[str], None]) -> None:
    """Write the new place everywhere; the notes of the directory and of this machine last: it can be done twice."""
    old = place.load(build_dir)
    assert old is not None  # else it would not be known that it was moved
    record = records.load(old.key)
    if record is None or record.id != old.id:
        say(f"the lab was moved here from {old.build_dir}; this machine has no machines of it")
        _forget_connections(build_dir, Path(old.build_dir))
        place.save(build_dir, Place(id=place.new_id(), key=records.lab_key(name, build_dir), build_dir=str(build_dir)))
        return
    say(f"the lab was moved here from {old.build_dir}: it continues here")
    _tell_libvirt(record, build_dir)
    _forget_connections(build_dir, Path(old.build_dir))
    place.save(build_dir, old.model_copy(update={"build_dir": str(build_dir)}))
    records.save(record.model_copy(update={"build_dir": str(build_dir)}))


def _tell_libvirt(record: LabRecord, build_dir: Path) -> None:
    host: Host = SystemHost(record.name)
    if record.mode == "private":
        place_of_state = records.STATE_ROOT
        host = PrivateHost(record.name, build_dir, reason="it was moved", state_root=place_of_state, key=record.key)
    host.start()
    with host.hypervisor() as hypervisor:
        own = list(record.domains.items())
        if not hypervisor.exclusive:
            places = (Path(record.build_dir), build_dir)  # an earlier attempt may have been cut short
            foreign = set.intersection(*(set(hypervisor.foreign_domains(record.domains.values(), p)) for p in places))
            own = [(node, domain) for node, domain in own if domain not in foreign]
        for node, domain in own:
            relocate_domain(hypervisor, domain, build_dir, node)


def _forget_connections(build_dir: Path, old: Path) -> None:
    SshConfig(build_dir).relocate(old)
    Ssh(build_dir).close()
    shutil.rmtree(SshConfig(build_dir).socket_dir(), ignore_errors=True)
    if not old.exists():  # else there is another lab by now
        shutil.rmtree(SshConfig(old).socket_dir(), ignore_errors=True)
        Vagrant(old).forget()
