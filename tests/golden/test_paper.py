"""docs/releases.md, docs/topology.svg and docs/handout.md are what the data say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from releases_paper import paper

from lab.base import resources
from lab.inputs.catalog import load_steps
from lab.inputs.model import Spec
from lab.inputs.release import default_release, load_release
from lab.planning.plan import HostFacts
from lab.planning.resolve import resolve
from lab.teaching.drawing import svg
from lab.teaching.handout import Edition, handout
from lab.teaching.pages import markdown
from lab.teaching.topology import topology

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.planning.plan import Plan

DOCS = Path(__file__).resolve().parents[2] / "docs"


def proposed() -> Plan:
    """The lab that `lab init` proposes, with two compute nodes."""
    release = load_release(default_release())
    spec = Spec.model_validate({"name": "compute-101", "release": release.name, "nodes": {"compute": {"count": 2}}})
    return resolve(spec, release, load_steps(release, resources.PROVISION), HostFacts())


def test_docs_releases(golden: Callable[[Path, str], None]) -> None:
    golden(DOCS / "releases.md", paper())


def test_docs_handout(golden: Callable[[Path, str], None]) -> None:
    golden(DOCS / "handout.md", markdown(handout(proposed(), {}, Edition.STUDENT)))


def test_docs_topology(golden: Callable[[Path, str], None]) -> None:
    golden(DOCS / "topology.svg", svg(topology(proposed())))
