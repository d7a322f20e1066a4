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
    """the commands that repair it, ready to paste, one a line"""
    fatal: bool = True
    """no lab without it; otherwise a note"""
    advice: str = ""
    """what else to do, in words; or what to do if no command can do it"""

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return asdict(self)
