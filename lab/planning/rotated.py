"""Which passwords `lab rotate` has changed: BUILD/rotated.json, beside the seed, which stays the same.

The file holds no password, but a random number for each change: labs from one golden lab have one seed, and none of
them is to know the passwords that another one changed. It is written in one step, before anything is changed on a node.
Whatever interrupts `lab rotate` then, the steps that use these passwords have other inputs than when they ran, and `lab
up` runs them again.
"""

from __future__ import annotations

import json
import secrets as random_source
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import StringConstraints, ValidationError

from lab.base import durable
from lab.base.errors import MachineError
from lab.base.models import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILE = "rotated.json"


_DIGITS = 32


class Rotated(Frozen):
    """The content of the file."""

    version: Literal[1] = 1
    drawn: dict[str, tuple[Annotated[str, StringConstraints(pattern=f"^[0-9a-f]{{{_DIGITS}}}$")], ...]] = {}
    """by the passwords' names, a random number for each change; those that were never changed are left out"""

    def source(self, name: str) -> str:
        """Give what a password is derived from, in addition to the seed."""
        return self.sources(name)[-1]

    def sources(self, name: str) -> list[str]:
        """Give what a password and all before it were derived from."""
        return [name, *(f"{name} {number}" for number in self.drawn.get(name, ()))]

    def more(self, names: Iterable[str]) -> Rotated:
        """Give it after another change of these."""
        return self.then(Rotated(drawn={name: (random_source.token_hex(_DIGITS // 2),) for name in names}))

    def then(self, later: Rotated) -> Rotated:
        """Give it after these changes too, if they are not among its own already."""
        new = {
            name: tuple(number for number in numbers if number not in self.drawn.get(name, ()))
            for name, numbers in later.drawn.items()
        }
        return Rotated(drawn=self.drawn | {name: (*self.drawn.get(name, ()), *more) for name, more in new.items()})


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
