"""The steps of a release, read from provision/: each a pair NN-slug.yaml (facts) and NN-slug.sh (script).

An edition of the guide whose chapters differ has a folder there, with steps of the same ids.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lab.base import resources
from lab.base.errors import SpecError
from lab.base.words import did_you_mean
from lab.inputs.blocks import ConfigOption, complete_script, config_options, variables_used
from lab.inputs.document import Document, Loc, read_document
from lab.inputs.steps import StepFacts
from lab.inputs.validate import validate

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lab.inputs.release import Release

STEP_ID = re.compile(r"[0-9]{2}-[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class LoadedStep:
    """A step as its two files state it, for whatever capabilities."""

    id: str
    facts: StepFacts
    script: Path
    options: tuple[ConfigOption, ...]
    """of the configuration blocks in the script"""
    variables: frozenset[str] = frozenset()
    """that the script uses, or one of the libraries"""

    def of(self, capabilities: Mapping[str, bool]) -> LoadedStep:
        """Give the step as it is for these capabilities."""
        options = tuple(option for option in self.options if option.runs_with(capabilities))
        return replace(self, facts=self.facts.of(capabilities), options=options)


def load_steps(release: Release, provision: Path) -> dict[str, LoadedStep]:
    """Load all steps that a release names, those of its chapters too, in order.

    Raises:
        SpecError: a file is missing or wrong; with the problems of all of them.
    """
    steps: dict[str, LoadedStep] = {}
    broken = Document(str(provision))
    libraries = [resources.text(path) for path in (provision / "lib").glob("*.sh")]
    shared = frozenset[str]().union(*map(variables_used, libraries))
    for step_id in release.every_step:
        try:
            step = load_step(step_id, provision / release.edition, release.capabilities)
            steps[step_id] = replace(step, variables=step.variables | shared)
        except SpecError as error:
            broken.problems += error.problems
    broken.raise_problems()
    return steps


def load_step(step_id: str, directory: Path, capabilities: Collection[str]) -> LoadedStep:
    """Load one step, with all that it states for any release.

    Args:
        directory: provision/, or the folder of an edition in it.
        capabilities: the names that it may ask for.

    Raises:
        SpecError: a file of it is missing or wrong.
    """
    path = directory / f"{step_id}.yaml"
    document = read_document(path, missing=f"the release's list of steps names {step_id}", top="a step's facts")
    if not STEP_ID.fullmatch(step_id):
        document.problem((), f"the step id '{step_id}'", "NN-slug, as 50-compute-controller")
    facts, _ = validate(StepFacts, document)
    script = path.with_suffix(".sh")
    text = ""
    try:
        text = complete_script(script)
    except FileNotFoundError as error:
        missing = Path(error.filename)
        found = "no script beside it" if missing == script else "no such file of blocks"
        document.problem((), found, str(missing.relative_to(directory)))
    options = config_options(text)
    asked: dict[str, Loc] = {name: ("when", name) for name in facts.when} if facts else {}
    asked |= {name: () for option in options for name in option.where}
    for number, check in enumerate(facts.checks if facts else ()):
        asked |= {name: ("checks", number) for name in (check.when, check.unless) if name}
    for name, loc in asked.items():
        if name not in capabilities:
            hint = did_you_mean(name, capabilities)
            document.problem(loc, f"the unknown capability {name}", "one that the release states", hint)
    document.raise_problems()
    assert facts is not None
    return LoadedStep(step_id, facts, script, options, variables_used(text))
