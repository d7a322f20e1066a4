"""`lab down`: removes the lab; nothing of it stays on the host."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.base import builddir, durable
from lab.base.addresses import NETWORK_KINDS
from lab.base.errors import DamagedFileError, HostError, MachineError, UsageError
from lab.base.lock import lab_lock
from lab.checkpoint.store import Checkpoints
from lab.generator.files import remove_tree
from lab.host import fence, page_sharing, place, records
from lab.host.choice import require_open
from lab.host.host import choose_host
from lab.host.ownership import own_of
from lab.host.removal import remove
from lab.inputs.load import load_spec
from lab.machines import moved
from lab.machines.vagrant import Vagrant
from lab.nodes.ssh import Ssh
from lab.nodes.ssh_config import SshConfig
from lab.planning import project
from lab.verbs import labs
from lab.verbs.opening import plan_of
from lab.verification import veil

if TYPE_CHECKING:
    from lab.base.progress import Progress
    from lab.host.host import Host
    from lab.host.libvirt import Hypervisor
    from lab.host.records import LabRecord
    from lab.inputs.model import Spec
    from lab.verbs.labs import SeenLab

MADE = (
    *(".vagrant", "checkpoints", "logs", "mux", "known_hosts", "ssh_config"),
    *("state.json", "state.json.damaged", "plan.json.damaged", "golden.json", veil.FILE),
)
"""what `lab up` and Vagrant made beside the rendered files"""


@dataclass(frozen=True)
class Removed:
    """How `lab down` ended."""

    lab: str
    """its name; NAME-HASH where it was removed by `lab list`"""
    directory: Path | None
    existed: bool = True
    """there was something to remove"""
    kept: tuple[str, ...] = ()
    """the checkpoints that stay, with the disks"""


def down(spec_file: Path, build_dir: Path | None, progress: Progress, *, keep_checkpoints: bool = False) -> Removed:
    """Remove domains, volumes, networks, and for a private host its processes, namespace and files.

    The spec and the seed stay: the same spec makes the same lab, with the same passwords, again. It may be run twice.
    With `keep_checkpoints` the volumes and the build directory stay too, so that `lab checkpoint restore` brings the
    lab back; what its machines did since the last checkpoint is lost.

    Raises:
        UsageError: there is no checkpoint to keep; or the directory is not a lab's.
    """
    spec = load_spec(spec_file)
    directory = project.build_dir_of(spec_file, build_dir, spec.name)
    return remove_lab(spec, directory, progress, keep_checkpoints=keep_checkpoints)


def remove_lab(spec: Spec, directory: Path, progress: Progress, *, keep_checkpoints: bool = False) -> Removed:
    """Do as `down` does, for a spec that is read."""
    name = spec.name
    builddir.require(directory)
    moved.follow(name, directory, "lab down", progress.say)
    try:
        plan = project.load_plan(directory)
    except DamagedFileError:  # the spec names its machines and networks too
        plan = plan_of(spec)
    host = choose_host(name, directory)
    require_open(host)
    key = records.lab_key(name, directory)
    if plan is None and not host.exists() and records.load(key) is None:
        return Removed(name, directory, existed=False)
    record = records.record_of(plan, directory, host.mode) if plan is not None else records.load(key)
    kept = _kept(directory) if keep_checkpoints else []
    with lab_lock(directory, "lab down"):
        _remove(host, directory, key, record, progress, keep_volumes=keep_checkpoints)
    return Removed(name, directory, kept=tuple(kept))


def down_listed(word: str, progress: Progress) -> Removed:
    """Remove a lab of `lab list`, named by its name, NAME-HASH or build directory.

    That directory may be gone, or be something else by now: then it is left alone.

    Raises:
        UsageError: no lab, or more than one, is named so.
    """
    lab = labs.find(word)
    directory = _recorded(lab, progress)
    with contextlib.ExitStack() as stack:
        if directory is not None and directory.is_dir():
            stack.enter_context(lab_lock(directory, "lab down"))
        _remove(lab.host(), directory, lab.key, lab.record or _of_domains(lab), progress)
    return Removed(lab.key, None)


def _recorded(lab: SeenLab, progress: Progress) -> Path | None:
    """Give the build directory that is remembered, if it is known and not something else by now."""
    if not lab.build_dir:
        return None
    directory = Path(lab.build_dir)
    try:
        builddir.require(directory)
        plan = project.load_plan(directory)
        other = plan.name if plan is not None and plan.name != lab.name else ""
        if _is_of_another(directory, lab.record):
            other = "another lab"
    except UsageError:
        other = "no lab"
    except MachineError:  # its plan cannot be read
        other = ""
    if not other:
        return directory
    progress.say(f"not removed, because it belongs to {other} now: {directory}")
    return None


def _is_of_another(directory: Path, record: LabRecord | None) -> bool:
    """Tell whether a directory is another lab's by now: the one that this machine remembers there was moved away."""
    remembered = place.load(directory)
    return remembered is not None and record is not None and bool(record.id) and remembered.id != record.id


def _of_domains(lab: SeenLab) -> LabRecord | None:
    """Make the record of a lab of the system libvirtd that has none, from its domains; its networks have like names."""
    if lab.mode != "system":
        return None
    return records.LabRecord(
        key=lab.key,
        name=lab.name,
        release=lab.release,
        build_dir=lab.build_dir,
        mode="system",
        domains={node: f"{lab.name}-{node}" for node in lab.states},
        networks=tuple(f"{lab.name}-{kind}" for kind in NETWORK_KINDS),
    )


def _kept(directory: Path) -> list[str]:
    """Name the checkpoints that will stay."""
    kept = [checkpoint.name for checkpoint in Checkpoints(directory).complete()]
    if not kept:
        raise UsageError("there is no checkpoint to keep", hint="`lab checkpoint save NAME`, or `lab down` alone")
    if Checkpoints(directory).unfinished():
        raise UsageError("a save or a restore was interrupted", hint="run `lab up` first, which completes it")
    return kept


def _remove(
    host: Host,
    directory: Path | None,
    key: str,
    record: LabRecord | None,
    progress: Progress,
    *,
    keep_volumes: bool = False,
) -> None:
    """Remove what is on the host, then what is in the build directory, and last what the machine remembers.

    With `keep_volumes` the volumes, the build directory and the machine's memory of the lab stay.
    """
    require_open(host)
    if directory is not None:
        Ssh(directory).close()
    host.end_silent()
    if host.mode == "system" and not host.is_running() and records.load(key) is not None:
        raise HostError("the machine's libvirtd, which has the lab's machines, does not answer", hint="`lab doctor`")
    if record is not None and host.is_running():
        with host.hypervisor() as hypervisor:
            _remove_from(hypervisor, record, progress, keep_volumes=keep_volumes)
    if host.mode == "system":
        fence.remove(key)
    host.stop(keep_volumes=keep_volumes)
    if said := page_sharing.end_if_unused():
        progress.say(said)
    if keep_volumes:
        return
    if directory is not None:
        Vagrant(directory).forget()
        shutil.rmtree(SshConfig(directory).socket_dir(), ignore_errors=True)
        _clear(directory)
    records.remove(key)
    if directory is not None and directory.is_dir():
        builddir.mark(directory)  # not before: what this machine remembers would look like a lab that was moved away


def _remove_from(hypervisor: Hypervisor, record: LabRecord, progress: Progress, *, keep_volumes: bool) -> None:
    """Remove a lab's domains, volumes and networks; tell what has their names, but is not known to be the lab's."""
    own = own_of(record.name, Path(record.build_dir), record.key)
    removed = remove(hypervisor, list(record.domains.values()), record.networks, own=own, keep_volumes=keep_volumes)
    for line in removed.left:
        progress.say(f"left alone: {line}")


def _clear(directory: Path) -> None:
    """Remove what `lab up` and Vagrant made in the build directory; of a symbolic link, the link."""
    if not directory.is_dir():
        return
    remove_tree(directory)
    durable.sweep(directory)
    for entry in MADE:
        path = directory / entry
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
