"""What is known to be done on a lab: `state.json` in the build directory.

A record says that a step's script ended well with certain inputs. It is a claim, not a proof: `lab up` asks the
suite's quick checks before it believes it. The last result of the complete suite is kept beside it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Literal

from lab.base.durable import write_text
from lab.base.errors import DamagedFileError, MachineError
from lab.base.models import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

STATE_VERSION: Literal[1] = 1


class StepRecord(Frozen):
    """A step that ended well on a node."""

    inputs: str
    """digest of the script, the libraries and the environment it ran with"""
    seconds: float
    finished: str
    """ISO 8601, UTC"""


class State(Frozen):
    """The content of state.json. Keys of `steps` are NODE/STEP."""

    version: Literal[1] = STATE_VERSION
    steps: dict[str, StepRecord] = {}
    verified: dict[str, str] = {}
    """step -> digest of its checks, all of which passed after the last step ran"""
    drifted: dict[str, tuple[str, ...]] = {}
    """NODE/STEP -> ids of its checks that failed when the suite last ran; the step has not run since"""

    def with_step(self, node: str, step: str, record: StepRecord) -> State:
        """Return the state with one more step done; what ran may have broken what was verified."""
        key = f"{node}/{step}"
        drifted = {k: v for k, v in self.drifted.items() if k != key}
        return self.model_copy(update={"steps": {**self.steps, key: record}, "verified": {}, "drifted": drifted})

    def without_steps(self, keys: set[tuple[str, str]]) -> State:
        """Return the state in which these (node, step) are not done."""
        gone = {f"{node}/{step}" for node, step in keys}
        return self.model_copy(update={"steps": {k: v for k, v in self.steps.items() if k not in gone}})

    def without_node(self, node: str) -> State:
        """Return the state in which nothing is known of a node: its machine is gone."""
        return self.model_copy(
            update={
                "steps": {k: v for k, v in self.steps.items() if k.partition("/")[0] != node},
                "drifted": {k: v for k, v in self.drifted.items() if k.partition("/")[0] != node},
                "verified": {},
            }
        )

    def knows(self, node: str) -> bool:
        """Tell whether a step ever ended well on a node, as far as is remembered."""
        return any(key.partition("/")[0] == node for key in self.steps)


class StateFile:
    """state.json, read and replaced as a whole.

    Raises:
        DamagedFileError: the file is cut short, or no state.
        MachineError: it was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> State:
        """Read the state; an absent file is the empty state."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return State()
        try:
            data = json.loads(text)
            version = data.get("version") if isinstance(data, dict) else None
            if isinstance(version, int) and version > STATE_VERSION:
                raise MachineError(
                    f"{self.path} is of a newer version of lab (format {version}, this one knows {STATE_VERSION})",
                    hint="use that version, or remove the lab with it and build it again",
                )
            if isinstance(data, dict):
                data.pop("phases", None)  # written by earlier versions, and not read any more
            return State.model_validate(data)
        except ValueError as error:  # pydantic's too
            raise DamagedFileError(self.path, str(error).splitlines()[0]) from None

    def save(self, state: State) -> None:
        """Replace the file; a crash leaves the old one or the new one."""
        write_text(self.path, state.model_dump_json(indent=2) + "\n", mode=0o600)


def digest(parts: Mapping[str, str]) -> str:
    """Digest of named texts; the same names and texts give the same digest."""
    sha = hashlib.sha256()
    for name, text in sorted(parts.items()):
        sha.update(f"{name}\0{len(text)}\0{text}\0".encode())
    return sha.hexdigest()[:16]
