"""While an exercise runs on a lab, the suite must not give the answer away.

BUILD/exercise.json is written by lab.teaching. While its `veiled` is true, a report says only how many checks are red,
and of which chapters; and verbs that would repair or restore the lab are refused.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab.base.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

FILE = "exercise.json"
WAY_OUT = "`lab exercise grade`, or `lab exercise solve` or `reset` to give up"


def is_veiled(build_dir: Path) -> bool:
    """Tell whether an exercise is being worked on; a file that cannot be read counts as one."""
    try:
        data = json.loads((build_dir / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except (ValueError, OSError):
        return True
    return not isinstance(data, dict) or data.get("veiled") is not False


def refuse(build_dir: Path, verb: str, would: str = "end it") -> None:
    """Refuse a verb that would end an exercise, or give its answer away, while a student works on it.

    Raises:
        UsageError: an exercise runs.
    """
    if is_veiled(build_dir):
        raise UsageError(f"an exercise runs on this lab: {verb} would {would}", hint=WAY_OUT)
