"""The checkpoints of a lab on disk.

    BUILD/checkpoints/NAME/
        NODE.mem         the memory, as libvirt saves it; only where the lab was running
        NODE.xml         libvirt's description of the disk's snapshot, with the domain's in it
        plan.json        as they were
        state.json
        manifest.json    the last file; all are made in NAME.partial, which then gets its name
    BUILD/checkpoints/restoring    a checkpoint's name: its machines are being brought back, after a save or a restore

The disks' content is not here: it is a snapshot inside each volume (lab.runtime.domains).
"""

from __future__ import annotations

import difflib
import re
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from lab.errors import MachineError, UsageError
from lab.generator.files import write_text
from lab.models import Frozen
from lab.runtime.schedule import MACHINES, jobs_of
from lab.runtime.state import State, StateFile

if TYPE_CHECKING:
    from pathlib import Path

    from lab.plan import Plan

PARTIAL = ".partial"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


class Manifest(Frozen):
    """What is told of a checkpoint. Its being there says that the checkpoint is complete."""

    version: Literal[1] = 1
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


class Checkpoints:
    """The checkpoints of one build directory."""

    def __init__(self, build_dir: Path) -> None:
        self.root = build_dir / "checkpoints"
        self._restoring = self.root / "restoring"

    def complete(self) -> list[Checkpoint]:
        """List the complete ones, oldest first.

        Raises:
            MachineError: a manifest is of a newer version, or damaged.
        """
        paths = [path for path in self.root.glob("*/manifest.json") if path.parent.suffix != PARTIAL]
        return sorted((Checkpoint(p.parent, _manifest(p)) for p in paths), key=lambda each: each.manifest.created)

    def half_written(self) -> list[str]:
        """Name those whose save did not end."""
        directories = (path for path in self.root.glob("*") if path.is_dir())
        halves = (path for path in directories if path.suffix == PARTIAL or not (path / "manifest.json").exists())
        return sorted({path.name.removesuffix(PARTIAL) for path in halves})

    def exists(self, name: str) -> bool:
        """Tell whether there is one of this name, whole or half-written."""
        return (self.root / name).exists()

    def any(self) -> bool:
        """Tell whether there is any complete one."""
        return next(self.root.glob("*/manifest.json"), None) is not None

    def unfinished(self) -> bool:
        """Tell whether a save or a restore was cut short."""
        return bool(self.half_written()) or self.restoring() is not None

    def partial(self, name: str) -> Path:
        """Name the directory of a save that has not ended."""
        return self.root / f"{name}{PARTIAL}"

    def find(self, name: str) -> Checkpoint:
        """Find a complete checkpoint.

        Raises:
            UsageError: there is none of this name, or its save did not end.
        """
        complete = {each.name: each for each in self.complete()}
        if name in complete:
            return complete[name]
        if name in self.half_written():
            raise UsageError(
                f"checkpoint {name} is half-written: its save did not end",
                hint=f"`lab checkpoint delete {name}` removes it, and brings back the machines that the save stopped",
            )
        close = difflib.get_close_matches(name, complete, n=1)
        known = f"checkpoints: {', '.join(complete)}" if complete else "there is none yet: `lab checkpoint save NAME`"
        raise UsageError(f"no checkpoint {name}", hint=f"did you mean {close[0]}?" if close else known)

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
        self.root.mkdir(mode=0o700, exist_ok=True)
        directory.mkdir(mode=0o700)
        write_text(directory / "plan.json", plan.model_dump_json(indent=2) + "\n", mode=0o600)
        StateFile(directory / "state.json").save(state)
        return directory

    def finish(self, partial: Path, manifest: Manifest) -> Checkpoint:
        """Make a new checkpoint complete: from one moment to the next it is there."""
        write_text(partial / "manifest.json", manifest.model_dump_json(indent=2) + "\n", mode=0o600)
        return Checkpoint(partial.rename(partial.with_suffix("")), manifest)

    def spoil(self, name: str) -> None:
        """Make a complete checkpoint a half-written one: the first act of its removal."""
        (self.root / name / "manifest.json").unlink()

    def remove(self, name: str) -> None:
        """Remove the files of a half-written checkpoint."""
        for directory in (self.root / name, self.partial(name)):
            if directory.exists():
                shutil.rmtree(directory)

    def restoring(self) -> str | None:
        """Name the checkpoint that the lab is on its way back to; None where the lab is whole."""
        return self._restoring.read_text().strip() if self._restoring.exists() else None

    def begin_restore(self, name: str) -> None:
        """Remember that from now on the machines may be anything, and the checkpoint is what they are to be."""
        write_text(self._restoring, f"{name}\n", mode=0o600)

    def end_restore(self) -> None:
        """Forget it: the lab is whole."""
        self._restoring.unlink(missing_ok=True)


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


def _manifest(path: Path) -> Manifest:
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        raise MachineError(
            f"{path} is damaged, or of another version: {'.'.join(map(str, first['loc']))}: {first['msg']}",
            hint=f"`lab checkpoint delete {path.parent.name}` removes that checkpoint",
        ) from None
