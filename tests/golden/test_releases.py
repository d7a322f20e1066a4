"""What each release asserts of a lab with one compute node, and the values its scripts get: one line for each.

RELEASE.txt is the core; RELEASE/CHAPTER.txt is what a chapter adds (+) and takes away (-). The diff of such a file is
the effect of a change on that release, and on no other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cpu_time import NOISE, spent

from lab.base import resources
from lab.generator.render import render, step_environment
from lab.inputs.catalog import load_steps
from lab.inputs.model import Spec
from lab.inputs.release import load_release, release_names
from lab.planning.plan import HostFacts
from lab.planning.resolve import resolve
from lab.planning.secrets import Secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.planning.plan import Plan

HERE = Path(__file__).parent / "releases"
CHAPTERS = [(name, chapter) for name in release_names() for chapter in load_release(name).chapters]


def decide(name: str, *chapters: str) -> Plan:
    release = load_release(name)
    spec = Spec(name="demo", release=name, chapters=chapters)
    return resolve(spec, release, load_steps(release, resources.PROVISION), HostFacts())


def lines(plan: Plan) -> Iterator[str]:
    for node in plan.nodes:
        yield f"{node.name}: box {node.box} on {plan.suite}"
        yield from (f"{node.name}: {name}={value}" for name, value in sorted(node.env.items()))
    for step in plan.steps:
        yield f"{step.id}: {step.url}"
        yield from (f"{step.id}: {name}={value}" for name, value in sorted(step_environment(step).items()))
    for check in plan.checks:
        yield f"{check.id}: {json.dumps(check.args)}"


@pytest.mark.parametrize("name", release_names())
def test_release(name: str, golden: Callable[[Path, str], None]) -> None:
    golden(HERE / f"{name}.txt", "".join(f"{line}\n" for line in lines(decide(name))))


@pytest.mark.parametrize(("name", "chapter"), CHAPTERS)
def test_chapter(name: str, chapter: str, golden: Callable[[Path, str], None]) -> None:
    core, here = list(lines(decide(name))), list(lines(decide(name, chapter)))
    changes = [f"- {line}" for line in core if line not in here] + [f"+ {line}" for line in here if line not in core]
    golden(HERE / name / f"{chapter}.txt", "".join(f"{line}\n" for line in changes))


def test_every_golden_file_belongs_to_a_release_or_a_chapter() -> None:
    expected = {f"{name}.txt" for name in release_names()} | {f"{name}/{chapter}.txt" for name, chapter in CHAPTERS}
    assert {path.relative_to(HERE).as_posix() for path in HERE.rglob("*.txt")} == expected


def test_all_releases_with_all_chapters_are_rendered_in_two_seconds() -> None:
    def render_all() -> None:
        for name in release_names():
            release = load_release(name)
            steps = load_steps(release, resources.PROVISION)
            for chapters in ((), *((chapter,) for chapter in release.chapters), tuple(release.chapters)):
                plan = resolve(Spec(name="demo", release=name, chapters=chapters), release, steps, HostFacts())
                render(plan, Secrets.derive("0" * 64, plan.secrets, {}))

    assert spent(render_all) < 2 * NOISE
