"""The one writer of files that must be there, and complete, after a power cut.

If the machine stops, what write(2) and rename(2) did may be lost, or lost in part: a renamed file may come back empty,
a new one may be missing, a removed one may exist again. So the content goes to the disk before the rename, and the
directory after it (fsync(2): "calling fsync() does not necessarily ensure that the entry in the directory … has also
reached disk").
Temporary files are named .NAME.XXXXXXXX.tmp, by mkstemp, in the directory of their target.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path

TEMPORARY = ".*.tmp"
"""pattern of the temporary files that an interrupted write leaves"""


def write_text(target: Path, text: str, *, mode: int, like: Path | None = None, later: set[Path] | None = None) -> None:
    """Replace one file by a text, as `write_bytes` does by bytes."""
    write_bytes(target, text.encode(), mode=mode, like=like, later=later)


def write_bytes(
    target: Path, data: bytes, *, mode: int, like: Path | None = None, later: set[Path] | None = None
) -> None:
    """Replace one file in one step: at any moment it holds the old content or the new one, with the final mode.

    A file that holds this content already is not written. With `like` the new file gets that one's owner. With `later`
    the directory is not synced but added to that set: a caller that writes many files syncs each directory once.

    Raises:
        OSError: as of any write.
    """
    with contextlib.suppress(OSError):
        if target.is_file() and not target.is_symlink() and target.read_bytes() == data:
            if target.stat().st_mode & 0o7777 != mode:
                target.chmod(mode)
            return
    new = _temporary(target)
    try:
        new.write_bytes(data)
        if like is not None:
            _give_to_owner_of(like, new)
        sync_file(new, mode)
        new.replace(target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    if later is None:
        sync_directory(target.parent)
    else:
        later.add(target.parent)


def create(target: Path, data: bytes, *, mode: int) -> bool:
    """Make a file with this content; False if there is one of that name already, which then stays as it is."""
    new = _temporary(target)
    try:
        new.write_bytes(data)
        sync_file(new, mode)
        os.link(new, target)
    except FileExistsError:
        return False
    finally:
        new.unlink(missing_ok=True)
    sync_directory(target.parent)
    return True


def rename_tree(source: Path, target: Path) -> Path:
    """Give a directory its final name, once all that is in it has reached the disk; gives that name.

    Raises:
        OSError: as of any write; the directory then has its old name.
    """
    for directory, _, names in os.walk(source):
        for name in names:
            if not os.path.islink(path := os.path.join(directory, name)):
                sync_file(Path(path))
        sync_directory(Path(directory))
    source.rename(target)
    sync_directory(target.parent)
    return target


def unlink(path: Path) -> None:
    """Remove a file so that it does not come back after a power cut; no error if there is none."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    sync_directory(path.parent)


def remove_empty(directory: Path) -> bool:
    """Remove a directory that holds nothing; one with something in it, or that is somebody's mount point, stays."""
    try:
        directory.rmdir()
    except OSError:
        return False
    return True


def make_directory(path: Path, *, mode: int = 0o700) -> None:
    """Make a directory whose parent exists; no error if it exists."""
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        return
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Write the names in a directory to the disk, on file systems that can do that."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # some network file systems
            raise
    finally:
        os.close(descriptor)


def sweep(directory: Path) -> None:
    """Remove the temporary files of interrupted writes; no process may be writing there now."""
    for leftover in directory.glob(TEMPORARY):
        if leftover.is_file() and not leftover.is_symlink():
            leftover.unlink(missing_ok=True)


def _temporary(target: Path) -> Path:
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")  # 0600
    os.close(descriptor)
    return Path(name)


def sync_file(path: Path, mode: int | None = None) -> None:
    """Write a file's content, and its mode if one is given, to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if mode is not None:
            os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _give_to_owner_of(like: Path, new: Path) -> None:
    found = like.stat()
    with contextlib.suppress(PermissionError):  # not root, and a group that we are not in
        os.chown(new, found.st_uid if os.geteuid() == 0 else -1, found.st_gid)
