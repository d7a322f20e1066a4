"""The disks of golden labs, made with qemu-img: what a lab wrote, on top of its box's image; a lab's disk on top of it.

box image  <-  NODE.qcow2 of the golden lab, which names it without a directory  <-  the lab's own disk
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.base import durable
from lab.base.errors import MachineError, UsageError
from lab.base.process import run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.box.store import Box

FREEZE_LIMIT_S = 1800.0
_LIMIT_S = 120.0
_VERSION = re.compile(r"(?P<name>.+)_vagrant_box_image_(?P<version>[0-9.]+)_box\.img")
"""vagrant-libvirt's name of a base volume (lab.box.store.volume_name)"""


@dataclass(frozen=True)
class Disk:
    """A lab's disk, as qemu-img describes it."""

    path: Path
    size: int
    """bytes, as the machine sees it"""
    taken: int
    """bytes of the file that hold something"""
    base: Path
    """the image that it is on top of"""
    base_format: str

    @property
    def box_version(self) -> str:
        """The version of its box; empty where its base is not one of a box."""
        match = _VERSION.fullmatch(self.base.name)
        return match["version"] if match else ""


def inspect(path: Path) -> Disk:
    """Look at a lab's disk, which may be in use.

    Raises:
        MachineError: it is not on top of the image of a box, and of nothing else.
    """
    info = _info(path)
    base, form = info.get("full-backing-filename", ""), info.get("backing-filename-format") or "qcow2"
    if not base:
        raise MachineError(f"{path} is not on top of a box's image", hint="`lab up --recreate` makes such a lab")
    if _info(Path(base)).get("backing-filename"):
        raise MachineError(
            f"{path} is on top of more than a box's image",
            hint="a lab that was made from a golden lab, or has external snapshots, cannot become one",
        )
    return Disk(path, int(info["virtual-size"]), int(info["actual-size"]), Path(base), form)


def freeze(disk: Disk, snapshot: str, target: Path) -> None:
    """Write what a snapshot inside a disk holds beyond the box's image to a new file, which is read-only.

    The machine may run on: a snapshot does not change. The file names its base without a directory: both are in one.

    Raises:
        MachineError: qemu-img failed, as where the file system is full.
    """
    source = ["-U", "-l", f"snapshot.name={snapshot}", "-f", "qcow2"]
    onto = ["-O", "qcow2", "-B", str(disk.base), "-F", disk.base_format]
    run(["qemu-img", "convert", *source, *onto, disk.path, target], timeout_s=FREEZE_LIMIT_S)
    run(["qemu-img", "rebase", "-u", "-b", disk.base.name, "-F", disk.base_format, target], timeout_s=_LIMIT_S)
    durable.sync_file(target, 0o444)


def keep_base(disk: Disk, directory: Path, boxes: Iterable[Box]) -> None:
    """Put the image below a disk into a directory, if it is missing: the cache's own if it is the same, else a copy."""
    target = directory / disk.base.name
    if target.exists():
        return
    own = next((box.image for box in boxes if box.volume_name == disk.base.name and box.image.is_file()), None)
    if own is not None and own.stat().st_mode & stat.S_IROTH:  # QEMU's user reads it: libvirt cannot give it the file
        with contextlib.suppress(OSError):  # another file system
            os.link(own, target)
            return
    run(["cp", "--reflink=auto", own or disk.base, target], timeout_s=FREEZE_LIMIT_S)
    durable.sync_file(target, 0o444)


def base_name(path: Path) -> str:
    """Name the image that a golden disk is on top of, in the same directory."""
    return Path(_info(path)["backing-filename"]).name


def overlay_command(base: Path, target: Path) -> list[str]:
    """Write the command that makes an empty disk on top of a golden one, of the same size."""
    return ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(base), str(target)]


def _info(path: Path) -> dict[str, Any]:
    done = run(["qemu-img", "info", "-U", "--output=json", path], timeout_s=_LIMIT_S)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def require_known_bases(directory: Path, names: Iterable[str]) -> None:
    """Refuse golden disks that name a file outside of their directory: QEMU would read it.

    Raises:
        UsageError: one does.
    """
    for name in names:
        info = _info(directory / name)
        base = info.get("backing-filename", "")
        data = info.get("format-specific", {}).get("data", {}).get("data-file", "")
        if (base and base not in names) or data:
            raise UsageError(f"{name} names a file that is not of the golden lab: {base or data}")
