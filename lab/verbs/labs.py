"""The labs of this machine, running or left over: `lab list`, and finding one by its name."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.base.builddir import canonical
from lab.base.errors import LabError, UsageError
from lab.base.rights import same_with_sudo
from lab.checkpoint.store import Checkpoints
from lab.host import private_view, records
from lab.host.host import SYSTEM_URI, SystemHost, why_not
from lab.host.libvirt import Hypervisor
from lab.host.ownership import source_of
from lab.host.private import PrivateHost

if TYPE_CHECKING:
    from lab.host.host import Host
    from lab.host.records import LabRecord

_KEY = re.compile(r"(?P<name>[a-z0-9-]+)-(?P<hash>[0-9a-f]{8})")
_OFF = ("shut off", "crashed", "saved")


@dataclass(frozen=True)
class SeenLab:
    """A lab of this machine. What is not known is empty."""

    key: str
    """NAME-HASH"""
    name: str
    release: str = ""
    build_dir: str = ""
    mode: str = "private"
    states: dict[str, str] = field(default_factory=dict)
    """node → running, paused, shut off, absent …; empty where its libvirtd does not run"""
    trouble: str = ""
    """why its states are not known, or what of it is left"""
    record: LabRecord | None = None
    away: bool = False
    """put away with its checkpoints"""

    @property
    def build_dir_exists(self) -> bool:
        """Tell whether the build directory is there, and still a lab's."""
        if not self.build_dir:
            return False
        plan = Path(self.build_dir) / "plan.json"
        try:
            plan.stat()
        except PermissionError:  # another user's: it is not gone
            return True
        except OSError:
            return False
        return True

    @property
    def state(self) -> str:
        """Sum up: running, paused, halted, partly running, put away, left over, unknown."""
        found = set(self.states.values()) - {"absent"}
        if self.away:
            return "put away"
        if self.trouble:
            return "unknown"
        if not found or not self.build_dir_exists:
            return "left over"
        if len(found) == 1:
            (only,) = found
            return "halted" if only in _OFF else only
        return "partly running"

    def host(self) -> Host:
        """Give the host that it runs on."""
        if self.mode == "system":
            return SystemHost(self.name, reason="the lab exists there")
        return _private(self.key, self.name)

    def as_dict(self) -> dict[str, Any]:
        """Give the shape of `lab list --json`."""
        values = asdict(self)
        del values["record"]
        return {**values, "state": self.state, "build_dir_exists": self.build_dir_exists}


def all_labs() -> list[SeenLab]:
    """Look for every lab: by the records, by what is left of private hosts, by the system libvirtd's domains."""
    found = {key: records.load(key) for key in records.known_keys()}
    state_dirs = [path.name for path in _directories(records.STATE_ROOT)]
    namespaces = [path.name.removeprefix("lab-") for path in private_view.NETNS_DIR.glob("lab-*")]
    found |= {key: None for key in [*state_dirs, *namespaces] if _KEY.fullmatch(key) and key not in found}
    # Of a lab whose record cannot be read, libvirt knows more than its name.
    on_system = {lab.key: lab for lab in _on_system() if found.get(lab.key) is None}
    labs = [*on_system.values(), *(_seen(key, record) for key, record in found.items() if key not in on_system)]
    return sorted(labs, key=lambda lab: (lab.name, lab.key))


def find(word: str) -> SeenLab:
    """Find the one lab that has this name, key (NAME-HASH) or build directory.

    Raises:
        UsageError: there is none, or more than one.
    """
    labs = all_labs()
    path = str(canonical(Path(word)))
    fits = [
        lab for lab in labs if word == lab.key or (lab.build_dir and path == str(canonical(Path(lab.build_dir))))
    ] or [lab for lab in labs if lab.name == word]
    if not fits:
        others = ", ".join(sorted({lab.name for lab in labs})) or "none"
        raise UsageError(f"no lab {word} on this machine", hint=f"labs: {others}; `lab list` shows more")
    if len(fits) > 1:
        lines = "\n".join(f"{lab.key}  {lab.build_dir or '(build directory unknown)'}" for lab in fits)
        raise UsageError(
            f"{len(fits)} labs are named {word}", detail=lines, hint="name one by its first column, or its directory"
        )
    return fits[0]


def _seen(key: str, record: LabRecord | None) -> SeenLab:
    match = _KEY.fullmatch(key)
    name = record.name if record else match["name"] if match else key
    lab = SeenLab(key, name) if record is None else SeenLab(key, name, record.release, record.build_dir, record.mode)
    lab = replace(lab, record=record)
    host = lab.host()
    if lab.mode == "private" and os.geteuid() != 0:
        return replace(lab, trouble=f"only root can see its nodes; run: {same_with_sudo()}")
    if not host.is_running():
        if _has_checkpoints(lab) and isinstance(host, PrivateHost) and host.exists() and not host.has_machines():
            return _away(lab)
        alive = len(host.processes()) if isinstance(host, PrivateHost) else 0
        if alive:
            return replace(lab, trouble=f"its libvirtd is gone, {alive} of its processes still run: `lab resume`")
        there = lab.mode == "system" or host.exists()
        return replace(lab, trouble="its libvirtd does not run: `lab resume`" if there else "")
    try:
        with host.hypervisor() as hypervisor:
            return _with_states(lab, hypervisor)
    except LabError as error:
        return replace(lab, trouble=error.message)


def _with_states(lab: SeenLab, hypervisor: Hypervisor) -> SeenLab:
    """Tell the states of a lab's nodes; of one without a record, all domains of its own libvirtd are its nodes."""
    if lab.record is None:
        domains = {domain.removeprefix(f"{lab.name}-"): domain for domain in hypervisor.domains()}
        sources = filter(None, (source_of(hypervisor.description(domain)) for domain in domains.values()))
        lab = replace(lab, build_dir=str(next(sources, "")))
    else:
        domains = dict(lab.record.domains)
    foreign = hypervisor.foreign_domains(domains.values(), Path(lab.build_dir)) if lab.mode == "system" else []
    states = {node: hypervisor.state(domain) for node, domain in domains.items() if domain not in foreign}
    if set(states.values()) == {"absent"} and _has_checkpoints(lab):
        return _away(lab)
    return replace(lab, states=dict(states))


def _has_checkpoints(lab: SeenLab) -> bool:
    return lab.build_dir_exists and os.access(lab.build_dir, os.X_OK) and Checkpoints(Path(lab.build_dir)).any()


def _away(lab: SeenLab) -> SeenLab:
    return replace(lab, away=True, trouble="`lab checkpoint list`, then `lab checkpoint restore NAME` restores it")


def _on_system() -> list[SeenLab]:
    """Find labs by what vagrant-libvirt wrote into the titles and descriptions of their domains."""
    if why_not(SYSTEM_URI) is not None:
        return []
    labs: dict[str, SeenLab] = {}
    with Hypervisor(SYSTEM_URI) as hypervisor:
        for domain in hypervisor.domains():
            title = re.fullmatch(r"OpenStack Compute lab (\S+) (\S+)", hypervisor.title(domain))
            source = source_of(hypervisor.description(domain))
            if title and source:
                key = records.lab_key(title[1], source)
                lab = labs.setdefault(key, SeenLab(key, title[1], build_dir=str(source), mode="system"))
                lab.states[title[2]] = hypervisor.state(domain)
    return list(labs.values())


def _private(key: str, name: str) -> PrivateHost:
    reason = "the lab exists there"
    return PrivateHost(name, Path(), reason=reason, state_root=records.STATE_ROOT, key=key)


def _directories(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.is_dir()] if os.path.isdir(root) else []
