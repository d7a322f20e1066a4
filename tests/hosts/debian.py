"""Minimal Debian systems: what a fresh installation has, and git and make, for which the README asks."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from hosts.calls import Calls, environment
from hosts.enclosure import Enclosure
from hosts.place import UP_LIMIT_S
from lab.box.sources import host_distribution
from lab.box.store import cache_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hosts.place import Place

CHECKOUT = Path(__file__).parents[2]
SUITES = {"debian12-minimal": "bookworm", "debian13-minimal": "trixie"}
README_ASKS_FOR = ("git", "make", "python3", "sudo")
_TRUSTED = Path("/usr/local/share/ca-certificates")
_PIP = Path("/etc/pip.conf")
_HOME = "/root/openstack-compute-lab"


def base(suite: str, cache: Path, calls: Calls) -> Path:
    """Give the archive of a minimal system, made where it is missing. It trusts whom this machine trusts."""
    archive = cache / f"{suite}.tar"
    if not archive.exists():
        hooks = [
            f"--customize-hook=copy-in {_TRUSTED} {_TRUSTED.parent}",
            '--customize-hook=chroot "$1" update-ca-certificates',
        ]
        if _PIP.exists():
            hooks.append(f"--customize-hook=copy-in {_PIP} /etc")
        partial = cache / f"{suite}.partial.tar"
        packages = ",".join((*README_ASKS_FOR, "ca-certificates"))
        argv = ["mmdebstrap", "--variant=minbase", f"--include={packages}", *hooks, suite, str(partial)]
        calls.run("mmdebstrap", argv, limit_s=900)
        partial.rename(archive)
    return archive


def boxes_of(suite: str, cache: Path) -> Path:
    """Give the cache of boxes that a system of this suite has made: boxes of other tools are built again there."""
    return cache_directory() if suite == host_distribution().suite else cache / f"boxes-of-{suite}"


def copy_boxes(source: Path, target: Path, release: str, *, link: bool = True) -> None:
    """Copy the boxes of a release from one cache to another, with their key; as links where that can be."""
    for place in (*source.glob(f"boxes/*-{release}-*"), source / "ssh"):
        if place.exists():
            copied = target / place.relative_to(source)
            shutil.rmtree(copied, ignore_errors=True)
            shutil.copytree(place, copied, symlinks=True, copy_function=_link if link else shutil.copy2)


def keep_boxes(made: Path, suite: str, cache: Path, release: str) -> None:
    """Keep what a system of this suite has built, for the next time; never in this machine's own cache."""
    if (kept := boxes_of(suite, cache)) != cache_directory():
        copy_boxes(made, kept, release, link=False)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def clone(target: Path) -> None:
    """Clone this checkout's last commit."""
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(CHECKOUT), str(target)], check=True)


class MinimalDebian:
    """A minimal system in namespaces of its own, with the boxes that such a system has made before."""

    mode = "private"

    def __init__(self, suite: str, work: Path, cache: Path, release: str, *, boxes: bool = True) -> None:
        self._suite, self._cache, self._release, self._shares = suite, cache, release, boxes
        self._root = work / "root"
        self.directory = self._root / _HOME.lstrip("/")
        self._boxes = self._root / "root/.cache/openstack-compute-lab"
        self._enclosure: Enclosure | None = None

    def open(self, calls: Calls) -> None:
        """Unpack it, clone the project, and enter."""
        archive = base(self._suite, self._cache, calls)
        self._root.mkdir()
        calls.run("unpack", ["tar", "--extract", f"--file={archive}", f"--directory={self._root}", "--numeric-owner"])
        shutil.copy("/etc/resolv.conf", self._root / "etc/resolv.conf")
        clone(self.directory)
        if self._shares:
            copy_boxes(boxes_of(self._suite, self._cache), self._boxes, self._release)
        self._enclosure = Enclosure("enter_root.sh", [str(self._root)])
        self._enclosure.open()

    def up(self, calls: Calls, to: str | None) -> str:
        """`make lab-up`, whose doctor installs what is missing."""
        return self._run(calls, "make lab-up", ["make", "lab-up", f"TO={to or ''}"], limit_s=UP_LIMIT_S)

    def lab(self, calls: Calls, words: Sequence[str]) -> str:
        """Run the checkout's own `lab`."""
        return self._run(calls, f"lab {words[0]}", [".venv/bin/lab", *words])

    def left(self, calls: Calls) -> list[str]:
        """Look for processes, namespaces and the lab's state."""
        assert self._enclosure is not None
        found = [f"process {line}" for line in self._enclosure.processes()]
        script = "ls -d /run/netns/* /var/lib/compute-lab/* 2>/dev/null || true"
        return found + self._run(calls, "look", ["sh", "-c", script]).split()

    def close(self, calls: Calls) -> None:
        """End it; its files go with the working directory, but boxes that were built are kept, also after a failure."""
        keep_boxes(self._boxes, self._suite, self._cache, self._release)
        if self._enclosure is not None:
            self._enclosure.close()

    def _run(self, calls: Calls, name: str, argv: Sequence[str], *, limit_s: float = 900) -> str:
        assert self._enclosure is not None
        path = "/usr/local/bin:/usr/bin:/bin"  # a user's: without sbin
        command = self._enclosure.command(argv, _HOME)
        return calls.run(name.replace(" ", "-"), command, limit_s=limit_s, env=environment({"PATH": path}))


def minimal(host: str, work: Path, cache: Path, release: str, *, boxes: bool = True) -> Place:
    """Make the place of a name."""
    return MinimalDebian(SUITES[host], work, cache, release, boxes=boxes)
