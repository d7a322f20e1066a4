"""What the doctor asks of a node: one ssh connection, one script, simple lines back."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.base.errors import LabError, MachineError
from lab.base.process import CommandError

if TYPE_CHECKING:
    from lab.host.host import Host
    from lab.nodes.ssh import Ssh

SCRIPT = Path(__file__).with_name("node_look.sh")
CONNECT_S = 30
"""an emulated node that has other work takes seconds for the keys; one that is dead answers nothing at all"""
LOOK_S = 180.0
"""for connection and script; a sick node answers slowly, and the doctor does not wait for ever"""
FRESH = ("-o", "ControlPath=none", "-o", "ControlMaster=no", "-o", f"ConnectTimeout={CONNECT_S}", "-o", "BatchMode=yes")
"""a new connection: an open one to a machine that is gone would swallow the question"""


@dataclass(frozen=True)
class Space:
    """A file system of a node, its blocks or its inodes."""

    mount: str
    used_percent: int
    free: int
    """KiB, or inodes"""
    what: str = "disk"
    """disk or inodes"""


@dataclass(frozen=True)
class Unit:
    """A systemd unit that failed, or that starts again and again."""

    name: str
    state: str
    """systemd's SubState: failed, auto-restart"""
    result: str
    """systemd's Result: exit-code, signal, oom-kill, start-limit-hit …"""
    limited: bool
    """systemd has given up starting it"""


@dataclass(frozen=True)
class NodeSeen:
    """What a node said of itself."""

    spaces: tuple[Space, ...] = ()
    memory_total_mib: int = 0
    memory_available_mib: int = 0
    oom_kills: tuple[str, ...] = ()
    """programs that the kernel killed since the boot because memory ran out"""
    units: tuple[Unit, ...] = ()
    cpu_flags: frozenset[str] = frozenset()
    """of svm and vmx"""
    kvm: bool = False
    """/dev/kvm is there"""
    done: frozenset[str] = frozenset()
    """steps that ended well here"""
    computes: frozenset[str] = frozenset()
    """hosts with a nova-compute service (on the controller)"""
    mapped: frozenset[str] = frozenset()
    """hosts that a cell has (on the controller)"""
    unknown: tuple[str, ...] = ()
    """what it was asked, and gave no answer to: "which of its units failed" …; nothing found is no answer there"""
    complete: bool = True
    """whether it answered completely; otherwise its time ran out, and this is what it said until then"""
    clock_off_s: float = 0.0
    """how far the clock is from this host's, at least; the time that the answer took is not counted"""


def look_at_node(host: Host, ssh: Ssh, node: str) -> NodeSeen | str:
    """Ask a node; where it does not answer, why not."""
    before = time.time()
    try:
        answer = ask(host, ssh, node, SCRIPT.read_text(encoding="utf-8"), limit_s=LOOK_S)
    except CommandError as error:  # its time ran out; it may have said much
        answer = error.result.stdout
        if "clock end" not in answer:
            return f"no answer within {LOOK_S:.0f} s"
        return read(answer, before, time.time())
    except LabError as error:
        return error.message
    return read(answer, before, time.time())


def ask(host: Host, ssh: Ssh, node: str, script: str, *, limit_s: float) -> str:
    """Run a script on a node as root, from inside or outside the lab's host, and give what it wrote.

    Raises:
        MachineError: the node did not answer.
        CommandError: it did not come to its end within `limit_s`; what it wrote is in there.
    """
    argv = ssh.argv(node, f"sudo -n bash -c {shlex.quote(script)}", options=FRESH)
    done = host.run(argv, timeout_s=limit_s, check=False)
    if not done.ok:
        said = done.tail().splitlines()
        raise MachineError(said[-1] if said else f"ssh ended with {done.returncode}")
    return done.stdout


def read(text: str, before: float, after: float) -> NodeSeen:
    """Read the script's lines; `before` and `after` are this host's clock around the question."""
    rows = [line.split() for line in text.splitlines() if line.strip()]

    def of(key: str) -> list[list[str]]:
        return [row[1:] for row in rows if row[0] == key]

    total, available = next(((int(a) // 1024, int(b) // 1024) for a, b in of("memory")), (0, 0))
    clocks = {name: float(value) for name, value in of("clock")}
    return NodeSeen(
        spaces=tuple(
            Space(" ".join(mount), int(used), int(free), what)
            for what in ("disk", "inodes")
            for used, free, *mount in of(what)
        ),
        memory_total_mib=total,
        memory_available_mib=available,
        oom_kills=tuple(" ".join(name) for name in of("oom")),
        units=tuple(Unit(name, state, result, limited == "yes") for name, state, result, limited in of("unit")),
        cpu_flags=frozenset(flag for (flag,) in of("cpu")),
        kvm=bool(of("kvm")),
        done=frozenset(step for (step,) in of("done")),
        computes=frozenset(host for (host,) in of("compute")),
        mapped=frozenset(host for (host,) in of("mapped")),
        unknown=tuple(" ".join(words) for words in of("unknown")),
        complete=bool(of("end")),
        clock_off_s=_off(clocks, before, after),
    )


def _off(clocks: dict[str, float], before: float, after: float) -> float:
    """Tell how far a clock is off at least: the script began after `before` and ended before `after`."""
    if "begin" not in clocks or "end" not in clocks:
        return 0.0
    too_early, too_late = clocks["begin"] - before, clocks["end"] - after
    return round(too_early if too_early < 0 else max(0.0, too_late), 1)
