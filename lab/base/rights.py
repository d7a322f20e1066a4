"""Who owns what a user makes with sudo, and what `lab` says to a user who lacks the rights.

A lab of the private host, and every box, needs root; the checkout is the user's. So what root makes in a directory of
the user who called sudo is that user's when the verb ends: the build directory can be read, and removed, without sudo.
Nothing is given away that is not in such a directory.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shlex
import stat
import sys
from pathlib import Path

from lab.base.environment import sudo_words, which
from lab.base.errors import HostError, LabError, UsageError
from lab.base.surroundings import user_name

CALLED_AS = "LAB_CALLED_AS"
"""the variable that names the command by which a user reached this `lab`: ./lab-container"""
_PACKAGE = Path(__file__).resolve().parents[1]
_made: list[Path] = []


def caller() -> tuple[int, int] | None:
    """Give uid and gid of the user who called this by sudo; None where nobody did, or root itself."""
    words = (os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", ""))
    if os.geteuid() != 0 or not all(word.isdecimal() for word in words) or words[0] == "0":
        return None
    return int(words[0]), int(words[1])


def made(path: Path) -> None:
    """Remember a file or tree that this verb makes or changes: at its end it is the user's who called sudo."""
    if path.absolute() not in _made:
        _made.append(path.absolute())


def hand_over() -> None:
    """Give what was `made` to the user who called sudo, if there is one. What cannot be given stays root's."""
    user = caller()
    if user is None:
        return
    for path in (*_made, _PACKAGE / "__pycache__"):
        top = _top_of_roots(path, user[0])
        if top is None:
            continue
        for directory in reversed([p for p in path.parents if p == top or top in p.parents]):
            _give(directory.name, user, directory.parent)
        _give(path.name, user, path.parent)
        if path.is_dir() and not path.is_symlink():
            _give_tree(path, user)


def _top_of_roots(path: Path, uid: int) -> Path | None:
    """Give the path, or the first directory on the way to it that root owns inside a directory of the user."""
    top = path
    for directory in path.parents:
        try:
            found = directory.lstat()
        except OSError:
            return None
        if found.st_uid == uid:
            return top
        if found.st_uid != 0 or directory.name != ".lab":
            return None
        top = directory
    return None


def _give_tree(root: Path, user: tuple[int, int]) -> None:
    device = root.lstat().st_dev
    # By descriptors: the tree belongs to the user, who could meanwhile replace a directory by a link to elsewhere.
    for _, directories, files, place in os.fwalk(root, follow_symlinks=False):
        for name in (*directories, *files):
            _give(name, user, place, device)


def _give(name: str, user: tuple[int, int], place: Path | int, device: int | None = None) -> None:
    """Give one file of root's; never one that has another name elsewhere (a hard link), nor another file system."""
    with contextlib.suppress(OSError):
        descriptor = os.dup(place) if isinstance(place, int) else os.open(place, os.O_PATH | os.O_DIRECTORY)
        try:
            found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            only_here = stat.S_ISDIR(found.st_mode) or found.st_nlink == 1
            if found.st_uid == 0 and only_here and device in (None, found.st_dev):
                os.chown(name, *user, dir_fd=descriptor, follow_symlinks=False)
        finally:
            os.close(descriptor)


def same_with_sudo(user: str = "") -> str:
    """Write this very call with sudo (as root, or as a user), ready to paste."""
    if wrapped := os.environ.get(CALLED_AS):
        return shlex.join([wrapped, *sys.argv[1:]])
    # By its path: sudo has a PATH of its own.
    program = which(sys.argv[0]) or sys.argv[0] if _program() == Path(sys.argv[0]).name else _program()
    return shlex.join([*sudo_words(), *(["-u", user] if user else []), program, *sys.argv[1:]])


def as_called(commands: str, options: str = "") -> str:
    """Write `lab VERB` in command lines as this process was called, with these options: ready to paste."""
    words = ["sudo"] if caller() and not os.environ.get(CALLED_AS) else []
    program = shlex.join([*words, _program()])
    more = f" {options}" if options else ""
    return re.sub(r"(?<![\w./-])lab ((?:box )?[a-z]+)\b", lambda found: f"{program} {found[1]}{more}", commands)


def _program() -> str:
    """Give this program as a shell finds it: its name where PATH leads to it, else its path, relative if it can be."""
    if wrapped := os.environ.get(CALLED_AS):
        return wrapped
    program = Path(sys.argv[0])
    found = which(program.name)
    if found is not None and os.path.exists(program) and os.path.samefile(found, program):
        return program.name
    with contextlib.suppress(OSError, ValueError):
        return str(program.relative_to(Path.cwd()) if program.is_absolute() else program)
    return str(program)


def explained(error: OSError) -> LabError | None:
    """Say in a user's words what the system refused; None if it is a defect of the program, which must show."""
    if error.filename is not None and _PACKAGE in Path(os.fsdecode(error.filename)).absolute().parents:
        return None
    where = "" if error.filename is None else os.fsdecode(error.filename)
    what = (error.strerror or str(error)).lower()
    text = f"{where}: {what}" if where else what
    if error.errno in (errno.EACCES, errno.EPERM):
        return _denied(Path(where), text) if where else HostError(text, hint=f"run: {same_with_sudo()}")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "free some, then run the same command again: `lab doctor` shows how much there is, and where"
        return HostError(f"the disk is full{f' ({where})' if where else ''}", hint=hint)
    if error.errno == errno.ENOENT:
        return _absent(where, text)
    if error.errno in _CALLS_FAULT:
        return UsageError(text, hint="name another place")
    if error.errno in _HOSTS_FAULT:
        return HostError(text, hint=_HOSTS_FAULT[error.errno])
    return None


_CALLS_FAULT = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTEMPTY)
_HOSTS_FAULT = {
    errno.EROFS: "name another place: this file system is mounted read-only",
    errno.EIO: "the disk or its file system is damaged: the kernel's log (dmesg) says more",
    errno.ESTALE: "the file server does not have it any more: mount that file system again",
    errno.EMFILE: "raise the limit (`ulimit -n 4096`), then run the same command again",
    errno.ENFILE: "too many files are open on this machine",
    errno.ENOMEM: "this machine has no memory left: `lab doctor` shows how much there is",
    errno.EAGAIN: "no further process or thread can be started (`ulimit -u`)",
}


def _absent(where: str, text: str) -> LabError:
    if not where:
        try:
            Path.cwd()
        except FileNotFoundError:
            return UsageError("the current directory does not exist any more", hint="cd to one that does")
        return HostError(text)
    parent = Path(where).absolute().parent
    hint = f"run: {shlex.join(['mkdir', '-p', str(parent)])}" if not os.path.isdir(parent) else "name another place"
    return UsageError(text, hint=hint)


def _denied(path: Path, text: str) -> HostError:
    """Name the owner of what was refused, and what to do."""
    closed = next((place for place in (*reversed(path.absolute().parents), path.absolute()) if _is_closed(place)), path)
    try:
        owner = closed.lstat().st_uid
    except OSError:  # it is to be made in a directory that others own
        closed = path.absolute().parent
        owner = os.stat(closed).st_uid if os.path.exists(closed) else 0
    if os.geteuid() == 0:
        return HostError(text, hint="not even root may do this: name another place")
    if owner == os.geteuid():
        return HostError(text, hint=f"it is yours: {shlex.join(['chmod', 'u+rwX', str(closed)])}")
    run = same_with_sudo("" if owner == 0 else user_name(owner))
    return HostError(f"{text} ({closed} belongs to {user_name(owner)})", hint=f"run: {run}")


def _is_closed(place: Path) -> bool:
    mode = os.R_OK | os.X_OK if os.path.isdir(place) else os.R_OK
    return os.path.lexists(place) and not os.access(place, mode)
