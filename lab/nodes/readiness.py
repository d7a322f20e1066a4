"""Waiting until a lab works again whose machines were off, paused or restored.

What must work is what `lab up` recorded as done, and nothing else: its units run, its APIs answer, and its services
have reported themselves to nova and neutron since. One cheap command per node and look: systemd is asked, each API
once, and the heartbeats are read from the database: one `openstack` takes twelve seconds on an emulated node.
"""

from __future__ import annotations

import functools
import shlex
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.base.errors import HostKeyError, MachineError
from lab.base.side_by_side import for_all
from lab.nodes.clock import TOLERANCE_S, HostClock, off_by_s, step_clock, wait_for_chrony
from lab.nodes.state import StateFile
from lab.openstack import REPORTING, heartbeat_commands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lab.nodes.ssh import Ssh
    from lab.planning.plan import Plan
    from lab.planning.project import Lab

LIMIT_S = 180.0
"""on a KVM host; times the lab's wait factor. The boot of a controller with everything on it takes a third of it"""
_LOOK_EVERY_S = 3.0
_LOOK_LIMIT_S = 60.0
_FETCH_LIMIT_S = 20
_TELL_EVERY_S = 60.0


@dataclass(frozen=True)
class Expected:
    """What must work on a node."""

    units: tuple[str, ...] = ()
    urls: tuple[tuple[str, int], ...] = ()
    """address and status of each API; the controller's alone"""


@dataclass(frozen=True)
class Seen:
    """What a look at a node found."""

    up: bool = True
    """systemd has done all that it does at boot: a unit that does not run then will not start by itself"""
    units: dict[str, str] = field(default_factory=dict)
    """unit → active, activating, failed …"""
    urls: dict[str, int] = field(default_factory=dict)
    """address → status; 0: no answer"""
    beats: frozenset[tuple[str, str]] = frozenset()
    """(node, unit) that reported themselves in time; the controller knows them"""
    clock_off_s: float = 0.0
    """how far the node's clock is ahead of this host's"""


def wait_until_ready(
    lab: Lab,
    ssh: Ssh,
    *,
    since: float,
    say: Callable[[str], None],
    limit_s: float | None = None,
    running: Callable[[], bool] = lambda: True,
    clock: HostClock | None = None,
    reports: Callable[[str, str], bool] = lambda node, unit: True,
) -> list[str]:
    """Wait until the lab works; gives what does not, if anything.

    The nodes answer to ssh and their clocks are right: that is the caller's work. A clock that is found wrong later, as
    after the host slept with its machines, is set again: heartbeats carry the node's time. Ends before its limit where
    something will not come by itself: a unit that failed, or that nobody started.

    Args:
        lab: the lab.
        ssh: its connections.
        since: when its machines were started or woken, in seconds since 1970; older heartbeats do not count.
        say: told once a minute what is waited for.
        limit_s: without it LIMIT_S times the wait factor.
        running: whether the machines still run; there is nothing to wait for where one has ended meanwhile.
        clock: this host's.
        reports: whether a unit of a node is waited for until it has reported itself since.

    Raises:
        HostKeyError: another machine answers.
    """
    wanted = expected(lab.plan, StateFile(lab.build_dir / "state.json").load().steps)
    if not wanted:
        return []
    deadline = time.monotonic() + (LIMIT_S * max(1.0, lab.plan.wait_factor) if limit_s is None else limit_s)
    tell_at = time.monotonic() + _TELL_EVERY_S
    clock = clock or HostClock()
    while True:
        since += clock.set_by_s()
        seen = for_all(wanted, functools.partial(_look_at, ssh, wanted, since), on_interrupt=ssh.abort)
        if off := {node: each.clock_off_s for node, each in seen.items() if abs(each.clock_off_s) > TOLERANCE_S}:
            _set_clocks(lab, ssh, off, clock.slept_s(), say)
        wrong = complaints(wanted, seen, reports)
        if not wrong or hopeless(wanted, seen) or not running() or time.monotonic() > deadline:
            return wrong
        if time.monotonic() > tell_at:
            say(f"waiting for {'; '.join(wrong[:3])}{f' and {len(wrong) - 3} more' if len(wrong) > 3 else ''}")
            tell_at += _TELL_EVERY_S
        time.sleep(_LOOK_EVERY_S)


def _look_at(ssh: Ssh, wanted: dict[str, Expected], since: float, node: str) -> Seen:
    return look(ssh, node, wanted[node], since)


def _set_clocks(lab: Lab, ssh: Ssh, off: dict[str, float], slept_s: float, say: Callable[[str], None]) -> None:
    """Set clocks that are wrong; where that fails, the next look finds them wrong again."""
    why = f"this host slept for {slept_s:.0f} s: " if slept_s > TOLERANCE_S else ""
    say(f"{why}set the clocks again, which were off by up to {max(map(abs, off.values())):.0f} s: {', '.join(off)}")
    try:
        for node in off:
            step_clock(ssh, node)
        wait_for_chrony(ssh, lab.plan, {node: abs(seconds) for node, seconds in off.items()})
    except HostKeyError:
        raise
    except MachineError as error:
        say(f"not yet: {error.message}")


def expected(plan: Plan, done: Iterable[str]) -> dict[str, Expected]:
    """Tell what must work on each node, from the steps recorded as done (NODE/STEP)."""
    known = set(done)
    wanted: dict[str, Expected] = {}
    for node in plan.nodes:
        steps = [step for step in plan.steps if f"{node.name}/{step.id}" in known]
        units = dict.fromkeys(unit for step in steps for unit in step.units)
        urls = {
            (check.args["url"], int(check.args.get("status", 200)))
            for check in plan.checks
            if check.kind == "http" and check.quick and check.node == node.name and node.role == "controller"
            and "$" not in check.args["url"] and f"{check.node}/{check.step}" in known
        }  # fmt: skip
        if units:
            wanted[node.name] = Expected(tuple(units), tuple(sorted(urls)))
    return wanted


def complaints(
    wanted: dict[str, Expected],
    seen: dict[str, Seen],
    reports: Callable[[str, str], bool] = lambda node, unit: True,
) -> list[str]:
    """Name what does not work: clocks first, then units, APIs, and services that have not reported themselves."""
    wrong = [
        f"the clock of {node} (off by {each.clock_off_s:.0f} s)"
        for node, each in seen.items()
        if abs(each.clock_off_s) > TOLERANCE_S
    ]
    for node, want in wanted.items():
        for unit in want.units:
            if (state := seen[node].units.get(unit, "unknown")) != "active":
                wrong.append(f"{unit} on {node} ({state})")
    for node, want in wanted.items():
        for url, status in want.urls:
            if (code := seen[node].urls.get(url, 0)) != status:
                wrong.append(f"{url} ({f'status {code}' if code else 'no answer'})")
    beats = frozenset[tuple[str, str]]().union(*(look.beats for look in seen.values()))
    for node, want in wanted.items():
        for unit in want.units:
            if unit in REPORTING and reports(node, unit) and (node, unit) not in beats:
                wrong.append(f"{unit} on {node} (has not reported)")
    return list(dict.fromkeys(wrong))


def hopeless(wanted: dict[str, Expected], seen: dict[str, Seen]) -> bool:
    """Tell whether a unit will not come by itself."""
    return any(
        seen[node].up and seen[node].units.get(unit) in ("failed", "inactive")
        for node, want in wanted.items()
        for unit in want.units
    )


def look(ssh: Ssh, node: str, want: Expected, since: float) -> Seen:
    """Look at a node once; of one that does not answer, for now, nothing is known to work."""
    limit_s = _LOOK_LIMIT_S + _FETCH_LIMIT_S * len(want.urls)
    asked = time.time()
    try:
        said = ssh.run(node, ["sudo", "-n", "bash", "-s"], input=script(want, since), timeout_s=limit_s).stdout
    except HostKeyError:
        raise
    except MachineError:
        return Seen(up=False)
    answered, off = time.time(), 0.0
    up, units, urls, beats = False, dict[str, str](), dict[str, int](), set[tuple[str, str]]()
    for line in said.splitlines():
        match line.split():
            case ["system", state]:
                up = state not in ("initializing", "starting", "maintenance", "offline")
            case ["clock", seconds]:
                off = off_by_s(float(seconds), asked, answered)
            case ["unit", name, state]:
                units[name] = state
            case ["url", address, code]:
                urls[address] = int(code)
            case ["beat", host, name]:
                beats.add((host, name))
    return Seen(up, units, urls, frozenset(beats), off)


def script(want: Expected, since: float) -> str:
    """Write the command of one look; APIs and heartbeats are asked only when all units run."""
    lines = [_UNITS.format(units=" ".join(want.units))]
    urls = [shlex.quote(url) for url, _ in want.urls]
    lines += [f"printf 'url %s %s\\n' {url} \"$({_FETCH} {url})\"" for url in urls]
    return "\n".join([*lines, *heartbeat_commands(want.units, since), "exit 0\n"])


_UNITS = """\
date '+clock %s.%N'
units=({units})
mapfile -t states < <(systemctl is-active "${{units[@]}}")
printf 'system %s\\n' "$(systemctl is-system-running)"
for i in "${{!units[@]}}"; do printf 'unit %s %s\\n' "${{units[i]}}" "${{states[i]}}"; done
for state in "${{states[@]}}"; do [[ $state == active ]] || exit 0; done"""
_FETCH = f"curl --silent --output /dev/null --noproxy '*' --max-time {_FETCH_LIMIT_S} --write-out '%{{http_code}}'"
