"""Write rendered files to a build directory, or show what writing them would change.

No file is ever readable by others, not even for a moment, and none is ever half written (lab.base.durable). Of the
files that an earlier call wrote, those that are no longer rendered are removed; files of other origin (seed, logs,
.vagrant) are never touched, and no symbolic link is followed.
"""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from lab.base import durable, safe
from lab.base.errors import HostError
from lab.base.masking import MASK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.generator.render import RenderedFile

KEPT_LIST = ".rendered.json"
_ASSIGNED = re.compile(r"(?P<head>\s*(?P<name>\w+)(?:=|: ))(?P<value>.*)")
"""a line of an environment file, or of YAML"""


def write_tree(root: Path, files: Mapping[str, RenderedFile]) -> None:
    """Make the directory hold exactly these rendered files.

    Raises:
        HostError: the directory cannot be written.
    """
    try:
        for path in sorted(_written_before(root) - set(files)):
            _remove(root, path)
        # The list is written first: what a broken run leaves behind is still known to the next.
        safe.make(root)
        durable.write_text(root / KEPT_LIST, json.dumps(sorted(files), indent=1) + "\n", mode=0o600)
        directories: set[Path] = set()
        for path, file in files.items():
            _write(root, path, file, directories)
        for directory in directories:
            durable.sync_directory(directory)
    except OSError as error:
        raise HostError(f"cannot write the build directory {root}: {error}") from error


def remove_tree(root: Path) -> None:
    """Remove the files that write_tree made, and the directories that they leave empty; others stay."""
    for directory in {root, *((root / path).parent for path in _written_before(root))}:
        durable.sweep(directory)
    for path in _written_before(root):
        _remove(root, path)
    (root / KEPT_LIST).unlink(missing_ok=True)


def diff_tree(root: Path, files: Mapping[str, RenderedFile]) -> str:
    """Show as a unified diff what write_tree would change; empty where nothing. Values of secrets are masked."""
    parts: list[str] = []
    for path in sorted(_written_before(root) | set(files)):
        old_text = _text_of(root / path)
        new = files.get(path)
        if old_text is None and new is None:
            continue
        if new is None:
            parts.append(f"--- a/{path}\n+++ /dev/null\n(removed)\n")
        elif old_text != new.text:
            old_shown, new_shown = _masked(old_text or "", new.text, new.secrets)
            parts.append(_unified(path, old_shown, new_shown, made=old_text is None))
        elif (mode := (root / path).stat().st_mode & 0o777) != new.mode:
            parts.append(f"--- a/{path}\n+++ b/{path}\n(mode {mode:04o} becomes {new.mode:04o})\n")
    return "".join(parts)


def _written_before(root: Path) -> set[str]:
    """Read the list of files that earlier calls wrote; a path that leads out of the directory is ignored."""
    try:
        listed = json.loads((root / KEPT_LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    names = {name for name in listed if isinstance(name, str)} if isinstance(listed, list) else set()
    return {name for name in names if _leads_inside(root, PurePosixPath(name))}


def _leads_inside(root: Path, path: PurePosixPath) -> bool:
    if path.is_absolute() or ".." in path.parts:
        return False
    return not any((root / parent).is_symlink() for parent in path.parents[:-1])


def _write(root: Path, path: str, file: RenderedFile, directories: set[Path]) -> None:
    """Write one file; the directories that its name, and that of a new directory, went into are still to be synced."""
    for directory in reversed([root / p for p in PurePosixPath(path).parents[:-1]]):
        if directory.is_symlink():
            raise HostError(f"{directory} is a symbolic link", hint="check where it leads, then remove it")
        if not directory.is_dir():
            directory.mkdir(mode=0o700)
            directories.add(directory.parent)
    durable.write_text(root / path, file.text, mode=file.mode, later=directories)


def _remove(root: Path, path: str) -> None:
    (root / path).unlink(missing_ok=True)
    for parent in (root / p for p in PurePosixPath(path).parents[:-1]):
        if not durable.remove_empty(parent):
            return


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _unified(path: str, old: str, new: str, *, made: bool) -> str:
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), "/dev/null" if made else f"a/{path}", f"b/{path}", lineterm=""
    )
    return "".join(f"{line}\n" for line in lines)


def _masked(old: str, new: str, names: frozenset[str]) -> tuple[str, str]:
    """Hide the values of secret lines; where one changes, the new line says so."""
    before = {match["name"]: match["value"] for match in map(_ASSIGNED.fullmatch, old.splitlines()) if match}

    def shown(text: str, *, compare: bool) -> str:
        lines = []
        for line in text.splitlines():
            match = _ASSIGNED.fullmatch(line)
            if match and match["name"] in names:
                changed = compare and before.get(match["name"], match["value"]) != match["value"]
                line = match["head"] + MASK + (" (changed)" if changed else "")
            lines.append(line)
        return "\n".join(lines)

    return shown(old, compare=False), shown(new, compare=True)
