"""The boxes of a lab: which it needs, seeing that they are there, and the verbs of `lab box`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from lab.base.errors import UsageError
from lab.base.progress import clock
from lab.box import age
from lab.box.manifest import Manifest, ReadyMade
from lab.box.store import cache_directory, remove_box, survey
from lab.host.capacity import host_facts
from lab.inputs.load import load_spec
from lab.machines.boxes import ensure_for_plan, line_of
from lab.planning import project
from lab.terminal import progress as ui

if TYPE_CHECKING:
    from pathlib import Path

    from lab.box.store import Box


def build_for_spec(spec_file: Path, mirror: str | None, *, force: bool = False) -> None:
    """`lab box build`."""
    spec = load_spec(spec_file)
    started = time.monotonic()
    plan = project.decide(spec, host_facts(spec.accelerator, prove=False))
    for box in ensure_for_plan(
        plan, mirror or spec.box.mirror, lambda event: ui.console.print(line_of(event), soft_wrap=True), force=force
    ):
        ui.console.print(f"{box.name} {box.version}: {box.directory}", soft_wrap=True)
    ui.console.print(f"ready after {clock(time.monotonic() - started)}")


def print_list(as_json: bool) -> None:
    """`lab box list`."""
    boxes, damaged = survey()
    rows = [_row(box, offer) for box, offer in zip(boxes, _asked_offers(boxes), strict=True)]
    if as_json:
        ui.print_json([*rows, *({"name": d.name, "version": d.version, "damaged": d.reason} for d in damaged)])
        return
    if not rows and not damaged:
        ui.console.print("no boxes yet; `lab box build` makes those that lab.yaml needs")
        return
    # Lines, as a table would cut the names, which one wants to copy.
    for row in rows:
        made = f"{row['packages']} packages" if row["packages"] is not None else f"ready-made, from {row['url']}"
        about = f"version {row['version']}, {made}, {row['size_mib']} MiB"
        lines = [escape(about), *(f"[yellow]{escape(warning)}[/yellow]" for warning in row["warnings"])]
        _print_box(row["name"], "\n  ".join(lines))
    for box in damaged:
        _print_box(box.name, f"[yellow]version {box.version} is damaged[/yellow]: {escape(box.reason)}")
    if any(row["warnings"] for row in rows):
        ui.console.print(age.ADVICE, soft_wrap=True)
    if damaged:
        ui.console.print("who needs a damaged box makes it again; `lab box remove NAME` removes it", soft_wrap=True)
    total_gib = sum(row["size_mib"] for row in rows) / 1024
    ui.console.print(f"{len(rows)} boxes, {total_gib:.1f} GiB, in {cache_directory() / 'boxes'}", soft_wrap=True)


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


def _print_box(name: str, about: str) -> None:
    ui.console.print(f"[bold]{name}[/bold]\n  {about}", soft_wrap=True, highlight=False)


def remove(name: str) -> None:
    """`lab box remove`."""
    known = sorted({box.name for boxes in survey() for box in boxes})
    if name != "all" and name not in known:
        raise UsageError(f"no box {name}", hint=f"boxes: {', '.join(known) or 'none'}")
    for each in known if name == "all" else [name]:
        for box in remove_box(each):
            ui.console.print(f"removed {box.name} {box.version}")
