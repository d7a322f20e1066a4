"""Makes a golden lab of a lab that runs, with the help of a checkpoint, which is removed at the end.

    look: everything is done and verified, and there is room · make NAME.partial · checkpoint golden-NAME · copy the
    disks' snapshots and the memory to files · manifest, rename: from here on the golden lab exists · remove the
    checkpoint

A crash leaves NAME.partial, and perhaps the checkpoint; the next `lab golden save` removes both. In each case the lab
runs on, on its own disks.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING

from lab.base import durable
from lab.base.durable import write_text
from lab.base.errors import HostError, MachineError, UsageError
from lab.base.process import run
from lab.base.side_by_side import for_all
from lab.box.intact import facts_of, facts_of_all
from lab.box.store import list_boxes
from lab.checkpoint import recovery, save_restore
from lab.checkpoint.memory_and_disks import memory_file
from lab.checkpoint.store import Checkpoints
from lab.generator.render import render
from lab.golden import disks, mark
from lab.golden.description import domain_of
from lab.golden.fit import passwords_digest, today
from lab.golden.store import Manifest
from lab.nodes.ssh import Ssh
from lab.nodes.state import StateFile
from lab.nodes.steps import not_done
from lab.planning import rotated
from lab.planning.secrets import load_seed
from lab.verification import proven

if TYPE_CHECKING:
    from pathlib import Path

    from lab.base.progress import Progress
    from lab.checkpoint.store import Checkpoint
    from lab.golden.digest import Parts
    from lab.golden.disks import Disk
    from lab.golden.store import Golden, GoldenLabs
    from lab.host.host import Host
    from lab.planning.project import Lab

_LINK_LIMIT_S = 1800.0
_COPIED = ("state.json", "plan.json", "seed", rotated.FILE, "ssh_config", "known_hosts")
_VAGRANTS = ("id", "private_key", "box_meta", "creator_uid", "action_provision")
"""of Vagrant's notes on a machine; not its number in the list of all machines, which is another lab's"""
# What is not in use need not be kept: blocks of deleted files, and files that are on the disk too. Memory that is free
# still holds what was there: QEMU leaves out only pages of zeros, so most of it is filled with them, and given back.
# The mount is in a mount namespace of this script: whatever ends it, the memory is free again.
_SLIM = """\
timeout 60 fstrim -a || true
sync
echo 3 > /proc/sys/vm/drop_caches
mib=$(awk '/^MemFree:/ { print int($2 / 1024) - 512 }' /proc/meminfo)
[ "$mib" -gt 0 ] || exit 0
mount -t tmpfs -o "size=${mib}m,mode=0700" zeros /mnt
timeout 150 dd if=/dev/zero of=/mnt/zeros bs=1M count="$mib" status=none || true
umount /mnt
"""
_SLIM_COMMAND = ("sudo", "-n", "unshare", "--mount", "sh", "-e", "-c", _SLIM)
_SLIM_LIMIT_S = 300.0


def save(lab: Lab, host: Host, store: GoldenLabs, progress: Progress) -> Golden:
    """Make a golden lab of a lab that runs and is locked, on a host that was entered.

    Raises:
        UsageError: the lab is not complete and verified, or was made from a golden lab; or this golden lab exists.
        HostError: no room.
        MachineError: libvirt or qemu-img refuses; the lab runs on as before.
    """
    _require_verified(lab, host)
    found, parts, name = _look(lab, host)
    with store.lock():
        if store.exists(name):
            raise UsageError(f"golden lab {name} exists", hint=f"`lab golden remove {name}` first")
        _forget(lab, host, name)
        _require_room(lab, host, store, found)
        partial = store.partial(name)
        try:
            store.begin(name)
            _slim(lab)
            checkpoint = save_restore.take(lab, host, _checkpoint(name), progress)
            try:
                _copy(lab, checkpoint, found, partial)
                manifest = Manifest(
                    created=checkpoint.manifest.created,
                    lab=lab.plan.name,
                    release=lab.plan.release,
                    build_dir=str(lab.build_dir),
                    parts=parts,
                    passwords=passwords_digest(load_seed(lab.build_dir / "seed"), lab.secrets),
                    disks=facts_of_all(partial / "disks"),
                    files={path.name: facts_of(path) for path in sorted(partial.glob("*.mem"))},
                )
                golden = store.finish(partial, manifest)
            finally:
                save_restore.drop(lab, host, checkpoint.name)
        except OSError as error:
            raise HostError(
                f"cannot write golden lab {name}: {error.strerror}", hint="free some space there"
            ) from error
        finally:
            store.abandon(partial)
    progress.say(f"golden lab {golden.name}: {golden.size_mib()} MiB in {golden.directory}")
    return golden


def name_of(lab: Lab, host: Host) -> str:
    """Name the golden lab that `save` would make of a lab: it is equal to one of the same name.

    Raises:
        MachineError: a disk cannot be read.
    """
    return _look(lab, host)[2]


def _look(lab: Lab, host: Host) -> tuple[dict[str, Disk], Parts, str]:
    """Give the disks by node, what the lab was made from, and the name of a golden lab of it."""
    found = {node.name: disks.inspect(host.pool_dir / f"{node.domain}.img") for node in lab.plan.nodes}
    versions = {lab.plan.node(name).box: disk.box_version for name, disk in found.items()}
    parts = today(lab.plan, render(lab.plan, lab.secrets), host.mode, versions)
    return found, parts, f"{lab.plan.release}-{parts.digest[:8]}"


def _checkpoint(name: str) -> str:
    return f"golden-{name}"


def _forget(lab: Lab, host: Host, name: str) -> None:
    """Remove the checkpoint of a save that did not end."""
    if Checkpoints(lab.build_dir).exists(_checkpoint(name)):
        save_restore.drop(lab, host, _checkpoint(name))


def _require_verified(lab: Lab, host: Host) -> None:
    state = StateFile(lab.build_dir / "state.json").load()
    steps = [step.id for step in lab.plan.steps]
    if not_done(lab.plan, render(lab.plan, lab.secrets), state) or not proven.is_verified(lab.plan, state, steps):
        raise UsageError(
            "only a complete lab whose checks have all passed can become golden",
            hint="`lab up` provisions and verifies it; then the same again",
        )
    if (known := mark.load(lab.build_dir)) is not None:
        raise UsageError(f"this lab was made from golden lab {known.golden}: it is one already")
    if not recovery.all_run(lab, host):
        raise UsageError("the lab does not run", hint="`lab resume` starts it; then the same again")


def _require_room(lab: Lab, host: Host, store: GoldenLabs, found: dict[str, Disk]) -> None:
    """Refuse where the memory, uncompressed, and the disks might not fit; images of boxes are mostly shared."""
    with recovery.machines_of(lab.plan, host) as machines:
        need = machines.memory_mib() + sum(disk.taken for disk in found.values()) // 2**20
    place = store.root
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free // 2**20
    if need > free:
        raise HostError(
            f"no space for a golden lab in {place}: found {free} MiB free, expected {need} MiB",
            hint="`lab golden list` shows the others, `lab golden remove NAME` removes one",
        )


def _slim(lab: Lab) -> None:
    """Make memory and disks as small as they can be; a node that cannot is saved as it is."""
    ssh = Ssh(lab.build_dir)

    def slim(node: str) -> None:
        with contextlib.suppress(MachineError):
            ssh.run(node, _SLIM_COMMAND, timeout_s=_SLIM_LIMIT_S)

    for_all([node.name for node in lab.plan.nodes], slim, on_interrupt=ssh.abort)


def _copy(lab: Lab, checkpoint: Checkpoint, found: dict[str, Disk], partial: Path) -> None:
    """Fill the directory of a new golden lab from a checkpoint; its manifest comes last, and not here."""
    boxes = list_boxes()
    for node in lab.plan.nodes:
        disks.keep_base(found[node.name], partial / "disks", boxes)
        disks.freeze(found[node.name], checkpoint.tag, partial / "disks" / f"{node.name}.qcow2")
        memory = memory_file(checkpoint.directory, node.name)
        if memory.exists():
            _link(memory, memory_file(partial, node.name))
        snapshot = (checkpoint.directory / f"{node.name}.xml").read_text()
        write_text(partial / f"{node.name}.xml", domain_of(snapshot), mode=0o600)
        _copy_vagrants(lab, node.name, partial)
    for name in _COPIED:
        with contextlib.suppress(FileNotFoundError):
            write_text(partial / name, (lab.build_dir / name).read_text(), mode=0o600)


def _copy_vagrants(lab: Lab, node: str, partial: Path) -> None:
    source, target = mark.vagrants(lab.build_dir, node), partial / "vagrant" / node
    target.mkdir(mode=0o700, parents=True)
    for name in _VAGRANTS:
        with contextlib.suppress(FileNotFoundError):
            write_text(target / name, (source / name).read_text(), mode=0o600)


def _link(source: Path, target: Path) -> None:
    """Take a file over: by another name where it is on the same file system, else by a copy."""
    try:
        os.link(source, target)
    except OSError:
        run(["cp", "--reflink=auto", source, target], timeout_s=_LINK_LIMIT_S)
    durable.sync_file(target, 0o600)
