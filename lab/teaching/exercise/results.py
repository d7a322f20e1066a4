"""The results of exercises: BUILD/exercise-results.json, which `lab down` keeps."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from lab.base import durable, resources
from lab.base.errors import MachineError
from lab.base.models import Frozen
from lab.teaching.exercise.running import Outcome  # noqa: TC001 - pydantic reads annotations

if TYPE_CHECKING:
    from pathlib import Path

    from lab.planning.plan import Plan

FILE = "exercise-results.json"


class Result(Frozen):
    """How one student's exercise ended, and of which exercise and suite this is true."""

    student: str
    number: int
    title: str
    level: int
    digest: str
    """of the exercise"""
    suite: str
    """digest of the checks and of what asserts them"""
    seed: str
    node: str
    started: float
    ended: float
    """seconds since 1970, the host's clock"""
    attempts: int
    hints: int
    outcome: Outcome
    worth: int
    won: int
    read_all: bool
    exam: str = ""
    broken: str
    showed: str
    found: str

    @property
    def seconds(self) -> float:
        """How long it took."""
        return round(self.ended - self.started, 1)

    @property
    def missed(self) -> int:
        """Points that were not won."""
        return self.worth - self.won

    def row(self) -> dict[str, Any]:
        """Give it as a row of a table."""
        return {**self.model_dump(), "seconds": self.seconds, "missed": self.missed}


_LIST = TypeAdapter(tuple[Result, ...])


class Results:
    """Reads and writes them."""

    def __init__(self, build_dir: Path) -> None:
        self.path = build_dir / FILE

    def load(self) -> tuple[Result, ...]:
        """Read all, oldest first.

        Raises:
            MachineError: the file is damaged.
        """
        try:
            return _LIST.validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return ()
        except ValidationError:
            raise MachineError(f"{self.path} is damaged", hint="rename it: new results get a new file") from None

    def add(self, *new: Result) -> None:
        """Add results."""
        data = _LIST.dump_json((*self.load(), *new), indent=1).decode()
        durable.write_text(self.path, f"{data}\n", mode=0o600)


def as_json(results: tuple[Result, ...]) -> str:
    """Write them for a program."""
    return json.dumps([result.row() for result in results], indent=2) + "\n"


def as_csv(results: tuple[Result, ...]) -> str:
    """Write a table for a spreadsheet, with a head."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*Result.model_fields, "seconds", "missed"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(_as_text(result.row()) for result in results)
    return stream.getvalue()


def suite_digest(plan: Plan) -> str:
    """Digest a lab's checks and the functions that assert them."""
    digest = hashlib.sha256()
    for check in plan.checks:
        digest.update(check.model_dump_json().encode())
    for path in sorted(resources.INFRA_SUITE.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _as_text(row: dict[str, Any]) -> dict[str, Any]:
    """Keep a spreadsheet from taking a text for a formula."""
    risky = ("=", "+", "-", "@", "\t", "\r")
    return {key: f"'{value}" if str(value).startswith(risky) else value for key, value in row.items()}
