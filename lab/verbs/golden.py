"""`lab golden save`, `list`, `remove`, `export` and `import`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.base.lock import lab_lock
from lab.checkpoint import recovery, save_restore
from lab.golden import archive
from lab.golden.save import save as save_golden
from lab.golden.store import Golden, GoldenLabs
from lab.host.host import choose_host
from lab.inputs.load import load_spec
from lab.planning import project
from lab.verbs import up_golden
from lab.verbs.opening import plan_of
from lab.verification import veil

if TYPE_CHECKING:
    from pathlib import Path

    from lab.base.progress import Progress
    from lab.golden.fit import Fit
    from lab.planning.project import Lab


@dataclass(frozen=True)
class Row:
    """What `lab golden list` tells of one golden lab."""

    golden: Golden
    users: tuple[str, ...]
    """labs (NAME-HASH) whose disks are on top of its"""
    fit: Fit | None
    """how it serves for the lab of the spec; None without a spec, or of another release"""

    def as_dict(self) -> dict[str, Any]:
        """Give it for JSON."""
        manifest = self.golden.manifest
        return {
            "name": self.golden.name,
            "complete": True,
            "created": manifest.created,
            "lab": manifest.lab,
            "release": manifest.release,
            "size_mib": self.golden.size_mib(),
            "memory": bool(manifest.files),
            "users": list(self.users),
            "serves": None if self.fit is None else self.fit.serves,
            "differences": [] if self.fit is None else list(self.fit.other),
            "without_memory": [] if self.fit is None else list(self.fit.no_memory),
        }


def save(lab: Lab, progress: Progress) -> Golden:
    """Keep a lab that runs and is verified as a golden one.

    Raises:
        UsageError: an exercise runs on it.
        LabError: as of `lab.golden.save.save`.
    """
    with lab_lock(lab.build_dir, "lab golden save"):
        veil.refuse(lab.build_dir, "`lab golden save`", "keep its fault")
        host = save_restore.enter(lab)
        recovery.repair(lab, host, progress.say)
        return save_golden(lab, host, GoldenLabs(), progress)


def rows(spec_file: Path, build_dir: Path | None) -> list[Row]:
    """Look at all golden labs, and compare them with the lab of the spec where there is one."""
    store = GoldenLabs()
    fits: dict[str, Fit] = {}
    if spec_file.exists():
        spec = load_spec(spec_file)
        directory = project.build_dir_of(spec_file, build_dir, spec.name)
        lab = project.decided(spec, plan_of(spec), directory, write=False)
        fits = {each.golden.name: each for each in up_golden.look(spec, lab, choose_host(spec.name, directory))}
    return [Row(each, tuple(store.users(each.name)), fits.get(each.name)) for each in store.complete()]


def remove(name: str) -> None:
    """Remove a golden lab.

    Raises:
        UsageError: there is none of this name, or labs are on top of it.
    """
    store = GoldenLabs()
    with store.lock():
        store.remove(name)


def export(name: str, file: Path) -> int:
    """Write a golden lab to a file; gives its bytes."""
    return archive.export(GoldenLabs().find(name), file)


def import_file(file: Path) -> Golden:
    """Add a golden lab from a file to the cache."""
    return archive.import_file(file, GoldenLabs())
