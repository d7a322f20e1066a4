"""Write rendered files to a build directory, or show what writing them would change.

No file is ever readable by others, not even for a moment, and none is ever half written: each is made under another
name with its final mode, then renamed. Of the files that an earlier call wrote, those that are no longer rendered are
removed; files of other origin (seed, logs, .vagrant) are never touched.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from lab.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.generator.render import RenderedFile

KEPT_LIST = ".rendered.json"
_MASK = "********"


def write_tree(root: Path, files: Mapping[str, RenderedFile]) -> None:
    """Make the directory hold exactly these rendered files.

    Raises:
        HostError: the directory cannot be written.
    """
    try:
        for path in sorted(_written_before(root) - set(files)):
            _remove(root, path)
        # The list is written first: what a broken run leaves behind is still known to the next.
        _write(root, KEPT_LIST, json.dumps(sorted(files), indent=1) + "\n", 0o600)
        for path, file in files.items():
            _write(root, path, file.text, file.mode)
    except OSError as error:
        raise HostError(f"cannot write the build directory {root}: {error}") from error


def remove_tree(root: Path) -> None:
    """Remove the files that write_tree made, and the directories that they leave empty; others stay."""
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
    """Read the list of files that earlier calls wrote; a path that leads out of the directory is not believed."""
    try:
        listed = json.loads((root / KEPT_LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    names = {name for name in listed if isinstance(name, str)} if isinstance(listed, list) else set()
    return {name for name in names if not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts}


def _write(root: Path, path: str, text: str, mode: int) -> None:
    target = root / path
    for directory in [root, *reversed([root / p for p in PurePosixPath(path).parents[:-1]])]:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_text(target, text, mode=mode)


def write_text(target: Path, text: str, *, mode: int) -> None:
    """Replace one file as a whole: at any moment it holds the old text or the new one, with the final mode.

    Raises:
        OSError: as of any write.
    """
    data = text.encode()
    with contextlib.suppress(OSError):
        if target.is_file() and not target.is_symlink() and target.read_bytes() == data:
            target.chmod(mode)
            return
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _remove(root: Path, path: str) -> None:
    (root / path).unlink(missing_ok=True)
    for parent in (root / p for p in PurePosixPath(path).parents[:-1]):
        try:
            parent.rmdir()
        except OSError:  # it holds something else, or is gone
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
    before = dict(line.partition("=")[::2] for line in old.splitlines())

    def shown(text: str, *, compare: bool) -> str:
        lines = []
        for line in text.splitlines():
            name, _, value = line.partition("=")
            if name in names:
                changed = compare and name in before and before[name] != value
                line = f"{name}={_MASK}" + (" (changed)" if changed else "")
            lines.append(line)
        return "\n".join(lines)

    return shown(old, compare=False), shown(new, compare=True)
