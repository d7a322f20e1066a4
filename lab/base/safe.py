"""Checks that nobody else can change a place, before this process writes there or trusts what is there.

Trusted are root, the user of this process, and the one who called sudo: everybody runs `sudo lab up` in a checkout of
their own. Of every directory on the way to a place, and of every symbolic link that leads there, the owner must be
trusted, and no one else may have write permission, unless the sticky bit keeps them from renaming what is not theirs
(/tmp). A group of which only its owner is a member, as Debian and Fedora make one for each user, is not "others".
Whoever could write into such a directory could put a link where root writes, or a seed or ssh_config that root uses.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from pathlib import Path

from lab.base import durable
from lab.base.errors import HostError

_MOST_LINKS = 40
"""as the kernel, path_resolution(7)"""


def trusted() -> frozenset[int]:
    """Give the users whose files are as good as ours."""
    caller = os.environ.get("SUDO_UID", "")
    sudo = {int(caller)} if os.geteuid() == 0 and caller.isdecimal() else set()
    return frozenset({0, os.getuid(), os.geteuid(), *sudo})


def make(path: Path, *, mode: int = 0o700) -> Path:
    """Make a directory if it is missing, and check that nobody else can change it; gives its path without links.

    Parents that are missing are made too, with 0755.

    Raises:
        HostError: others can reach into it, or it is no directory; with what to do.
        OSError: it cannot be made.
    """
    place = require(path)
    for directory in reversed([place, *place.parents]):
        if not directory.exists():
            durable.make_directory(directory, mode=mode if directory == place else 0o755)
    return require(place)


def require(path: Path) -> Path:
    """Refuse a place that others can change; one that does not exist yet is accepted. Gives its path without links.

    Raises:
        HostError: with who owns what, and what to do.
    """
    left = list(reversed(path.absolute().parts[1:]))
    place, links = Path("/"), 0
    _require_directory(place, path, last=not left)
    while left:
        following = place / left.pop()
        if following.name == "..":  # it leads to the parent of where a link before it leads
            place = place.parent
            continue
        try:
            found = following.lstat()
        except FileNotFoundError:
            return following.joinpath(*reversed(left))
        except NotADirectoryError:
            raise HostError(f"{place} is not a directory", hint="name another place") from None
        if stat.S_ISLNK(found.st_mode):
            links += 1
            target = _link_target(following, found, path, links)
            left += reversed([part for part in target.parts if part != "/"])
            place = Path("/") if target.is_absolute() else place
        else:
            _require_directory(following, path, last=not left)
            place = following
    return place


def open_file(path: str | Path, flags: int, mode: int = 0o600) -> int:
    """Open a file in a place of ours, as os.open; also the `opener` of open(). A symbolic link is not followed.

    Raises:
        HostError: it is a link, or somebody else's, or no plain file.
    """
    try:
        kept = flags & ~os.O_TRUNC  # nothing is lost of what turns out not to be ours
        descriptor = os.open(path, kept | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, mode)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):  # ENXIO: a FIFO that nobody reads, a socket
            raise
        raise HostError(f"{path} is not a plain file", hint="check where it leads, then remove it") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise HostError(f"{path} is not a plain file", hint="check what it is, then remove it")
        if found.st_uid not in trusted():
            raise HostError(
                f"{path} belongs to {_user(found.st_uid)}: its content cannot be trusted",
                hint="check who put it there, then remove it",
            )
        os.set_blocking(descriptor, True)
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def private_opener(path: str, flags: int) -> int:
    """Open as `open_file`, a new file with 0600: the `opener` of open()."""
    return open_file(path, flags)


def _link_target(link: Path, found: os.stat_result, asked: Path, links: int) -> Path:
    if found.st_uid not in trusted():
        raise HostError(
            f"{link}, on the way to {asked}, is a symbolic link of {_user(found.st_uid)}",
            hint="name the directory that it leads to, or another place",
        )
    if links > _MOST_LINKS:
        raise HostError(f"{asked} leads through more than {_MOST_LINKS} symbolic links")
    return Path(os.readlink(link))


def _require_directory(directory: Path, asked: Path, *, last: bool) -> None:
    found = directory.lstat()
    where = str(directory) if last else f"{directory}, on the way to {asked},"
    if not stat.S_ISDIR(found.st_mode):
        raise HostError(f"{where} is not a directory", hint="name another place, or move it away")
    if found.st_uid not in trusted() and not _is_unmapped(found.st_uid):
        raise HostError(
            f"{where} belongs to {_user(found.st_uid)}, who could change what is put there",
            hint=f"run this with sudo as {_user(found.st_uid)}, or name a place of your own",
        )
    sticky = found.st_mode & stat.S_ISVTX and not last
    if found.st_mode & 0o002 and not sticky:
        raise HostError(f"{where} can be written by everybody", hint=f"chmod o-w {directory}, or name another place")
    if found.st_mode & 0o020 and not sticky and not _is_private_group(found.st_uid, found.st_gid):
        raise HostError(
            f"{where} can be written by the group {_group(found.st_gid)}",
            hint=f"chmod g-w {directory}, or name another place",
        )


def _is_private_group(uid: int, gid: int) -> bool:
    """Tell whether a group has no other member than this user: it has the user's name, and nobody else is in it."""
    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(uid)
    except KeyError:
        return False
    return (group.gr_name == user.pw_name or gid == user.pw_gid == 0) and set(group.gr_mem) <= {user.pw_name}


def _is_unmapped(uid: int) -> bool:
    """Tell whether this is what a container with users of its own shows for all users of the machine outside."""
    whole_range = Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]
    return not whole_range and uid == int(Path("/proc/sys/kernel/overflowuid").read_text())


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
