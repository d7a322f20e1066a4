"""What each release asserts of a lab with one compute node, and the values its scripts get: one line for each.

The diff of such a file is the effect of a change on that release, and on no other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab import resources
from lab.plan import HostFacts
from lab.resolve import resolve
from lab.spec.catalog import load_steps
from lab.spec.model import Spec
from lab.spec.release import load_release, release_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.plan import Plan

HERE = Path(__file__).parent / "releases"


def lines(plan: Plan) -> Iterator[str]:
    for node in plan.nodes:
        yield f"{node.name}: box {node.box} on {plan.suite}"
        yield from (f"{node.name}: {name}={value}" for name, value in sorted(node.env.items()))
    for step in plan.steps:
        yield f"{step.id}: {step.url}"
        yield from (f"{step.id}: {name}={value}" for name, value in sorted(step.env.items()))
    for check in plan.checks:
        yield f"{check.id}: {json.dumps(check.args)}"


@pytest.mark.parametrize("name", release_names())
def test_release(name: str, golden: Callable[[Path, str], None]) -> None:
    release = load_release(name)
    spec = Spec(name="demo", release=name, chapters=tuple(release.chapters))
    plan = resolve(spec, release, load_steps(release, resources.PROVISION), HostFacts())
    golden(HERE / f"{name}.txt", "".join(f"{line}\n" for line in lines(plan)))


def test_every_golden_file_belongs_to_a_release() -> None:
    assert {path.stem for path in HERE.iterdir()} == set(release_names())
