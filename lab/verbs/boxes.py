"""`lab box`: build, list, remove."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.base.errors import UsageError
from lab.box import age
from lab.box.manifest import Manifest, ReadyMade
from lab.box.store import remove_box, survey
from lab.inputs.load import load_spec
from lab.machines.boxes import ensure_for_plan, line_of
from lab.verbs.opening import plan_of

if TYPE_CHECKING:
    from pathlib import Path

    from lab.base.progress import Progress
    from lab.box.store import Box, DamagedBox


@dataclass(frozen=True)
class BoxList:
    """The boxes of this host."""

    rows: tuple[dict[str, Any], ...]
    """of each good one: name, version, packages, url, size_mib, directory, built, warnings"""
    damaged: tuple[DamagedBox, ...]


def build_for_spec(spec_file: Path, mirror: str | None, progress: Progress, *, force: bool = False) -> list[Box]:
    """Build the boxes that a spec needs, where they are missing or out of date; with `force`, all of them."""
    spec = load_spec(spec_file)
    plan = plan_of(spec)
    return ensure_for_plan(plan, mirror or spec.box.mirror, lambda event: progress.say(line_of(event)), force=force)


def list_all() -> BoxList:
    """List the boxes of this host; asks the archives for security updates, each once."""
    boxes, damaged = survey()
    rows = tuple(_row(box, offer) for box, offer in zip(boxes, _asked_offers(boxes), strict=True))
    return BoxList(rows, tuple(damaged))


def _asked_offers(boxes: list[Box]) -> list[age.Offer | None]:
    """Ask each box's security archive, one after the other and each once."""
    known: dict[tuple[str, str], age.Offer | None] = {}
    offers: list[age.Offer | None] = []
    for box in boxes:
        made = box.manifest
        if isinstance(made, Manifest):
            key = (made.inputs.suite, made.inputs.mirror)
            if key not in known:
                known[key] = age.asked_offer(*key)
            offers.append(known[key])
        else:
            offers.append(None)
    return offers


def _row(box: Box, offer: age.Offer | None) -> dict[str, Any]:
    made = box.manifest
    return {
        "name": box.name,
        "version": box.version,
        "packages": len(made.packages) if isinstance(made, Manifest) else None,
        "url": made.url if isinstance(made, ReadyMade) else None,
        "size_mib": sum(file.stat().st_blocks for file in box.files.iterdir()) // 2048,
        "directory": str(box.directory),
        "built": made.built,
        "warnings": age.warnings(box, offer),
    }


def remove(name: str) -> list[Box | DamagedBox]:
    """Remove a box, or `all`, from the cache; gives those that were removed.

    Raises:
        UsageError: there is no such box.
    """
    known = sorted({box.name for boxes in survey() for box in boxes})
    if name != "all" and name not in known:
        raise UsageError(f"no box {name}", hint=f"boxes: {', '.join(known) or 'none'}")
    return [box for each in (known if name == "all" else [name]) for box in remove_box(each)]
