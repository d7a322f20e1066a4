"""What the lab made: the ids, by kind and name, because OpenStack lets many things have the same name."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

FILE = Path(os.environ.get("LAB_STATE") or "/var/lib/lab") / "made.json"
"""{"server instance-compute1": id, …}, one a line; lab.verification.facts and remove-compute read it too"""


class Made:
    """The record of one lab, on its controller. A record that is lost is made again from what things look like."""

    def __init__(self, path: Path = FILE) -> None:
        self._path = path
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError):
            found = {}
        self._ids: dict[str, str] = found if isinstance(found, dict) else {}

    def id_of(self, kind: str, name: str) -> str:
        """Give the id of what the lab made under a name; empty when it made nothing, or does not remember."""
        return str(self._ids.get(f"{kind} {name}", ""))

    def keep(self, kind: str, name: str, identifier: str) -> None:
        """Remember it."""
        if self.id_of(kind, name) == identifier:
            return
        self._ids[f"{kind} {name}"] = identifier
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_name(self._path.name + ".new")
        with new.open("w") as stream:
            json.dump(self._ids, stream, indent=1, sort_keys=True)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(self._path)

    def choose(
        self, kind: str, name: str, things: list[dict[str, Any]], fits: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any] | None:
        """Give the lab's own of the things of a name: that of the record, else the first that is as the lab's is."""
        made = self.id_of(kind, name)
        for thing in things:
            if thing["id"] == made:
                return thing
        return next((thing for thing in things if fits(thing)), None)
