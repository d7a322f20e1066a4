"""How often `lab rotate` has changed each password: BUILD/rotated.json, beside the seed, which stays the same.

The file holds no password. It is written in one step, before anything is changed on a node. Whatever interrupts `lab
rotate` then, the steps that use these passwords have other inputs than when they ran, and `lab up` runs them again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationError

from lab.base import durable
from lab.base.errors import MachineError
from lab.base.models import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILE = "rotated.json"


class Rotated(Frozen):
    """The content of the file."""

    version: Literal[1] = 1
    times: dict[str, Annotated[int, Field(ge=1)]] = {}
    """by the passwords' names; those that were never changed are left out"""

    def source(self, name: str) -> str:
        """Give what a password is derived from, in addition to the seed."""
        times = self.times.get(name, 0)
        return f"{name} {times}" if times else name

    def sources(self, name: str) -> list[str]:
        """Give what a password and all before it were derived from."""
        return [name, *(f"{name} {times}" for times in range(1, self.times.get(name, 0) + 1))]

    def more(self, names: Iterable[str]) -> Rotated:
        """Give it after another change of these."""
        return Rotated(times=self.times | {name: self.times.get(name, 0) + 1 for name in names})


def load(directory: Path) -> Rotated:
    """Read it; if there is none, nothing was changed.

    Raises:
        MachineError: it is damaged, or of a newer version.
    """
    path = directory / FILE
    try:
        return Rotated.model_validate(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return Rotated()
    except (ValueError, ValidationError):
        raise MachineError(
            f"{path} is damaged, or of a newer version of lab",
            hint="restore it from a copy; without it the lab gets the passwords that it had first, by `lab up`",
        ) from None


def save(directory: Path, rotated: Rotated) -> None:
    """Write it."""
    durable.write_text(directory / FILE, rotated.model_dump_json(indent=2) + "\n", mode=0o600)
