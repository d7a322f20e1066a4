"""The golden labs of a cache.

    CACHE/golden/RELEASE-DIGEST/        0700, as all above it
        disks/                          what machines are shown: read-only, and readable once one can enter CACHE/golden
            NODE.qcow2                  what the lab has written, on top of its box's image
            …_box.img                   the images of its boxes
        NODE.mem  NODE.xml              memory, as libvirt saves it, and libvirt's description of the machine; 0600
        vagrant/NODE/                   what Vagrant knows of the machine, with its ssh key
        plan.json  state.json  seed  ssh_config  known_hosts
        manifest.json                   the last file; all are made in NAME.partial, which then gets its name

A private host shows `disks` to its machines, read-only, and keeps a note of it (lab.host.golden_disks). The users of a
golden lab are read from these notes, and never counted.
"""

from __future__ import annotations

import shutil
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lab.base import durable, safe
from lab.base import manifest as manifests
from lab.base.errors import MachineError, UsageError
from lab.base.manifest import FILE, PARTIAL
from lab.base.models import Frozen
from lab.base.words import did_you_mean
from lab.box.intact import FileFacts, damage_of_all
from lab.box.store import cache_directory, lock
from lab.golden.digest import Parts
from lab.host import golden_disks
from lab.host.records import STATE_ROOT

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

VERSION: Literal[1] = 1
LOCK = "golden"


class Manifest(Frozen):
    """What is recorded of a golden lab. A golden lab that has one is complete."""

    version: Literal[1] = VERSION
    created: float
    """when its machines were stopped; seconds since the epoch"""
    lab: str
    release: str
    build_dir: str
    """of the lab that it was made from, which libvirt's descriptions name"""
    parts: Parts
    passwords: str
    """digest of all passwords under the seed"""
    disks: dict[str, FileFacts]
    """of the directory `disks`"""
    files: dict[str, FileFacts]
    """of the memory images, by their names; none of a lab that was off"""


@dataclass(frozen=True)
class Golden:
    """A complete golden lab."""

    directory: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """RELEASE-DIGEST."""
        return self.directory.name

    @property
    def disks(self) -> Path:
        """The directory that machines are shown."""
        return self.directory / "disks"

    def size_mib(self) -> int:
        """Give what it takes of the disk, without the images that it shares with the cache's boxes."""
        found = (path.lstat() for path in self.directory.rglob("*"))
        return sum(each.st_blocks for each in found if stat.S_ISREG(each.st_mode) and each.st_nlink == 1) // 2048

    def require(self) -> None:
        """Check that it still exists.

        Raises:
            MachineError: it was removed.
        """
        if not (self.directory / FILE).exists():
            raise MachineError(f"golden lab {self.name} was removed", hint="`lab golden list` shows what is there")

    def damage(self) -> str:
        """Say what is wrong with its files, by size and time; empty where nothing is."""
        return damage_of_all(self.disks, self.manifest.disks) or damage_of_all(self.directory, self.manifest.files)


class GoldenLabs:
    """The golden labs of one cache; `state_root` is where this machine's private hosts have their state."""

    def __init__(self, cache: Path | None = None, *, state_root: Path = STATE_ROOT) -> None:
        self._cache = cache or cache_directory()
        self.root = self._cache / "golden"
        self._state_root = state_root

    def lock(self) -> AbstractContextManager[None]:
        """Let one process at a time add to them, or remove one."""
        return lock(self._cache, LOCK)

    def complete(self) -> list[Golden]:
        """List the complete ones, newest first."""
        read = {path: _manifest(path) for path in self._directories()}
        found = [Golden(path, manifest) for path, manifest in read.items() if isinstance(manifest, Manifest)]
        return sorted(found, key=lambda each: -each.manifest.created)

    def of_other_versions(self) -> list[str]:
        """Name those that a newer version of lab made."""
        return sorted(path.name for path in self._directories() if isinstance(_manifest(path), int))

    def half_written(self) -> list[str]:
        """Name those whose save or removal did not end."""
        return sorted(path.name for path in self._directories() if _manifest(path) is None)

    def exists(self, name: str) -> bool:
        """Tell whether there is a complete one of this name, also of a newer version."""
        return _manifest(self.root / name) is not None

    def find(self, name: str) -> Golden:
        """Find a complete one.

        Raises:
            UsageError: there is none of this name.
            MachineError: a newer version of lab made it.
        """
        complete = {each.name: each for each in self.complete()}
        if name in complete:
            return complete[name]
        if name in self.of_other_versions():
            raise MachineError(f"golden lab {name} is of a newer version of lab", hint="use that version")
        known = f"golden labs: {', '.join(complete)}" if complete else "there is none yet: `lab golden save`"
        raise UsageError(f"no golden lab {name}", hint=did_you_mean(name, complete) or known)

    def users(self, name: str) -> list[str]:
        """Name the labs of this machine (NAME-HASH) whose disks are on top of this golden lab's."""
        notes = {path: golden_disks.noted(path) for path in self._state_root.glob("*/")}
        return sorted(path.name for path, used in notes.items() if used == (self.root / name).resolve())

    def partial(self, name: str) -> Path:
        """Name the directory of one that is being made."""
        return self.root / f"{name}{PARTIAL}"

    def begin(self, name: str) -> Path:
        """Make the directory of a new one, not complete yet; remove what an earlier attempt left. The lock is held.

        Raises:
            HostError: others can reach into the cache.
        """
        self.sweep()
        safe.make(self.root)
        directory = self.partial(name)
        directory.mkdir(mode=0o700)
        (directory / "disks").mkdir(mode=0o755)
        durable.sync_directory(self.root)
        return directory

    def finish(self, partial: Path, manifest: Manifest) -> Golden:
        """Make a new one complete, once its files are on the disk: it appears in one step."""
        durable.write_text(partial / FILE, manifest.model_dump_json(indent=2) + "\n", mode=0o600)
        return Golden(durable.rename_tree(partial, partial.with_suffix("")), manifest)

    def abandon(self, partial: Path) -> None:
        """Remove what `begin` made; no error if it is complete by now: then it has another name."""
        shutil.rmtree(partial, ignore_errors=True)

    def sweep(self) -> None:
        """Remove those whose save or removal did not end; the lock is held, so no process is making one."""
        for name in self.half_written():
            if not self.users(name):
                shutil.rmtree(self.root / name)

    def remove(self, name: str) -> None:
        """Remove one; the lock is held.

        A lab that starts from it meanwhile writes its note first, and then looks for the manifest (`require`). So the
        manifest is renamed before the notes are read for the last time: one of the two sees the other.

        Raises:
            UsageError: there is none, or labs use it. Nothing was changed.
        """
        if not self.exists(name):
            self.find(name)
        self._refuse_used(name)
        manifest = self.root / name / FILE
        aside = manifest.rename(manifest.with_suffix(".removed"))
        try:
            self._refuse_used(name)
        except UsageError:
            aside.rename(manifest)
            raise
        durable.sync_directory(aside.parent)
        shutil.rmtree(self.root / name)
        durable.sync_directory(self.root)

    def _refuse_used(self, name: str) -> None:
        if users := self.users(name):
            raise UsageError(
                f"golden lab {name} is in use: the disks of {', '.join(users)} are on top of it",
                hint="`lab down --lab NAME` removes such a lab; `lab list` shows them",
            )

    def _directories(self) -> list[Path]:
        return [path for path in self.root.glob("*") if path.is_dir() and not path.is_symlink()]


def _manifest(directory: Path) -> Manifest | int | None:
    return manifests.read(directory, Manifest, VERSION)
