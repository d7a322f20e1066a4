"""The boxes of a lab: which it needs, seeing that they are there, and the verbs of `lab box`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from lab import project, safe, ui
from lab.box import age
from lab.box.build import BoxEvent, ensure_boxes
from lab.box.definition import BoxSpec
from lab.box.manifest import Manifest, ReadyMade
from lab.box.ready_made import ensure_ready_made
from lab.box.store import IMAGE, cache_directory, list_boxes, place_base_volume, register, remove_box, survey
from lab.errors import UsageError
from lab.runtime.host_facts import host_facts
from lab.runtime.vagrant import vagrant_home
from lab.spec.load import load_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from lab.box.store import Box
    from lab.plan import Plan
    from lab.runtime.host import Host


def wanted_boxes(plan: Plan) -> list[BoxSpec]:
    """One box per role of the plan, with the packages that the role's steps name."""
    needed = []
    for node in {node.role: node for node in plan.nodes}.values():
        packages = {package for step in node.steps for package in plan.step(step).env["LAB_PACKAGES"].split()}
        needed.append(
            BoxSpec(
                name=node.box,
                suite=plan.suite,
                release=plan.release,
                role=node.role,
                flavour=plan.flavour,
                packages=tuple(sorted(packages)),
            )
        )
    return needed


def ensure_for_plan(
    plan: Plan,
    mirror: str | None,
    tell: Callable[[BoxEvent], None],
    *,
    nodes: Collection[str] | None = None,
    force: bool = False,
) -> list[Box]:
    """See that the boxes of the plan, or of these nodes of it, are there; builds or fetches what is missing."""
    if plan.box_url and plan.box_sha256:
        return [ensure_ready_made(plan.box_url, plan.box_sha256, on_event=tell, force=force)]
    names = {node.box for node in plan.nodes if nodes is None or node.name in nodes}
    return ensure_boxes(
        [box for box in wanted_boxes(plan) if box.name in names], mirror=mirror, on_event=tell, force=force
    )


def show_to_vagrant(boxes: list[Box], host: Host) -> None:
    """Register the boxes with Vagrant and put their images into the storage pool, so that nothing is uploaded.

    Of a ready-made box with several disks (version 2 of Vagrant's format) Vagrant uploads them itself.
    """
    home = vagrant_home()
    for box in boxes:
        register(box, home)
        if IMAGE in box.manifest.files:
            place_base_volume(box, host.pool_dir)
    with host.hypervisor() as hypervisor:
        hypervisor.refresh_pool()


def show_built(plan: Plan, host: Host) -> None:
    """Show those boxes of the plan that are in the cache; for who runs Vagrant by hand."""
    names = {node.box for node in plan.nodes}
    cache = safe.require(cache_directory())
    newest = {box.name: box for box in reversed(list_boxes(cache)) if box.name in names}
    show_to_vagrant(list(newest.values()), host)


def line_of(event: BoxEvent) -> str:
    """Put what the builder tells into a line."""
    took = f" ({ui.clock(event.seconds)})" if event.seconds is not None else ""
    return f"{event.box} {event.text}{took}".lstrip()


def build_for_spec(spec_file: Path, mirror: str | None, *, force: bool = False) -> None:
    """`lab box build`."""
    spec = load_spec(spec_file)
    started = time.monotonic()
    plan = project.decide(spec, host_facts(spec.accelerator, prove=False))
    for box in ensure_for_plan(
        plan, mirror or spec.box.mirror, lambda event: ui.console.print(line_of(event), soft_wrap=True), force=force
    ):
        ui.console.print(f"{box.name} {box.version}: {box.directory}", soft_wrap=True)
    ui.console.print(f"ready after {ui.clock(time.monotonic() - started)}")


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


def age_lines(plan: Plan, *, updates: bool) -> list[str]:
    """Warn of the plan's boxes that are old; with `updates` (a second) also of those known to lack security updates.

    Asks nobody: known is what the last build of a box of the suite saw.
    """
    cache, names = cache_directory(), {node.box for node in plan.nodes}
    offer = age.known_offer(plan.suite, cache) if updates else None
    found = [
        f"{box.name}: {warning}"
        for box in list_boxes(cache)
        if box.name in names
        for warning in age.warnings(box, offer)
    ]
    return [*found, age.ADVICE] if found else []


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
