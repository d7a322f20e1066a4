"""Makes `lab` independent of the caller's text encoding and umask, and tells who the caller is."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import pwd
import sys
import unicodedata
from pathlib import Path

from lab.base.errors import HostError

_SPELLING = "lab.spelling"
_ASCII = {"→": "->", "—": "-", "–": "-", "×": "x", "·": "*", "‘": "'", "’": "'"}
_UMASK = 0o022
_users_umask = _UMASK


def set_up() -> None:
    """Make this process the same everywhere; called once, before anything is read or printed.

    Files and file names are UTF-8, also in a locale that has another encoding; what the terminal cannot show is spelled
    out. New files can be written by their owner and read by all, unless the code asks for another mode: with umask 0
    anybody could write into the cache, with 077 the boxes' daemons could not read their files.
    """
    global _users_umask
    if not sys.flags.utf8_mode and sys.getfilesystemencoding().lower() != "utf-8":
        os.environ.setdefault("PYTHONIOENCODING", sys.stdout.encoding)
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.argv])
    register_spelling()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_SPELLING)
    _users_umask = os.umask(_UMASK)


def register_spelling() -> None:
    """Teach Python's codecs to spell out what an encoding does not have."""
    codecs.register_error(_SPELLING, _spelled)


def users_mode() -> int:
    """Give the mode that the user's own umask gives to a file that the user will edit."""
    return 0o666 & ~_users_umask


def home() -> Path:
    """Give the user's home directory: HOME, else the passwd entry's.

    Raises:
        HostError: there is neither, as in a container that runs as a bare number.
    """
    named = os.environ.get("HOME")
    if named:
        return Path(named).absolute()
    with contextlib.suppress(KeyError):
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    raise HostError(f"user {os.geteuid()} has no home directory", hint="set HOME to a directory that belongs to you")


def user_name(uid: int | None = None) -> str:
    """Name a user (by default the one that this process is); the number, where there is no such entry in passwd."""
    number = os.geteuid() if uid is None else uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """Spell in ASCII what an encoding does not have: an arrow as ->, the lines of a table as - and |, é as e."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_in_ascii(character) for character in error.object[error.start : error.end]), error.end


def _in_ascii(character: str) -> str:
    if character in _ASCII:
        return _ASCII[character]
    if "\u2500" <= character <= "\u257f":  # Unicode's box drawing
        words = unicodedata.name(character).split()
        return "-" if words[-1] == "HORIZONTAL" else "|" if words[-1] == "VERTICAL" else "+"
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return plain or "?"
