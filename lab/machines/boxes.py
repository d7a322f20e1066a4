"""The boxes of a lab: which it needs, and making or fetching them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lab.base import resources, safe
from lab.base.progress import clock
from lab.box import age
from lab.box.build import BoxEvent, ensure_boxes
from lab.box.definition import BoxSpec
from lab.box.ready_made import ensure_ready_made
from lab.box.store import IMAGE, cache_directory, list_boxes, place_base_volume, register
from lab.machines.vagrant import vagrant_home

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from lab.box.store import Box
    from lab.host.host import Host
    from lab.planning.plan import Plan


def wanted_boxes(plan: Plan) -> list[BoxSpec]:
    """One box per role of the plan, with the packages that the role's steps name, and the steps' scripts."""
    needed = []
    for node in {node.role: node for node in plan.nodes}.values():
        packages = {package for step in node.steps for package in plan.step(step).packages}
        needed.append(
            BoxSpec(
                name=node.box,
                suite=plan.suite,
                release=plan.release,
                role=node.role,
                flavour=plan.flavour,
                packages=tuple(sorted(packages)),
                virtualenvs=plan.virtualenvs,
                scripts=tuple(resources.PROVISION / plan.edition / f"{step}.sh" for step in node.steps),
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
    """Give the boxes of the plan, or of these nodes of it; builds or fetches what is missing."""
    if plan.box_url and plan.box_sha256:
        return [ensure_ready_made(plan.box_url, plan.box_sha256, on_event=tell, force=force)]
    names = {node.box for node in plan.nodes if nodes is None or node.name in nodes}
    return ensure_boxes(
        [box for box in wanted_boxes(plan) if box.name in names], mirror=mirror, on_event=tell, force=force
    )


def show_to_vagrant(boxes: list[Box], host: Host) -> None:
    """Register the boxes with Vagrant and put their images into the storage pool, so that nothing is uploaded.

    Of a ready-made box with several disks (version 2 of Vagrant's format) Vagrant uploads them itself; and so it does,
    through libvirt, where only root may write in the pool's directory.
    """
    home = vagrant_home()
    for box in boxes:
        register(box, home)
        if IMAGE in box.manifest.files and (os.geteuid() == 0 or os.access(host.pool_dir, os.W_OK | os.X_OK)):
            place_base_volume(box, host.pool_dir)
    with host.hypervisor() as hypervisor:
        hypervisor.refresh_pool()


def show_built(plan: Plan, host: Host) -> None:
    """Show Vagrant those boxes of the plan that are in the cache, for a user who runs it by hand."""
    names = {node.box for node in plan.nodes}
    cache = safe.require(cache_directory())
    newest = {box.name: box for box in reversed(list_boxes(cache)) if box.name in names}
    show_to_vagrant(list(newest.values()), host)


def line_of(event: BoxEvent) -> str:
    """Put what the builder tells into a line."""
    took = f" ({clock(event.seconds)})" if event.seconds is not None else ""
    return f"{event.box} {event.text}{took}".lstrip()


def age_lines(plan: Plan, *, updates: bool) -> list[str]:
    """Warn of the plan's boxes that are old; with `updates` (a second) also of those known to lack security updates.

    No archive is asked: what the last build of a box of the suite saw is known.
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
