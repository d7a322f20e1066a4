"""The exercises on disk: pairs NN-slug.yaml (facts) and NN-slug.sh (what is done to a node)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from lab.base import resources
from lab.base.errors import SpecError, UsageError
from lab.inputs.document import Document, read_document
from lab.inputs.validate import validate
from lab.teaching.exercise.model import Exercise

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

EXERCISE_ID = re.compile(r"(\d\d)-[a-z0-9]+(-[a-z0-9]+)*")
BREAK, SOLVE, OTHERWISE, WRONGLY = "break_it", "solve", "solve_otherwise", "repair_wrongly"
FUNCTIONS = (BREAK, SOLVE, OTHERWISE, WRONGLY)
START_AGAIN = "start_again"
"""does what a boot of the node would do and no restart of a service does; most exercises have none"""
_FUNCTION = re.compile(r"^(\w+)\(\) \{\n(.*?)^\}\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Loaded:
    """An exercise with its script."""

    id: str
    facts: Exercise
    script: str

    @property
    def number(self) -> int:
        """The name that a student uses; the rest of the id would say too much."""
        return int(self.id[:2])

    @property
    def digest(self) -> str:
        """Digest of facts and script; results have it."""
        text = f"{self.facts.model_dump_json()}\0{self.script}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def functions(self) -> dict[str, str]:
        """Give the bodies of the script's functions."""
        return dict(_FUNCTION.findall(self.script))


def load(path: Path) -> Loaded:
    """Load one exercise by its YAML file.

    Raises:
        SpecError: a file of it is missing or wrong.
    """
    document = read_document(path, missing="`lab exercise new SLUG` writes one", top="an exercise")
    facts, _ = validate(Exercise, document)
    script = path.with_suffix(".sh")
    if not EXERCISE_ID.fullmatch(path.stem):
        document.problem((), f"the name {path.stem}", "NN-slug, as 07-wrong-port")
    if not script.is_file():
        document.problem((), "no script beside it", script.name)
    document.raise_problems()
    assert facts is not None
    return Loaded(path.stem, facts, script.read_text(encoding="utf-8"))


def load_all(directory: Path = resources.EXERCISES) -> tuple[Loaded, ...]:
    """Load all exercises, in the order of their numbers.

    Raises:
        SpecError: with the problems of all of them.
    """
    found, broken = [], Document(str(directory))
    for path in sorted(directory.glob("*.yaml")):
        try:
            found.append(load(path))
        except SpecError as error:
            broken.problems += error.problems
    numbers = [each.number for each in found]
    for each in found:
        if numbers.count(each.number) > 1:
            broken.problem((), f"the number {each.number:02d} more than once ({each.id})", "a number for each")
    broken.raise_problems()
    return tuple(found)


@lru_cache(maxsize=1)
def catalog() -> tuple[Loaded, ...]:
    """Load the project's own, once."""
    return load_all()


def find(number: int, among: Iterable[Loaded] | None = None) -> Loaded:
    """Find an exercise by its number.

    Raises:
        UsageError: there is none.
    """
    known = tuple(among if among is not None else catalog())
    for each in known:
        if each.number == number:
            return each
    numbers = f"{known[0].number} to {known[-1].number}" if known else "there are none"
    raise UsageError(f"no exercise {number}", hint=f"`lab exercise list` shows them: {numbers}")


def library() -> str:
    """Give what the scripts share."""
    return (resources.EXERCISES / "lib.sh").read_text(encoding="utf-8")
