"""The checkpoints of a lab on disk.

    BUILD/checkpoints/NAME/
        NODE.mem         the memory, as libvirt saves it; only where the lab was running
        NODE.xml         libvirt's description of the disk's snapshot, with the domain's in it
        plan.json        as they were
        state.json
        manifest.json    the last file; all are made in NAME.partial, which then gets its name
    BUILD/checkpoints/restoring    a checkpoint's name: its machines are being brought back, after a save or a restore

The disks' content is not here: it is a snapshot inside each volume (lab.checkpoint.memory_and_disks).
"""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lab.base import durable
from lab.base import manifest as manifests
from lab.base.errors import MachineError, UsageError
from lab.base.manifest import FILE, PARTIAL
from lab.base.models import Frozen
from lab.base.words import did_you_mean
from lab.nodes.schedule import MACHINES, jobs_of
from lab.nodes.state import State, StateFile

if TYPE_CHECKING:
    from pathlib import Path

    from lab.planning.plan import Plan

MANIFEST_VERSION: Literal[1] = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


class Manifest(Frozen):
    """What is known of a checkpoint. If this file exists, the checkpoint is complete."""

    version: Literal[1] = MANIFEST_VERSION
    created: float
    """when its machines stopped; seconds since the epoch, this host's clock"""
    running: bool
    """with memory; otherwise the machines were off"""
    steps: tuple[str, ...]
    """those that were done on all their nodes, in teaching order"""


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint."""

    directory: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """Its name."""
        return self.directory.name

    @property
    def tag(self) -> str:
        """The name of its snapshots in the disks."""
        return tag_of(self.name)

    def size_mib(self) -> int:
        """Give what its files take. What the disks' snapshots take is not known: changed blocks, inside the volumes."""
        return sum(path.stat().st_blocks for path in self.directory.iterdir()) // 2048

    def last_step(self) -> str:
        """Name the last step done."""
        return self.manifest.steps[-1] if self.manifest.steps else MACHINES


def build_dir_of(checkpoint: Path) -> Path:
    """Give the build directory of a checkpoint's directory, complete or half-written."""
    return checkpoint.parents[1]


class Checkpoints:
    """The checkpoints of one build directory."""

    def __init__(self, build_dir: Path) -> None:
        self.root = build_dir / "checkpoints"
        self._restoring = self.root / "restoring"

    def complete(self) -> list[Checkpoint]:
        """List the complete ones, oldest first."""
        read = {path: _manifest(path) for path in self._directories()}
        found = [Checkpoint(path, manifest) for path, manifest in read.items() if isinstance(manifest, Manifest)]
        return sorted(found, key=lambda each: each.manifest.created)

    def half_written(self) -> list[str]:
        """Name those whose save did not end, or whose manifest is empty or damaged, which comes to the same."""
        halves = (path for path in self._directories() if _manifest(path) is None)
        return sorted({path.name.removesuffix(PARTIAL) for path in halves})

    def of_other_versions(self) -> list[str]:
        """Name those that a newer version of lab made, which this one leaves alone."""
        return sorted(path.name for path in self._directories() if isinstance(_manifest(path), int))

    def _directories(self) -> list[Path]:
        return [path for path in self.root.glob("*") if path.is_dir()]

    def exists(self, name: str) -> bool:
        """Tell whether there is one of this name, complete or half-written."""
        return (self.root / name).exists()

    def any(self) -> bool:
        """Tell whether there is any complete one, also of a newer version."""
        return any(_manifest(path) is not None for path in self._directories())

    def unfinished(self) -> bool:
        """Tell whether a save or a restore was interrupted."""
        return bool(self.half_written()) or self.restoring() is not None

    def partial(self, name: str) -> Path:
        """Name the directory of a save that has not ended."""
        return self.root / f"{name}{PARTIAL}"

    def find(self, name: str) -> Checkpoint:
        """Find a complete checkpoint.

        Raises:
            UsageError: there is none of this name, or its save did not end.
            MachineError: a newer version of lab made it.
        """
        complete = {each.name: each for each in self.complete()}
        if name in complete:
            return complete[name]
        if name in self.half_written():
            raise UsageError(
                f"checkpoint {name} is incomplete: its save did not end",
                hint=f"`lab checkpoint delete {name}` removes it, and starts the machines that the save stopped",
            )
        if name in self.of_other_versions():
            raise MachineError(f"checkpoint {name} is of a newer version of lab", hint="use that version")
        known = f"checkpoints: {', '.join(complete)}" if complete else "there is none yet: `lab checkpoint save NAME`"
        raise UsageError(f"no checkpoint {name}", hint=did_you_mean(name, complete) or known)

    def refuse_taken(self, name: str) -> None:
        """Refuse a name that cannot be one, or is one already.

        Raises:
            UsageError: with what to do.
        """
        if not _NAME.fullmatch(name) or name.endswith(PARTIAL):
            raise UsageError(
                f"{name!r} cannot be the name of a checkpoint",
                hint="letters, digits, dots, - and _, at most 40, a letter or digit first",
            )
        if self.exists(name):
            hint = f"take another name, or `lab checkpoint delete {name}` first"
            raise UsageError(f"checkpoint {name} exists", hint=hint)

    def begin(self, name: str, plan: Plan, state: State) -> Path:
        """Make the directory of a new checkpoint, not complete yet, with what is known before the machines stop."""
        directory = self.partial(name)
        durable.make_directory(self.root)
        directory.mkdir(mode=0o700)
        durable.sync_directory(self.root)
        durable.write_text(directory / "plan.json", plan.model_dump_json(indent=2) + "\n", mode=0o600)
        StateFile(directory / "state.json").save(state)
        return directory

    def finish(self, partial: Path, manifest: Manifest) -> Checkpoint:
        """Make a new checkpoint complete, once its files are on the disk: it appears in one step."""
        durable.write_text(partial / FILE, manifest.model_dump_json(indent=2) + "\n", mode=0o600)
        return Checkpoint(durable.rename_tree(partial, partial.with_suffix("")), manifest)

    def spoil(self, name: str) -> None:
        """Make a complete checkpoint a half-written one: the first act of its removal."""
        durable.unlink(self.root / name / FILE)

    def remove(self, name: str) -> None:
        """Remove the files of a half-written checkpoint."""
        for directory in (self.root / name, self.partial(name)):
            if directory.exists():
                shutil.rmtree(directory)
                durable.sync_directory(self.root)

    def restoring(self) -> str | None:
        """Name the checkpoint that the lab is on its way back to; None if there is none."""
        return self._restoring.read_text(errors="replace").strip() if self._restoring.exists() else None

    def begin_restore(self, name: str) -> None:
        """Remember that from now on the machines may be anything, and the checkpoint is what they are to be."""
        durable.write_text(self._restoring, f"{name}\n", mode=0o600)

    def end_restore(self) -> None:
        """Forget it: the lab is back."""
        durable.unlink(self._restoring)


def tag_of(name: str) -> str:
    """Name the snapshots in the disks that belong to a checkpoint."""
    return f"checkpoint-{name}"


def steps_done(plan: Plan, state: State) -> tuple[str, ...]:
    """Name the steps that are done on all of their nodes, in teaching order."""
    left = {job.step for job in jobs_of(plan) if f"{job.node}/{job.step}" not in state.steps}
    return tuple(step.id for step in plan.steps if step.id not in left)


def age(created: float, now: float | None = None) -> str:
    """Say how old something is, as 3 min or 2 days."""
    seconds = max(0.0, (time.time() if now is None else now) - created)
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _manifest(directory: Path) -> Manifest | int | None:
    return manifests.read(directory, Manifest, MANIFEST_VERSION)
