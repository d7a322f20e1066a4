"""Plans of real releases, as a user's spec gives them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from lab.base import resources
from lab.inputs.catalog import load_steps
from lab.inputs.model import Spec
from lab.inputs.release import load_release, release_names
from lab.planning.plan import HostFacts
from lab.planning.resolve import resolve

if TYPE_CHECKING:
    from lab.planning.plan import Plan

LABS: list[tuple[str, tuple[str, ...]]] = [(name, ()) for name in release_names()]
LABS += [(name, (chapter,)) for name in release_names() for chapter in load_release(name).chapters]
"""each release alone and with each of its chapters"""
FULL: list[tuple[str, tuple[str, ...]]] = [(name, ()) for name in release_names()]
FULL += [(name, tuple(load_release(name).chapters)) for name in release_names()]
"""each release alone and with all of its chapters"""


@cache
def plan_of(name: str, chapters: tuple[str, ...] = (), computes: int = 2) -> Plan:
    release = load_release(name)
    spec = Spec.model_validate(
        {"name": "demo", "release": name, "chapters": chapters, "nodes": {"compute": {"count": computes}}}
    )
    return resolve(spec, release, load_steps(release, resources.PROVISION), HostFacts())
