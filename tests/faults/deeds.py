"""How each fault is done, to a lab of one's own: by the process ids that its libvirt and its build directory name."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faults import used
from faults.draw import DAMAGES, USED
from faults.lab_run import LAB, ROOT
from faults.traces import libvirtd_pid, processes, qemu_pid
from lab.base import builddir
from lab.generator.files import KEPT_LIST
from lab.host import records
from lab.nodes.ssh_config import CONFIG, SshConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from faults.draw import Kind, Round
    from faults.lab_run import LabRun
    from lab.host.host import Host

WAIT_S = 120.0
"""for what is to be killed to come alive: a VM that is being made, a connection"""
NODE_LIMIT_S = 120.0

# Blocks without their content (fallocate), in ever smaller pieces, until not a page is left: root's reserve too.
_FILL = r"""
file=/var/tmp/lab-fault; step=$((1 << 30)); size=0
while ((step >= 4096)); do
  if fallocate -o $size -l $step $file 2>/dev/null; then size=$((size + step)); else step=$((step / 2)); fi
done
df -P / | tail -n 1
"""

_SIGNALS = {
    "kill-lab": signal.SIGKILL,
    "hangup": signal.SIGHUP,
    "interrupt": signal.SIGINT,
    "terminate": signal.SIGTERM,
}


class NothingToBreakError(Exception):
    """The fault found nothing that it could be done to."""


class DeedError(Exception):
    """What a user does could not be done, or is undone: a lab that works must not answer so."""


@dataclass(frozen=True)
class Target:
    """The lab that faults are done to."""

    spec: Path
    build_dir: Path
    host: Host
    domains: dict[str, str]
    """node -> domain"""
    name: str
    of_tmpfs: bool
    """the build directory is a small file system of its own, which can be filled"""

    @property
    def options(self) -> list[str]:
        """What each verb of `lab` takes."""
        return ["-f", str(self.spec), "--dir", str(self.build_dir)]


def possible(kinds: Sequence[Kind], target: Target) -> list[Kind]:
    """Choose those that can be done here: a machine's own libvirtd is not ours to kill."""
    private = target.host.mode == "private"
    return [
        kind
        for kind in kinds
        if (private or kind not in ("kill-libvirtd", "stop-libvirtd", "power-cut"))
        and (target.of_tmpfs or kind != "full-disk-build")
    ]


def do(round_: Round, target: Target, run: LabRun | None) -> str:
    """Do it, and say what was done.

    Raises:
        NothingToBreakError: there is nothing of the kind now.
    """
    kind = round_.kind
    if kind == USED:
        return _use(round_, target)
    if kind in _SIGNALS:
        if run is None or run.process.poll() is not None:
            raise NothingToBreakError("lab has ended")
        run.send(_SIGNALS[kind])
        return f"{_SIGNALS[kind].name} to lab"
    if run is not None and (kind in DAMAGES or kind == "unsynced-writes"):
        run.send(signal.SIGKILL)
        run.end(10)
    if kind in DAMAGES:
        return _damage(target.build_dir / damaged_file(kind))
    return {
        "kill-vm": lambda: _kill_vm(round_, target),
        "kill-libvirtd": lambda: _kill("libvirtd", lambda: [libvirtd_pid(target.host)]),
        "stop-libvirtd": lambda: _kill("libvirtd", lambda: [libvirtd_pid(target.host)], signal.SIGSTOP),
        "power-cut": lambda: _power_cut(target, run),
        "cut-ssh": lambda: _kill("ssh", lambda: list(_ssh_clients(target))),
        "full-disk-guest": lambda: _fill_guest(round_.node, target),
        "full-disk-build": lambda: _fill_build_dir(target),
        "unsynced-writes": lambda: _lose_content(target),
    }[kind]()


def undo(round_: Round, target: Target) -> None:
    """Free what was filled; the rest is for `lab up` to repair."""
    if round_.kind == "full-disk-guest":
        on_node(target, round_.node, "rm -f /var/tmp/lab-fault")
    elif round_.kind == "full-disk-build":
        (target.build_dir / "filler").unlink(missing_ok=True)


def after(round_: Round, target: Target) -> None:
    """See that what a user made is still there.

    Raises:
        DeedError: it is not.
    """
    for use in _uses(round_, target) if round_.kind == USED else ():
        if use.still:
            _as_user(target, use.name, used.script(use.still, round_.number))


def damaged_file(kind: Kind) -> str:
    """Name the file that a kind damages."""
    return "plan.json" if kind == "damaged-plan" else "state.json"


def follow_hint(kind: Kind, target: Target) -> list[str]:
    """Do what `lab up` tells who has a damaged file: remove the state; for the plan, the words of the verb to run."""
    if kind == "damaged-state":
        (target.build_dir / "state.json").unlink(missing_ok=True)
        return []
    return ["render", *target.options]


def on_node(target: Target, node: str, script: str, limit_s: float = NODE_LIMIT_S) -> str:
    """Run a script on a node as root, in a `lab ssh` of its own."""
    line = f"sudo -n bash -c {shlex.quote(script)}"
    argv = [*LAB, "ssh", *target.options, node, "--", line]
    try:
        done = subprocess.run(
            argv, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise NothingToBreakError(f"{node} does not answer within {limit_s:.0f} s") from None
    if done.returncode != 0:
        raise NothingToBreakError(f"{node}: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()


def _use(round_: Round, target: Target) -> str:
    uses = _uses(round_, target)
    if not uses:
        raise NothingToBreakError("no step is done that a user could go on from")
    for use in uses:
        _as_user(target, use.name, used.script(use.does, round_.number))
    return ", ".join(use.name for use in uses)


def _uses(round_: Round, target: Target) -> tuple[used.Use, ...]:
    return used.drawn(round_.number, round_.moment.fraction, used.steps_done(target.build_dir))


def _as_user(target: Target, what: str, script: str) -> None:
    try:
        on_node(target, "controller", script, used.LIMIT_S)
    except NothingToBreakError as error:
        raise DeedError(f"{what}: {error}") from None


def _kill_vm(round_: Round, target: Target) -> str:
    """Kill the drawn node's QEMU; while machines are being made, whichever comes first."""
    names = [round_.node] if round_.moment.event != "machines" else list(target.domains)
    return _kill("qemu", lambda: [qemu_pid(target.host, target.domains[name]) for name in names][:1])


def _power_cut(target: Target, run: LabRun | None) -> str:
    if run is not None:
        run.send(signal.SIGKILL)
    pids = [libvirtd_pid(target.host), *(qemu_pid(target.host, domain) for domain in target.domains.values())]
    return "lab, " + _kill("libvirtd and all VMs", lambda: pids)


def _kill(what: str, find: Callable[[], Sequence[int]], number: signal.Signals = signal.SIGKILL) -> str:
    """Send a signal to all that is found, as soon as something is."""
    deadline = time.monotonic() + WAIT_S
    while not (pids := [pid for pid in find() if pid]):
        if time.monotonic() > deadline:
            raise NothingToBreakError(f"no {what} within {WAIT_S:.0f} s")
        time.sleep(0.2)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    return f"{number.name} to {what} ({', '.join(map(str, pids))})"


def _ssh_clients(target: Target) -> Iterator[int]:
    """Find the clients and the open connections of the build directory: `ssh -F …`, `ssh: …/mux/NODE [mux]`."""
    config = SshConfig(target.build_dir)
    for pid, line in processes():
        program = line.partition(" ")[0].rpartition("/")[2]
        if program in ("ssh", "ssh:") and (str(config.path) in line or f"{config.socket_dir()}/" in line):
            yield pid


def _fill_guest(node: str, target: Target) -> str:
    return f"disk of {node} full: {on_node(target, node, _FILL)}"


def _fill_build_dir(target: Target) -> str:
    """Fill the file system of the build directory to its last byte."""
    written = 0
    with (target.build_dir / "filler").open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    written += file.write(b"\0" * size)
    return f"build directory full ({written / 2**20:.0f} MiB)"


def _lose_content(target: Target) -> str:
    """Leave all that `lab` writes empty, as a power cut may whatever was renamed but not synced; the seed is synced."""
    build_dir = target.build_dir
    record = records.places()[0] / f"{records.lab_key(target.name, build_dir)}.json"
    names = ("state.json", "plan.json", builddir.MARKER, KEPT_LIST, CONFIG)
    found = [path for path in (*(build_dir / name for name in names), record) if path.exists()]
    if not found:
        raise NothingToBreakError("nothing was written yet")
    for path in found:
        os.truncate(path, 0)
    half = build_dir / "checkpoints" / "fault"
    half.mkdir(parents=True, exist_ok=True)
    (half / "manifest.json").touch()
    return f"empty: {', '.join(path.name for path in found)}, the manifest of checkpoint {half.name}"


def _damage(path: Path) -> str:
    """Cut a file off in the middle, as a full disk or a power cut may."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise NothingToBreakError(f"no {path.name} yet") from None
    os.truncate(path, size // 2)
    return f"{path.name} cut off after {size // 2} of {size} bytes"
