"""A look into a built box, without a virtual machine: its files, and the options that its services' own lists have."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lab.base.process import run

if TYPE_CHECKING:
    from collections.abc import Sequence

LISTER = Path(__file__).with_name("list_options.py")
FIRST_BYTE = 2048 * 512
"""of the root file system in the disk (boxes/assemble.sh)"""
TIMEOUT_S = 900.0

# Mounts and processes are those of a namespace: nothing of them outlives the command.
_ENTER = """
mount -o loop,ro,noload,offset="$1" "$2" "$3"
mount -t proc proc "$3/proc"
mount --bind /dev "$3/dev"
root=$3
shift 3
exec chroot "$root" "$@"
"""


@dataclass(frozen=True)
class Option:
    """An option of a list, under its present name or a former one."""

    default: str
    deprecated: str
    """why; empty where it is not"""
    now: str
    """of a former name: the present one; else empty"""


Options = dict[tuple[str, str], Option]
"""by section and name"""


@dataclass
class OpenBox:
    """A box whose image is unpacked in a directory."""

    raw: Path
    """its disk"""
    mountpoint: Path
    _options: dict[tuple[str, ...], Options] = field(default_factory=dict)

    def run(self, command: Sequence[str], text: str = "") -> str:
        """Run a command in the box, which stays as it is; what it prints."""
        enter = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "bash", "-euc"]
        argv = [*enter, _ENTER, "box", str(FIRST_BYTE), str(self.raw), str(self.mountpoint), *command]
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
        env["EVENTLET_NO_GREENDNS"] = "yes"  # without a name server, as in a box, Debian 11's eventlet does not load
        return run(argv, timeout_s=TIMEOUT_S, input=text, env=env).stdout

    def existing(self, paths: Sequence[str]) -> set[str]:
        """Tell which of the paths are there."""
        script = 'for path; do if [ -e "$path" ]; then printf "%s\\n" "$path"; fi; done'
        return set(self.run(["sh", "-c", script, "sh", *paths]).splitlines())

    def read(self, paths: Sequence[str]) -> str:
        """Give the texts of those of the files that are there."""
        return self.run(["sh", "-c", 'cat -- "$@" 2>/dev/null || true', "sh", *paths])

    def options(self, lists: Sequence[str], python: str) -> Options:
        """Give all options of these lists, which this Python of the box has."""
        key = (python, *lists)
        if key not in self._options:
            rows = json.loads(self.run([python, "-", *lists], LISTER.read_text(encoding="utf-8")))
            self._options[key] = {
                (row["section"], row["option"]): Option(row["default"], row["deprecated"], row["now"]) for row in rows
            }
        return self._options[key]


def open_box(image: Path, directory: Path) -> OpenBox:
    """Unpack a box's image into an empty directory."""
    raw, mountpoint = directory / "disk.raw", directory / "root"
    mountpoint.mkdir()
    run(["qemu-img", "convert", "-O", "raw", image, raw], timeout_s=TIMEOUT_S)
    return OpenBox(raw, mountpoint)
