"""Paths in the languages of other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def ssh_config_value(path: Path) -> str:
    """Write a path for ssh_config(5): percent signs are tokens there, spaces need quotes, and quotes a backslash."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + text.replace("%", "%%") + '"'
