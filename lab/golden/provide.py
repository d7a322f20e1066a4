"""Makes a lab from a golden one: disks on top of its disks, machines of its descriptions, their memory if it fits.

    mark · a private host that shows the golden disks · networks, disks, domains · Vagrant's notes, state, keys ·
    restore the memory, resume all · mark complete

Before the mark is complete, nothing of the lab is worth keeping: whatever ends this, the next `lab up` removes what is
there and starts again.
"""

from __future__ import annotations

import contextlib
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import libvirt

from lab.base.durable import write_text
from lab.base.errors import MachineError
from lab.base.process import run
from lab.box.intact import damage
from lab.box.store import place_image
from lab.checkpoint.memory_and_disks import Machines
from lab.golden import mark
from lab.golden.description import adapted, here
from lab.golden.disks import base_name, overlay_command
from lab.golden.mark import Mark
from lab.host import fence, records
from lab.host.golden_disks import DISKS_SEEN_AT
from lab.host.libvirt import POOL_DIR
from lab.host.ownership import own_of
from lab.host.private import PrivateHost
from lab.host.removal import refuse_in_the_way, remove
from lab.machines.vagrant import Vagrant
from lab.nodes.ssh_config import SshConfig, hosts_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.golden.fit import Fit
    from lab.golden.store import Golden
    from lab.host.host import Host
    from lab.host.libvirt import Hypervisor
    from lab.planning.plan import Plan
    from lab.planning.project import Lab

_COPY_LIMIT_S = 1800.0
_LIMIT_S = 120.0
_MADE = ("state.json", "ssh_config", "known_hosts")


def provide(lab: Lab, host: Host, fit: Fit, say: Callable[[str], None]) -> bool:
    """Make the machines of a lab from a golden one; tell whether they run from its memory.

    Otherwise they are off, and boot like any machine that was made and is not recorded yet. The caller has locked the
    lab, knows that it has no machines, and has not entered the host.

    Raises:
        LabError: something of it could not be made; `undo` removes what is there.
    """
    golden = fit.golden
    mark.save(lab.build_dir, Mark(golden=golden.name))
    if isinstance(host, PrivateHost):
        host.show_golden(golden.directory)
        golden.require()
    else:
        host.start()
    fence.close(host, lab.plan, lab.build_dir)  # before any machine runs
    _make_machines(lab, host, golden)
    write_text(lab.build_dir / "state.json", (golden.directory / "state.json").read_text(), mode=0o600)
    if fit.no_memory:
        say(f"no memory of golden lab {golden.name} ({'; '.join(fit.no_memory)}): its disks boot instead")
        restored = False
    else:
        restored = _restore(lab, host, golden, say)
    mark.save(lab.build_dir, Mark(golden=golden.name, complete=True))
    return restored


def undo(lab: Lab, host: Host) -> None:
    """Remove what an interrupted attempt has made; the mark last."""
    if isinstance(host, PrivateHost):
        host.stop()
    else:
        with host.hypervisor() as hypervisor:
            hypervisor.refresh_pool()  # libvirt may not know yet of the disks
            remove(hypervisor, [node.domain for node in lab.plan.nodes], own=own_of(lab.plan.name, lab.build_dir))
    Vagrant(lab.build_dir).forget([node.name for node in lab.plan.nodes])
    for name in _MADE:
        (lab.build_dir / name).unlink(missing_ok=True)
    mark.remove(lab.build_dir)


def _make_machines(lab: Lab, host: Host, golden: Golden) -> None:
    """Make networks, disks and domains; of each domain, Vagrant's note of its id."""
    private = isinstance(host, PrivateHost)
    pool = Path(POOL_DIR) if private else host.pool_dir
    domains = [node.domain for node in lab.plan.nodes]
    with host.hypervisor() as hypervisor:
        if not hypervisor.exclusive:
            refuse_in_the_way(hypervisor, domains)
            key = records.lab_key(lab.plan.name, lab.build_dir)
            records.note_volumes(key, [f"{domain}.img" for domain in domains])
        for network in lab.plan.networks:
            hypervisor.ensure_network(network)
        for node in lab.plan.nodes:
            disk = pool / f"{node.domain}.img"
            if private:
                host.run(overlay_command(DISKS_SEEN_AT / f"{node.name}.qcow2", disk), timeout_s=_LIMIT_S)
            else:
                _copy_disk(golden, node.name, disk)
        hypervisor.refresh_pool()
        for node in lab.plan.nodes:
            _define(lab, hypervisor, golden, node.name, pool / f"{node.domain}.img")


def _copy_disk(golden: Golden, node: str, disk: Path) -> None:
    """Copy a disk for a lab on the machine's own libvirt: no machine there is to depend on the cache.

    The image of its box may be there already, below other machines' disks: it is never replaced.
    """
    source = golden.disks / f"{node}.qcow2"
    base = golden.disks / base_name(source)
    facts, placed = golden.manifest.disks[base.name], disk.with_name(base.name)
    if placed.exists() and damage(placed, facts):
        raise MachineError(f"{placed} is another image than the golden lab's", hint="`lab up --no-golden`")
    place_image(base, facts, placed)
    run(["cp", "--reflink=auto", source, disk], timeout_s=_COPY_LIMIT_S)
    disk.chmod(0o600)


def _define(lab: Lab, hypervisor: Hypervisor, golden: Golden, node: str, disk: Path) -> None:
    try:
        saved = (golden.directory / f"{node}.xml").read_text()
        xml = adapted(saved, lab.plan, lab.plan.node(node), lab.build_dir, disk)
    except (OSError, ValueError, ET.ParseError) as error:  # the last is a SyntaxError
        raise _damaged(golden, f"{node}.xml: {error}") from None
    (lab.build_dir / "logs" / node).mkdir(mode=0o700, parents=True, exist_ok=True)
    domain = hypervisor.connection.defineXML(xml)
    own = mark.vagrants(lab.build_dir, node)
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in sorted((golden.directory / "vagrant" / node).iterdir()):
        write_text(own / path.name, path.read_text(), mode=0o600)
    write_text(own / "id", str(domain.UUIDString()), mode=0o600)


def _restore(lab: Lab, host: Host, golden: Golden, say: Callable[[str], None]) -> bool:
    """Restore the memory, and record the machines' addresses; if libvirt refuses, the machines are off instead."""
    with host.hypervisor() as hypervisor:
        machines = Machines(hypervisor, {node.name: node.domain for node in lab.plan.nodes})
        try:
            machines.revive(golden.directory, lambda node, saved: here(saved, lab.build_dir, node))
        except libvirt.libvirtError as error:
            if not hypervisor.connection.isAlive():
                raise
            say(f"libvirt refuses the memory of golden lab {golden.name} ({error}): its disks boot instead")
            machines.destroy()
            return False
    _note_addresses(lab.plan, lab.build_dir, golden)
    return True


def _note_addresses(plan: Plan, build_dir: Path, golden: Golden) -> None:
    """Write ssh_config and known_hosts from those of the golden lab: same machines, same addresses, same keys."""
    config = SshConfig(build_dir)
    hosts = hosts_of((golden.directory / "ssh_config").read_text())
    if missing := [node.name for node in plan.nodes if node.name not in hosts]:
        raise _damaged(golden, f"its ssh_config does not name {', '.join(missing)}")
    lines = []
    for node in plan.nodes:
        options = {**hosts[node.name], "IdentityFile": str(mark.vagrants(build_dir, node.name) / "private_key")}
        kept = ("HostName", "User", "Port", "IdentityFile")
        lines += [f"Host {node.name}", *(f"  {key} {options[key]}" for key in kept if key in options)]
    config.add("\n".join(lines))
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(golden.directory / "known_hosts", config.known_hosts)
        config.known_hosts.chmod(0o600)


def _damaged(golden: Golden, why: str) -> MachineError:
    hint = f"`lab golden remove {golden.name}` removes it; `lab up --no-golden` makes everything"
    return MachineError(f"golden lab {golden.name} is damaged: {why}", hint=hint)
