"""The key pair of a cache: only the owner of the private half can log in to its boxes.

CACHE/ssh/box_key       ed25519, without a passphrase, readable by its owner alone

Vagrant publishes the private key that boxes of its catalog let in, so that anybody who reaches a machine of such a box
may enter it until the key is replaced. A box built here carries this cache's key instead: the public half in the
machine, the private half beside the image, where the box's own Vagrantfile names it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab.base import durable
from lab.base.errors import HostError
from lab.base.process import run
from lab.box import store

_LIMIT_S = 60.0


@dataclass(frozen=True)
class BoxKey:
    """A cache's key pair."""

    private: Path
    public: str
    """one line, as in authorized_keys"""

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` shows it: SHA256:…"""
        digest = hashlib.sha256(base64.b64decode(self.public.split()[1])).digest()
        return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def ensure_key(cache: Path) -> BoxKey:
    """Give the cache's key pair; make it if there is none, or none that is safe.

    A file that is damaged, or that others may read, is replaced: boxes of the old key are then out of date.

    Raises:
        HostError: the file is somebody else's, or ssh-keygen is not installed.
    """
    private = cache / "ssh" / "box_key"
    with store.lock(cache, "ssh-key"):
        public = _public_half(private)
        if public is None:
            _make(private)
            public = _public_half(private)
        if public is None:
            raise HostError(f"ssh-keygen made a key that it cannot read: {private}")
    return BoxKey(private, public)


def _public_half(private: Path) -> str | None:
    """Derive the public half; None where the file is absent or damaged, or its rights are too wide."""
    try:
        found = private.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077:
        return None
    if not os.access(private, os.R_OK):
        raise HostError(
            f"{private} belongs to another user, and the boxes beside it open to that key only",
            hint="become that user, or set LAB_CACHE to a directory of your own",
        )
    done = run(["ssh-keygen", "-y", "-P", "", "-f", private], timeout_s=_LIMIT_S, check=False)
    words = done.stdout.split()
    return " ".join(words[:2]) if done.ok and len(words) >= 2 else None


def _make(private: Path) -> None:
    """Make the file, its owner that of the cache: root builds boxes for users too."""
    owner = private.parent.parent.stat()
    private.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=private.parent, prefix=".new-") as directory:
        new = Path(directory) / "key"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "compute-lab", "-f", new], timeout_s=_LIMIT_S)
        durable.sync_file(new)
        for path in (private.parent, new):
            os.chown(path, owner.st_uid, owner.st_gid)
        new.replace(private)
    durable.sync_directory(private.parent)
