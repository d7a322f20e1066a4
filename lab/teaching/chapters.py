"""`lab exercise lint`, of chapters: is a step complete, before or after a release names it? No lab is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.base.errors import SpecError
from lab.inputs.blocks import complete_script
from lab.inputs.catalog import LoadedStep, load_step
from lab.inputs.release import load_release, release_names
from lab.inputs.steps import Truths
from lab.teaching.looks import known_kinds
from lab.teaching.script import read_script

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def problems(directory: Path) -> list[str]:
    """List what is wrong with the chapters of a directory."""
    capabilities = {name for release in release_names() for name in load_release(release).capabilities}
    found: list[str] = []
    for path in sorted(directory.glob("[0-9][0-9]-*.yaml")):
        try:
            step = load_step(path.stem, directory, capabilities)
        except SpecError as error:
            found += map(str, error.problems)
        else:
            found += [f"{path.stem}: {problem}" for problem in _problems(step)]
    return found


def _problems(step: LoadedStep) -> Iterator[str]:
    script = read_script(complete_script(step.script))
    if not script.goal:
        yield "the script does not begin with what it is for"
    if not any(note.startswith("Guide:") for note in script.notes):
        yield "the head of the script names no section of the guide (`# Guide: …`)"
    if not any(statement.word == "heading" for statement in script.statements):
        yield "the script has no heading"
    for check in step.facts.checks:
        if check.kind not in known_kinds():
            yield f"the check {check.name} is of the kind {check.kind}, of which lab/teaching/looks.py knows no command"
    stated = any(getattr(step.facts, name) for name in Truths.model_fields)
    if not (stated or step.options):
        yield "nothing is stated that the suite could check"
