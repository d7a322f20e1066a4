"""What a program that `lab` starts sees of the caller's environment: the one place that decides it.

Language, PATH, umask and temporary directory are the user's choice. They must not change what a tool does or says,
because programs read its output. Variables that say where something is (HOME, LAB_CACHE, VAGRANT_HOME) or how to reach
it (a proxy) are passed on.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy")
"""apt and curl read these in small letters only; many users set HTTP_PROXY"""

HANDED_TO_SUDO = ("LAB_CACHE", "LAB_HOST", "VAGRANT_HOME", *PROXIES, *(name.upper() for name in PROXIES))
"""variables that sudo would drop, and that a verb needs as root; the Makefile has the same list"""

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def search_path(path: str | None = None) -> str:
    """Give PATH (by default that of this process) with the directories of sbin at its end, if it lacks them.

    The PATH of a user, of `su` and of cron has no sbin; mke2fs, sfdisk, chroot, dnsmasq and libvirtd are there. Empty
    entries, which mean the current directory, are dropped.
    """
    given = os.environ.get("PATH", "") if path is None else path
    own = [directory for directory in (given or os.defpath).split(os.pathsep) if directory]
    return os.pathsep.join([*own, *(directory for directory in _SBIN if directory not in own)])


def which(program: str) -> str | None:
    """Find a program on the PATH that `tool_environment` gives."""
    return shutil.which(program, path=search_path())


def tool_environment(extra: Mapping[str, str] | None = None, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give the environment of a program: the caller's (or `base`), with what must be the same everywhere, and `extra`.

    LANGUAGE must be removed, not only overruled: gettext prefers it to LC_ALL in every locale but C itself.
    """
    own = dict(os.environ if base is None else base)
    for name in ("LANGUAGE", "PYTHONIOENCODING"):
        own.pop(name, None)
    own |= {"LC_ALL": "C.UTF-8", "PATH": search_path(own.get("PATH", ""))}
    for name in PROXIES:
        if name not in own and name.upper() in own:
            own[name] = own[name.upper()]
    if (temporary := own.get("TMPDIR")) is not None and not os.access(temporary, os.W_OK | os.X_OK):
        del own["TMPDIR"]
    return own | dict(extra or {})


def sudo_words(environ: Mapping[str, str] | None = None) -> list[str]:
    """Write `sudo` with the variables that the command needs; their values do not appear in the process list."""
    own = os.environ if environ is None else environ
    names = [name for name in HANDED_TO_SUDO if own.get(name)]
    return ["sudo", *([f"--preserve-env={','.join(names)}"] if names else [])]
