"""Pages of memory that labs of this machine have in common, kept once: the kernel's KSM.

QEMU marks its machines' memory as mergeable (its option `mem-merge` is on), and no description of a machine here says
otherwise. So `lab` only lets KSM run while a lab from a golden one has another lab beside it, and puts everything back
afterwards. What was there before is noted in /run, which a reboot empties, as it resets KSM.

Others can measure which pages are shared, so a lab whose users must not reach those of other labs (`rotate: all` in the
spec) ends it, and none is begun while such a lab exists.

Linux's documentation: admin-guide/mm/ksm.rst.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from lab.base import durable
from lab.host.private_view import NETNS_DIR, netns_inode

if TYPE_CHECKING:
    from collections.abc import Iterator

KSM = Path("/sys/kernel/mm/ksm")
NOTE = Path("/run/compute-lab-page-sharing.json")
PACE = {"pages_to_scan": 4000, "sleep_millisecs": 200}
"""at most some 80 MiB in a second, four times the kernel's own pace; the second pass over all memory shares pages"""
RULERS = frozenset({"ksmtuned", "uksmd"})
"""programs that switch KSM themselves"""
_APART = "apart"
"""a file in the state directory of a private host: its lab is to share nothing"""


def begin(state_dir: Path) -> str:
    """Let KSM run for a lab that starts beside others; says so, empty where nothing was changed.

    Nothing is changed if there is no other lab, a lab of this machine is to share nothing, the kernel has no KSM, this
    process may not switch it, or it runs or is ruled by somebody else already.
    """
    if _labs() < 2 or any(state_dir.parent.glob(f"*/{_APART}")) or NOTE.exists() or _number("run") != 0 or _ruled():
        return ""
    before = {name: _number(name) for name in ("run", *PACE)}
    if not durable.create(NOTE, json.dumps(before).encode(), mode=0o600):
        return ""  # another `lab up` was first
    try:
        (KSM / "run").write_text("1")
    except OSError:
        durable.unlink(NOTE)
        return ""
    _set_pace(PACE)
    return "the kernel shares equal pages of this machine's labs (KSM); `lab golden list` shows what that saves"


def keep_apart(state_dir: Path) -> str:
    """Note that a lab is to share nothing, and end what was begun; says so, empty where nothing was."""
    (state_dir / _APART).touch(mode=0o600)
    return end()


def end_if_unused() -> str:
    """Put KSM back once no lab is beside another one; says so, empty where nothing was changed."""
    return end() if _labs() < 2 else ""


def end() -> str:
    """Put KSM back to what it was; says so, empty where nothing was begun. Pages that are shared by now stay shared.

    Where somebody else has stopped it since, nothing is put back.
    """
    try:
        before = json.loads(NOTE.read_bytes())
        if _number("run") == 1:
            (KSM / "run").write_text(str(before["run"]))
            _set_pace({name: before[name] for name in PACE})
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError) as error:
        return f"KSM could not be put back to what it was before: {error}"
    durable.unlink(NOTE)
    return "the kernel shares no more pages: KSM is as it was before"


def saved_mib() -> int:
    """Give how much memory of this machine KSM saves now, whoever has switched it on.

    0 while it does not run: the kernel still counts pages of processes that have ended meanwhile.
    """
    sharing = _number("pages_sharing") if _number("run") == 1 else 0
    return max(0, sharing) * os.sysconf("SC_PAGE_SIZE") // 2**20


def _labs() -> int:
    """Count the private hosts that exist, by their network namespaces."""
    return sum(1 for path in NETNS_DIR.glob("lab-*") if netns_inode(path.name))


def _ruled() -> bool:
    """Tell whether a program runs that switches KSM."""
    return bool(RULERS & set(_programs()))


def _programs() -> Iterator[str]:
    for comm in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):  # it has ended
            yield comm.read_text(errors="replace").strip()


def _set_pace(values: dict[str, int]) -> None:
    for name, value in values.items():
        with contextlib.suppress(OSError):  # where the kernel's advisor sets the pace
            (KSM / name).write_text(str(value))


def _number(name: str) -> int:
    """Read one of KSM's numbers; -1 where there is none."""
    try:
        return int((KSM / name).read_text())
    except (OSError, ValueError):
        return -1
