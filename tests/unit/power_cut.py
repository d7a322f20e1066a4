"""A power cut at every moment of what a program writes: what the disk would hold, in the two ways that are worst.

`lost`: nothing that was not synced has arrived: not a file's content, not a name in a directory.
`names only`: all names have arrived, and of the contents only what was synced: the empty file after a rename.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pytest

Tree = dict[str, "bytes | None"]
"""relative path -> content; None: a directory"""


@dataclass(frozen=True)
class Moment:
    """What the disk may hold if the power goes now."""

    before: str
    """the call that comes next"""
    lost: Tree
    names_only: Tree


@dataclass
class Disk:
    """Below `root`, what was synced so far, and the moments that were."""

    root: Path
    moments: list[Moment] = field(default_factory=list)
    _contents: dict[int, bytes] = field(default_factory=dict)
    _names: dict[int, dict[str, int]] = field(default_factory=dict)
    _held: list[int] = field(default_factory=list)
    """open files of all inodes that were synced, so that none of their numbers is given to another file"""

    def settle(self) -> None:
        """Take all that is there for synced: the state before the writer came."""
        for path in [self.root, *self.root.rglob("*")]:
            if not path.is_symlink():
                descriptor = os.open(path, os.O_RDONLY)
                self.synced(descriptor)
                os.close(descriptor)

    def synced(self, descriptor: int) -> None:
        """Note an fsync."""
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        found = os.fstat(descriptor)
        if not path.is_relative_to(self.root):
            return
        self._held.append(os.dup(descriptor))
        if stat.S_ISDIR(found.st_mode):
            self._names[found.st_ino] = {each.name: each.lstat().st_ino for each in path.iterdir()}
            self._note_directories(path)
        else:
            self._contents[found.st_ino] = path.read_bytes()

    def note(self, before: str) -> None:
        """Note what the disk may hold now."""
        lost: Tree = {}
        self._walk(self.root.stat().st_ino, "", lost)
        names_only: Tree = {
            str(path.relative_to(self.root)): None if path.is_dir() else self._contents.get(path.stat().st_ino, b"")
            for path in self.root.rglob("*")
        }
        self.moments.append(Moment(before, lost, names_only))

    def release(self) -> None:
        for descriptor in self._held:
            os.close(descriptor)

    def _note_directories(self, directory: Path) -> None:
        for path in directory.iterdir():
            if path.is_dir() and not path.is_symlink():
                self._names.setdefault(path.stat().st_ino, {})

    def _walk(self, inode: int, prefix: str, tree: Tree) -> None:
        for name, each in self._names.get(inode, {}).items():
            path = f"{prefix}{name}"
            if each in self._names:
                tree[path] = None
                self._walk(each, f"{path}/", tree)
            else:
                tree[path] = self._contents.get(each, b"")


@contextlib.contextmanager
def recorded(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """Note, for what is written below `root` in this block, a moment before each call that changes names or syncs."""
    disk = Disk(root)
    disk.settle()
    with monkeypatch.context() as patched:
        for name in ("replace", "rename", "unlink", "link", "mkdir", "rmdir", "fsync"):
            patched.setattr(os, name, _noted(disk, name, getattr(os, name)))
        yield disk
        disk.note("the end")
    disk.release()


def _noted(disk: Disk, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **rest: Any) -> Any:
        disk.note(f"{name}{args}")
        result = real(*args, **rest)
        if name == "fsync":
            disk.synced(args[0])
        return result

    return call


def laid_out(tree: Mapping[str, bytes | None], place: Path) -> Path:
    """Make a directory that holds a tree."""
    place.mkdir(parents=True)
    for name, content in sorted(tree.items()):
        if content is None:
            (place / name).mkdir(parents=True, exist_ok=True)
        else:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(content)
            (place / name).chmod(0o600)
    return place


def after_each(disk: Disk, work: Path) -> Iterator[tuple[str, Path]]:
    """Lay out what the disk may hold after each moment, once for each different content; with what tells it."""
    seen: list[Tree] = []
    for number, moment in enumerate(disk.moments):
        for kind, tree in (("lost", moment.lost), ("names only", moment.names_only)):
            if tree not in seen:
                seen.append(tree)
                yield f"{kind}, before {moment.before}", laid_out(tree, work / f"{number}-{kind.replace(' ', '-')}")


def at_the_end(disk: Disk, work: Path) -> Path:
    """Lay out the least that the disk holds once the writer has returned."""
    return laid_out(disk.moments[-1].lost, work / "end")
