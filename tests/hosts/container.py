"""Any Linux: the container of ./lab-container, for a user who calls it with sudo."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from hosts.calls import Calls, HostProofError, environment
from hosts.debian import base, boxes_of, clone, copy_boxes, keep_boxes
from hosts.place import UP_LIMIT_S, up_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

USER = 4244
CONFIGURATION = """\
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[network]
network_backend = "netavark"
"""
"""for a machine without systemd, itself a container perhaps: limits that nobody may raise there"""
STORAGE = '[storage]\ndriver = "overlay"\ngraphroot = "{graph}"\nrunroot = "{run}"\n'
SUITE = "trixie"
FROM = f"docker.io/library/debian:{SUITE}"
"""of the Containerfile"""


class Container:
    """podman with a storage of the test's own, since no registry of images is asked: the base is made here."""

    mode = "private"

    def __init__(self, work: Path, cache: Path, release: str) -> None:
        self._cache, self._release = cache, release
        self._home = work / "home"
        self.directory = self._home / "openstack-compute-lab"
        self._boxes = self._home / ".cache" / "openstack-compute-lab"
        self._settings = work / "settings"
        self._links = ""

    def open(self, calls: Calls) -> None:
        """Import the base image, and clone the project for a user, with the boxes that this machine has."""
        self._home.mkdir()
        self._home.parent.chmod(0o711)  # as the parent of a home is
        self._settings.mkdir()
        (self._settings / "containers.conf").write_text(CONFIGURATION)
        (self._settings / "storage.conf").write_text(
            STORAGE.format(graph=self._cache / "podman", run=self._settings / "run")
        )
        archive = base(SUITE, self._cache, calls)
        if not self._podman(calls, "images", ["images", "--quiet", FROM]):
            self._podman(calls, "import", ["import", "--quiet", str(archive), FROM])
        clone(self.directory)
        self._boxes.mkdir(parents=True)
        copy_boxes(boxes_of(SUITE, self._cache), self._boxes, self._release, link=False)  # their owner is to change
        for path in (self._home, *self._home.rglob("*")):
            os.chown(path, USER, USER, follow_symlinks=False)
        self._links = _links()

    def up(self, calls: Calls, to: str | None) -> str:
        """./lab-container up, which builds the image."""
        said = self._lab(calls, up_words(to), limit_s=UP_LIMIT_S)
        if (now := _links()) != self._links:
            raise HostProofError(f"network interfaces of the lab are outside its container:\n{now}")
        return said

    def lab(self, calls: Calls, words: Sequence[str]) -> str:
        """./lab-container VERB."""
        return self._lab(calls, words)

    def left(self, calls: Calls) -> list[str]:
        """Look for containers, for files that are not the user's, and for the lab's disks."""
        left = [f"container {name}" for name in self._containers(calls)]
        left += [f"not the user's: {path}" for path in self._home.rglob("*") if path.lstat().st_uid != USER]
        return left + [f"state: {path}" for path in (self.directory / ".lab/.machines").glob("*")]

    def close(self, calls: Calls) -> None:
        """Remove the container, with all that runs in it; boxes and images stay in the cache, after a failure too."""
        keep_boxes(self._boxes, SUITE, self._cache, self._release)
        for name in self._containers(calls):
            self._podman(calls, "rm", ["rm", "--force", name])

    def _lab(self, calls: Calls, words: Sequence[str], *, limit_s: float = 900) -> str:
        env = {"HOME": str(self._home), "SUDO_UID": str(USER), "SUDO_GID": str(USER), "LAB_CACHE": str(self._boxes)}
        argv = ["./lab-container", *words]
        return calls.run(f"lab-{words[0]}", argv, limit_s=limit_s, env=self._environment(env), cwd=self.directory)

    def _containers(self, calls: Calls) -> list[str]:
        return self._podman(calls, "ps", ["ps", "--all", "--format", "{{.Names}}"]).split()

    def _podman(self, calls: Calls, name: str, words: Sequence[str]) -> str:
        return calls.run(name, ["podman", "--log-level=error", *words], env=self._environment({}))

    def _environment(self, extra: dict[str, str]) -> dict[str, str]:
        own = {"CONTAINERS_CONF": str(self._settings / "containers.conf")}
        own["CONTAINERS_STORAGE_CONF"] = str(self._settings / "storage.conf")
        return environment({**own, "LAB_ENGINE": "podman", **extra})


def _links() -> str:
    return subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True, check=True).stdout
