"""What a build directory remembers of the golden lab that its lab was made from: BUILD/golden.json.

It is written before anything is made, and again when all is there: what a crash leaves is removed and made again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from lab.base import durable
from lab.base.errors import MachineError
from lab.base.models import Frozen

if TYPE_CHECKING:
    from pathlib import Path

FILE = "golden.json"


class Mark(Frozen):
    """A lab's golden lab."""

    version: Literal[1] = 1
    golden: str
    """its name"""
    complete: bool = False
    """its machines were made"""
    own: bool = False
    """its nodes have keys and machine ids of their own"""


_COMPLETE = Mark(golden="unknown", complete=True, own=True).model_dump_json()


def load(build_dir: Path) -> Mark | None:
    """Read it; None if the lab was not made from a golden one.

    Raises:
        MachineError: it is damaged. Nothing is removed then: the lab may be complete, with its user's work in it.
    """
    path = build_dir / FILE
    try:
        return Mark.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise MachineError(
            f"{path} is damaged: it does not say whether the lab was completely made from a golden one",
            hint=f"`lab down` removes the lab; to keep one that is complete, write this into the file: {_COMPLETE}",
        ) from error


def save(build_dir: Path, mark: Mark) -> None:
    """Write it."""
    durable.write_text(build_dir / FILE, mark.model_dump_json(indent=2) + "\n", mode=0o600)


def remove(build_dir: Path) -> None:
    """Remove it; no error if there is none."""
    durable.unlink(build_dir / FILE)


def vagrants(build_dir: Path, node: str) -> Path:
    """Name the directory of Vagrant's notes on a machine."""
    return build_dir / ".vagrant" / "machines" / node / "libvirt"
