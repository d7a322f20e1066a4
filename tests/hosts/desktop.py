"""A desktop: a libvirtd at the standard socket, with other people's machines, and a user who is not root."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hosts import foreign
from hosts.calls import Calls, environment
from hosts.debian import CHECKOUT, copy_boxes
from hosts.enclosure import Enclosure
from hosts.place import UP_LIMIT_S, up_words
from hosts.story import require, small_spec
from lab.base import durable
from lab.box.store import cache_directory
from lab.host.capacity import host_facts
from lab.host.records import STATE_ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

LAB = ["env", "PYTHONPATH=/mnt", "PYTHONDONTWRITEBYTECODE=1", "/mnt/.venv/bin/python", "-c"]
LAB += ["import sys; sys.argv[0] = 'lab'; from lab.cli.main import main; main()"]
"""this checkout's, by the path that the enclosure shows to every user"""
USER_ID = 4243
"""of desk, in enter_desktop.sh"""
FIRST_STEP = "10-environment"
USER = ["setpriv", "--reuid=desk", "--regid=desk", "--init-groups", "env", "HOME=/home/desk"]


class Desktop:
    """This machine's programs with a libvirt of the desktop's own."""

    mode = "system"

    def __init__(self, work: Path, release: str) -> None:
        self._release = release
        self._state = work / "state"
        self.directory = work / "root"
        self._enclosure = Enclosure("enter_desktop.sh", [str(self._state), str(CHECKOUT), *_kept()], network=True)
        self._before: dict[str, str] = {}
        self._new = not STATE_ROOT.exists()

    def open(self, calls: Calls) -> None:
        """Start libvirtd, and make other people's things."""
        self._state.mkdir()
        self.directory.mkdir()
        # Inside there is no network: what comes from a mirror is made before.
        host_facts("auto")
        self._build_boxes(calls)
        STATE_ROOT.mkdir(exist_ok=True)  # the enclosure mounts a directory of its own there
        self._enclosure.open()
        self._shell(calls, "foreign", foreign.script())
        self._before = foreign.snapshot(lambda command: self._shell(calls, "before", command))

    def up(self, calls: Calls, to: str | None) -> str:
        """As a user, to the first step; then as root."""
        self._as_user_goes(calls, (self.directory / "lab.yaml").read_text())
        return self._lab(calls, up_words(to), limit_s=UP_LIMIT_S)

    def lab(self, calls: Calls, words: Sequence[str]) -> str:
        """Run this checkout's `lab` as root."""
        return self._lab(calls, words)

    def left(self, calls: Calls) -> list[str]:
        """Compare all that is other people's, and all that a lab could leave, with what was before."""
        after = foreign.snapshot(lambda command: self._shell(calls, "after", command))
        return foreign.differences(self._before, after)

    def _as_user_goes(self, calls: Calls, spec: str) -> None:
        """See how far a user without root gets: to the boxes, and with boxes that somebody built, all the way."""
        home = self._state / "home" / "desk"
        cache = home / ".cache" / "openstack-compute-lab"
        (home / "lab.yaml").write_text(spec)
        shutil.copytree(cache_directory() / "guests", cache / "guests", symlinks=True)
        self._give(home)
        self._as_user(calls, ["check"])
        said = self._as_user(calls, ["up"], code=3)
        require("sudo LAB_CACHE=" in said, f"`lab up` does not tell the user the way on:\n{said[-500:]}")
        self._require_as_before(calls)
        copy_boxes(cache_directory(), cache, self._release, link=False)
        self._give(home)
        self._as_user(calls, ["up", "--to", FIRST_STEP], limit_s=3600)
        self._as_user(calls, ["status"])
        self._as_user(calls, ["down"])
        self._require_as_before(calls)

    def _give(self, home: Path) -> None:
        """Let the user have what an administrator put there."""
        for path in (home, *home.rglob("*")):
            os.chown(path, USER_ID, USER_ID, follow_symlinks=False)

    def _require_as_before(self, calls: Calls) -> None:
        left = self.left(calls)
        require(not left, "of a user's lab is left: " + "; ".join(left))

    def _build_boxes(self, calls: Calls) -> None:
        (spec := self.directory / "boxes.yaml").write_text(small_spec(self._release))
        argv = [str(CHECKOUT / ".venv/bin/lab"), "box", "build", "--file", str(spec)]
        calls.run("boxes", argv, limit_s=3600, env=environment({"LAB_CACHE": str(cache_directory())}))
        spec.unlink()

    def _as_user(self, calls: Calls, words: Sequence[str], *, code: int = 0, limit_s: float = 900) -> str:
        command = self._enclosure.command([*USER, *LAB, *words], "/home/desk")
        return calls.run(f"user-{words[0]}", command, code=code, limit_s=limit_s)

    def _lab(self, calls: Calls, words: Sequence[str], *, limit_s: float = 900) -> str:
        command = self._enclosure.command([*LAB, *words], str(self.directory))
        env = environment({"LAB_CACHE": str(cache_directory())})
        return calls.run(f"lab-{words[0]}", command, limit_s=limit_s, env=env)

    def _shell(self, calls: Calls, name: str, script: str) -> str:
        return calls.run(name, self._enclosure.command(["bash", "-c", script], "/"))

    def close(self, calls: Calls) -> None:
        """End it; its files go with the working directory."""
        self._enclosure.close()
        if self._new:
            durable.remove_empty(STATE_ROOT)


def _kept() -> list[str]:
    """Name what is needed of root's home, which users cannot reach: where Python is, and the boxes."""
    cache_directory().mkdir(parents=True, exist_ok=True)
    places = [Path(sys.base_prefix).resolve(), cache_directory().resolve()]
    return [str(place) for place in places if place.is_relative_to("/root")]
