"""An exam: a file that names exercises, a time and a pass mark."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from pydantic import Field

from lab.base.models import Frozen
from lab.inputs.document import read_document
from lab.inputs.validate import validate
from lab.teaching.exercise import catalog
from lab.teaching.exercise.running import Exam

if TYPE_CHECKING:
    from pathlib import Path


class ExamFile(Frozen):
    """What the file states."""

    title: str
    minutes: int = Field(ge=1, le=600)
    pass_percent: Decimal = Field(ge=0, le=100)
    exercises: tuple[int, ...] = Field(min_length=1)

    def exam(self) -> Exam:
        """Give what is kept while it runs."""
        return Exam(title=self.title, minutes=self.minutes, needed=str(self.pass_percent))


def load_exam(path: Path) -> ExamFile:
    """Read an exam's file.

    Raises:
        SpecError: the file is missing or wrong, or names an exercise that there is not, or one twice.
    """
    document = read_document(path, missing="docs/exercises.md shows one", top="title, minutes, pass_percent, exercises")
    found, _ = validate(ExamFile, document)
    known = {each.number for each in catalog.catalog()}
    for place, number in enumerate(found.exercises if found else ()):
        if number not in known:
            document.problem(("exercises", place), f"exercise {number}", f"one of {min(known)} to {max(known)}")
        elif found is not None and number in found.exercises[:place]:
            document.problem(("exercises", place), f"exercise {number} again", "each exercise once")
    document.raise_problems()
    assert found is not None
    return found
