"""The first words with a node: does it answer, is its clock right, has it today's payload? One command asks all three.

A new connection, and each command, takes an emulated node seconds; a lab that needs nothing should take only a few.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.base.side_by_side import for_all
from lab.nodes.clock import TOLERANCE_S, step_clock

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lab.nodes.ssh import Ssh

PAYLOAD = "/opt/lab"

# Two times around the work: what is between does not count as the clock's fault.
_ASK = """\
date +%s.%N
if cd "$1" 2>/dev/null; then find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum; fi
date +%s.%N
"""
_SLOW_S = 2.0
"""where the answer took longer (a new connection), a small error of the clock could hide in it: it is asked again"""


@dataclass(frozen=True)
class FirstContact:
    """What was found on a node, and repaired."""

    clock_off_s: float
    """how much the clock was ahead; more than the tolerance: it has been set"""
    pushed: bool
    """the payload was another one, or none; it is right now"""


def first_contact(ssh: Ssh, build_dir: Path, nodes: Iterable[str], *, timeout_s: float) -> dict[str, FirstContact]:
    """Wait until nodes answer, all at once; set their clocks and give them their payloads, where these differ.

    Raises:
        MachineError: one does not answer within `timeout_s`.
    """
    return for_all(
        nodes, lambda name: _first_contact(ssh, name, build_dir / "nodes" / name, timeout_s), on_interrupt=ssh.abort
    )


def _first_contact(ssh: Ssh, node: str, payload: Path, timeout_s: float) -> FirstContact:
    sent = time.time()
    lines = ssh.first_answer(
        node, ["sudo", "-n", "sh", "-c", _ASK, "first-contact", PAYLOAD], timeout_s
    ).stdout.splitlines()
    received = time.time()
    began, ended = float(lines[0]), float(lines[-1])
    off = began - sent if began < sent else max(0.0, ended - received)
    if abs(off) > TOLERANCE_S or received - sent > _SLOW_S:
        off = step_clock(ssh, node)
    pushed = "\n".join(lines[1:-1]) != listing(payload)
    if pushed:
        ssh.push(node, payload, PAYLOAD)
    return FirstContact(off, pushed)


def listing(directory: Path) -> str:
    """List a directory's files as the node does: `sha256sum` of each, by path in the order of bytes."""
    paths = sorted((path for path in directory.rglob("*") if path.is_file()), key=lambda path: bytes(path))
    return "\n".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  ./{path.relative_to(directory)}" for path in paths
    )
