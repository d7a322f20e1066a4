"""What this machine remembers of its labs, so that each is found when its build directory is not.

    /var/lib/compute-lab/NAME-HASH.json             of root's labs; beside the state of a private host
    ~/.local/state/compute-lab/NAME-HASH.json       of a user's

HASH is of the build directory's path. A record is written by `lab up` before anything else is made, and removed by
`lab down` when everything else is gone.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from lab.base import durable, safe, surroundings
from lab.base.errors import HostError
from lab.base.models import Frozen
from lab.host import place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.planning.plan import Plan

STATE_ROOT = Path("/var/lib/compute-lab")


class LabRecord(Frozen):
    """A lab of this machine: enough to find and to remove it."""

    version: Literal[1] = 1
    key: str
    """NAME-HASH"""
    id: str = ""
    """which its build directory remembers too"""
    name: str
    release: str
    build_dir: str
    mode: Literal["system", "private"]
    domains: dict[str, str]
    """node → libvirt's name for it"""
    networks: tuple[str, ...]
    volumes: tuple[str, ...] = ()
    """those that did not exist before Vagrant was to make them (a system libvirtd)"""


def lab_key(name: str, build_dir: Path) -> str:
    """Give NAME-HASH of a lab: two labs of one name have different ones. A lab keeps it when its directory is moved."""
    path = os.path.realpath(build_dir)
    known = place.load(build_dir)
    if known is not None and known.build_dir == path and known.key.rpartition("-")[0] == name:
        return known.key
    key = _hashed(name, path)
    record = load(key)
    # A lab that was here before was moved, and has kept that one.
    return key if record is None or os.path.realpath(record.build_dir) == path else _hashed(name, f"{path}+")


def _hashed(name: str, path: str) -> str:
    return f"{name}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"


def record_of(plan: Plan, build_dir: Path, mode: str) -> LabRecord:
    """Make the record of a lab that is about to be made; the volumes of one that is known stay in it."""
    known = load(lab_key(plan.name, build_dir))
    remembered = place.load(build_dir)
    return LabRecord.model_validate(
        {
            "key": lab_key(plan.name, build_dir),
            "id": remembered.id if remembered else "",
            "name": plan.name,
            "release": plan.release,
            "build_dir": os.path.realpath(build_dir),
            "mode": mode,
            "domains": {node.name: node.domain for node in plan.nodes},
            "networks": tuple(network.name for network in plan.networks),
            "volumes": known.volumes if known else (),
        }
    )


def place_of(build_dir: Path) -> str:
    """Tell where this machine remembers the lab that a build directory remembers; empty where it does not."""
    known = place.load(build_dir)
    record = None if known is None else load(known.key)
    return record.build_dir if record is not None and known is not None and record.id == known.id else ""


def require_home(build_dir: Path) -> None:
    """Refuse to reach machines from a build directory that is not theirs.

    Raises:
        UsageError: it is a copy, or was moved.
    """
    place.require_home(build_dir, place_of(build_dir))


def places() -> list[Path]:
    """Name the directories with records that this user can see; the first is where own ones go."""
    if os.geteuid() == 0:
        return [STATE_ROOT]
    try:
        state = Path(os.environ.get("XDG_STATE_HOME") or surroundings.home() / ".local" / "state")
    except HostError:  # without a home there are no labs either
        return [STATE_ROOT]
    return [state / "compute-lab", STATE_ROOT]


def save(record: LabRecord) -> None:
    """Write a record, in the place of an earlier one."""
    place = places()[0]
    safe.make(place, mode=0o755)
    durable.write_text(place / f"{record.key}.json", record.model_dump_json(indent=2) + "\n", mode=0o644)


def note_volumes(key: str, names: Iterable[str]) -> None:
    """Note volumes that Vagrant is about to make and that do not exist; no error if the lab is not known."""
    record = load(key)
    if record is not None:
        save(record.model_copy(update={"volumes": tuple(sorted({*record.volumes, *names}))}))


def load(key: str) -> LabRecord | None:
    """Read the record of a lab; None where there is none that can be read."""
    for directory in places():
        try:
            return LabRecord.model_validate_json((directory / f"{key}.json").read_bytes())
        except (OSError, ValidationError):  # a newer version's: the lab is then known by its key alone
            continue
    return None


def known_keys() -> list[str]:
    """Name all labs with a record, also those whose record cannot be read."""
    return sorted({path.stem for place in places() if os.path.isdir(place) for path in place.glob("*.json")})


def remove(key: str) -> None:
    """Forget a lab; no error if nothing is known of it."""
    place = places()[0]
    durable.unlink(place / f"{key}.json")
    durable.remove_empty(place)
