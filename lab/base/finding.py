"""What a look at a host or a lab finds, and the command that repairs it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One requirement, and how the host meets it."""

    id: str
    what: str
    ok: bool
    found: str
    why: str = ""
    repair: str = ""
    """the command that repairs it, ready to paste; where there is more than one, each on a line of its own"""
    fatal: bool = True
    """no lab without it; otherwise a note"""
    advice: str = ""
    """what else is to be done, in words; instead of a command where none can do it"""

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON has it, where the command keeps the key `mend` (docs/host.md)."""
        given = asdict(self)
        return {"mend" if key == "repair" else key: value for key, value in given.items()}
