"""What services make in their own time: whom the suite asks again, and for how long."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from infra_fakes import FakeNode, a_check, a_suite, ran

from lab.inputs.steps import Comes
from lab.verification.suite import summary
from lab.verification.waiting import Waiting

if TYPE_CHECKING:
    from pathlib import Path

    from infra_fakes import Recording

    from lab.planning.plan import Check

UP_S = 1000.0
MISSING = ran("", 1)
THERE = ran("")


def started(ago_s: float, state: str = "active", *others: str, restarts: int = 3) -> dict[str, Any]:
    """What a node says of units: one was started so many seconds ago, the others long before."""
    lines = [
        f"NRestarts={restarts}",
        f"ActiveState={state}",
        f"ActiveEnterTimestampMonotonic={(UP_S - ago_s) * 1e6:.0f}",
    ]
    for other in others:
        lines += ["", "NRestarts=0", f"ActiveState={other}", "ActiveEnterTimestampMonotonic=1000000"]
    return ran("\n".join([f"{UP_S}", *lines, ""]))


def a_late_check(comes: Comes | None) -> Check:
    check = a_check("command", {"run": "pgrep dnsmasq"})
    return check.model_copy(update={"comes": comes})


def comes(within: int = 20, *, at_start: bool = False) -> Comes:
    return Comes(by=("neutron-dhcp-agent", "rabbitmq-server"), within=within, at_start=at_start)


def outcome(tmp_path: Path, check: Check, recording: Recording, wait_factor: float = 1.0) -> tuple[str, int]:
    """Judge a check as the plugin does; give its one line, and how often the command ran."""
    nodes = {"controller": FakeNode(recording), "compute1": FakeNode({})}
    suite = a_suite(tmp_path, nodes, check, wait_factor=wait_factor)
    Waiting(suite.rounds, {"it": lambda: suite.still_to_come(check)}, again_s=0.01).wait_for(["it"])
    message = ""
    try:
        suite.judge(check)
    except Exception as error:
        expected, found = suite.explain(error)
        message = summary(expected, found + suite.waited(check))
    return message, sum("pgrep dnsmasq" in asked for asked in nodes["controller"].rounds)


@pytest.mark.parametrize(
    ("promise", "units", "factor", "asked"),
    [
        (comes(), started(5), 1, 3),
        (comes(), started(500), 1, 3),  # an agent makes it again at any time
        (comes(), started(5, "activating", "active"), 1, 3),
        (comes(at_start=True), started(5), 1, 3),
        (comes(at_start=True), started(50), 1, 1),  # a port that is not open after so long does not open any more
        (comes(at_start=True), started(50), 4, 3),  # not yet so long for this host
        (comes(at_start=True), started(50, "activating"), 1, 3),
        (comes(at_start=True), started(50, "active", "deactivating"), 1, 3),  # it is restarted just now
        (comes(), started(5, "failed"), 1, 1),
        (comes(), started(5, "active", "inactive"), 1, 1),
        (comes(), ran("", 1, "systemctl: no bus"), 1, 1),
        (None, started(5), 1, 1),
    ],
)
def test_who_is_asked_again(
    promise: Comes | None, units: dict[str, Any], factor: float, asked: int, tmp_path: Path
) -> None:
    recording = {"commands:pgrep dnsmasq": [MISSING, MISSING, THERE], "started": units}
    message, times = outcome(tmp_path, a_late_check(promise), recording, factor)
    assert times == asked
    assert (message == "") == (asked == 3)


@pytest.mark.parametrize("at_start", [False, True])
def test_what_never_comes_fails_after_its_time(at_start: bool, tmp_path: Path) -> None:
    recording = {"commands:pgrep dnsmasq": MISSING, "started": started(0)}
    began = time.monotonic()
    message, times = outcome(tmp_path, a_late_check(comes(1, at_start=at_start)), recording, 2)
    assert 2 <= time.monotonic() - began < 10
    assert times > 3
    assert message == (
        "expected exit code 0 of `pgrep dnsmasq`, found 1: (no output, exit code 1) (asked again for 2 s)"
    )


URL = "http://controller:5000/v3"


@pytest.mark.parametrize("kind", ["http", "endpoint-answers"])
@pytest.mark.parametrize(("answer", "waited"), [({"status": 500}, False), ({"error": "Connection refused"}, True)])
def test_a_service_that_says_it_failed_heals_soon_or_never(
    kind: str, answer: dict[str, Any], waited: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.verification.suite.HEALS_WITHIN_S", 1)
    check = a_check(kind, {"url": URL} | ({"status": 200} if kind == "http" else {}))
    check = check.model_copy(update={"comes": comes(4, at_start=True)})
    nodes = {"controller": FakeNode({f"web:{URL}": answer, "started": started(0)}), "compute1": FakeNode({})}
    suite = a_suite(tmp_path, nodes, check, wait_factor=1)
    began = time.monotonic()
    Waiting(suite.rounds, {"it": lambda: suite.still_to_come(check)}, again_s=0.01).wait_for(["it"])
    assert time.monotonic() - began >= 1
    assert (time.monotonic() - began >= 4) == waited


def test_nobody_waits_for_a_service_that_ends_again_and_again(tmp_path: Path) -> None:
    units = [started(1, restarts=restarts) for restarts in (50, 51, 52, 53)]
    recording = {"commands:pgrep dnsmasq": MISSING, "started": units}
    began = time.monotonic()
    message, times = outcome(tmp_path, a_late_check(comes(60)), recording)
    assert time.monotonic() - began < 10
    assert times == 4
    assert "asked again" in message


def test_one_that_is_unknown_for_now_is_asked_again_too(tmp_path: Path) -> None:
    check = a_check("ovs", {"bridge": "br-int", "port": "int-br-provider"}).model_copy(update={"comes": comes()})
    bridge = [ran("", 1, "no bridge named br-int"), ran("int-br-provider\n")]
    assert outcome(tmp_path, check, {"bridges:br-int": bridge, "started": started(5)})[0] == ""


def test_nobody_waits_for_a_node_that_is_away(tmp_path: Path) -> None:
    check = a_late_check(comes())
    node = FakeNode({}, away=True)
    suite = a_suite(tmp_path, {"controller": node, "compute1": FakeNode({})}, check)
    Waiting(suite.rounds, {"it": lambda: suite.still_to_come(check)}).wait_for(["it"])
    assert node.rounds == [["pgrep dnsmasq"]]


def test_the_others_do_not_wait(tmp_path: Path) -> None:
    late, other = a_late_check(comes()), a_check("command", {"run": "hostname"})
    recording = {"commands:pgrep dnsmasq": [MISSING, THERE], "started": started(5), "commands:hostname": THERE}
    nodes = {"controller": FakeNode(recording), "compute1": FakeNode({})}
    suite = a_suite(tmp_path, nodes, late, other)
    waiting = Waiting(
        suite.rounds, {it: partial(suite.still_to_come, check) for it, check in (("late", late), ("other", other))}
    )
    began = time.monotonic()
    waiting.wait_for(["other"])
    assert time.monotonic() - began < 2
    assert sum("hostname" in asked for asked in nodes["controller"].rounds) == 1
    waiting.wait_for(["late"])
    assert time.monotonic() - began > 2
    suite.judge(late)
