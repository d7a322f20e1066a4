"""A desktop: a libvirtd at the standard socket, with other people's machines, and a user who is not root."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hosts import foreign
from hosts.calls import Calls, environment
from hosts.debian import CHECKOUT
from hosts.enclosure import Enclosure
from hosts.story import require
from lab.box.store import cache_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

LAB = ["env", "PYTHONPATH=/mnt", "PYTHONDONTWRITEBYTECODE=1", "/mnt/.venv/bin/python", "-c"]
LAB += ["import sys; sys.argv[0] = 'lab'; from lab.cli.main import main; main()"]
"""this checkout's, by the path that the enclosure shows to every user"""
USER = ["setpriv", "--reuid=desk", "--regid=desk", "--init-groups", "env", "HOME=/home/desk"]


class Desktop:
    """This machine's programs with a libvirt of the desktop's own."""

    mode = "system"

    def __init__(self, work: Path) -> None:
        self._state = work / "state"
        self.directory = work / "root"
        self._enclosure = Enclosure("enter_desktop.sh", [str(self._state), str(CHECKOUT), *_kept()], network=True)
        self._before: dict[str, str] = {}

    def open(self, calls: Calls) -> None:
        """Start libvirtd, and make other people's things."""
        self._state.mkdir()
        self.directory.mkdir()
        self._enclosure.open()
        self._shell(calls, "foreign", foreign.script())
        self._before = foreign.snapshot(lambda command: self._shell(calls, "before", command))

    def up(self, calls: Calls, to: str) -> str:
        """As the user, as far as that goes; then as root."""
        self._user_is_told(calls, (self.directory / "lab.yaml").read_text(), to)
        return self._lab(calls, ["up", "--to", to], limit_s=3600)

    def lab(self, calls: Calls, words: Sequence[str]) -> str:
        """Run this checkout's `lab` as root."""
        return self._lab(calls, words)

    def left(self, calls: Calls) -> list[str]:
        """Compare all that is other people's, and all that a lab could leave, with what was before."""
        after = foreign.snapshot(lambda command: self._shell(calls, "after", command))
        return foreign.differences(self._before, after)

    def _user_is_told(self, calls: Calls, spec: str, to: str) -> None:
        """See how far the user gets: to boxes and the packet filter, which are root's; nothing is made."""
        home = self._state / "home" / "desk"
        (home / "lab.yaml").write_text(spec)
        self._as_user(calls, ["check"])
        said = self._as_user(calls, ["up", "--to", to], code=3)
        require("sudo" in said, f"`lab up` does not tell the user the way on:\n{said[-500:]}")
        require(not self.left(calls), "`lab up` of a user made something on the desktop's libvirt")

    def _as_user(self, calls: Calls, words: Sequence[str], *, code: int = 0) -> str:
        command = self._enclosure.command([*USER, *LAB, *words], "/home/desk")
        return calls.run(f"user-{words[0]}", command, code=code)

    def _lab(self, calls: Calls, words: Sequence[str], *, limit_s: float = 900) -> str:
        command = self._enclosure.command([*LAB, *words], str(self.directory))
        env = environment({"LAB_CACHE": str(cache_directory())})
        return calls.run(f"lab-{words[0]}", command, limit_s=limit_s, env=env)

    def _shell(self, calls: Calls, name: str, script: str) -> str:
        return calls.run(name, self._enclosure.command(["bash", "-c", script], "/"))

    def close(self, calls: Calls) -> None:
        """End it; its files go with the working directory."""
        self._enclosure.close()


def _kept() -> list[str]:
    """Name what is needed of root's home, which users cannot reach: where Python is, and the boxes."""
    cache_directory().mkdir(parents=True, exist_ok=True)
    places = [Path(sys.base_prefix).resolve(), cache_directory().resolve()]
    return [str(place) for place in places if place.is_relative_to("/root")]
