"""The labs for which the project's exercises are written: one of each tested release, with two compute nodes.

Not of a first edition of the guide, which has steps of its own: `lab exercise start` refuses what does not fit there.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from lab.inputs.model import Spec
from lab.inputs.release import load_release, release_names
from lab.planning.plan import HostFacts, HostProof
from lab.planning.project import decide

if TYPE_CHECKING:
    from lab.planning.plan import Plan


@lru_cache(maxsize=1)
def lint_plans() -> tuple[Plan, ...]:
    """Decide them; nothing is touched."""
    releases = [load_release(name) for name in release_names()]
    tested = [release.name for release in releases if release.tested and not release.edition]
    nodes = {"compute": {"count": 2}}
    specs = [Spec.model_validate({"name": "lint", "release": name, "nodes": nodes}) for name in tested]
    return tuple(decide(spec, HostProof(HostFacts(), "", "")) for spec in specs)
