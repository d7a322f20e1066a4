"""Waiting until a lab works: what is expected, what a look finds, and when the wait ends."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sample_plans import SECRETS, sample_plan

from lab.base.errors import MachineError
from lab.base.process import Completed
from lab.nodes import readiness as settling
from lab.nodes.clock import HostClock
from lab.nodes.readiness import Expected, Seen, complaints, expected, hopeless, look, script, wait_until_ready
from lab.nodes.state import State, StateFile, StepRecord
from lab.planning.plan import Check, Plan
from lab.planning.project import Lab
from lab.planning.secrets import Secrets

if TYPE_CHECKING:
    from pathlib import Path

UNITS = {
    "20-database": "mariadb",
    "50-compute-controller": "nova-api nova-conductor",
    "55-compute-node": "libvirtd.socket nova-compute",
}
API = "http://controller:8774/"


def check(node: str, url: str, *, quick: bool = True, status: int = 200) -> Check:
    args: dict[str, Any] = {"url": url, "status": status}
    step = "50-compute-controller" if node == "controller" else "55-compute-node"
    return Check(id=url, node=node, step=step, kind="http", guide="", command="", quick=quick, args=args)


def plan() -> Plan:
    known = sample_plan()
    steps = tuple(step.model_copy(update={"units": tuple(UNITS.get(step.id, "").split())}) for step in known.steps)
    checks = (check("controller", API), check("controller", "http://slow/", quick=False), check("compute1", API))
    return known.model_copy(update={"steps": steps, "checks": checks})


ALL = [
    "controller/10-environment",
    "controller/20-database",
    "controller/50-compute-controller",
    "compute1/55-compute-node",
]
WANTED = {
    "controller": Expected(("mariadb", "nova-api", "nova-conductor"), ((API, 200),)),
    "compute1": Expected(("libvirtd.socket", "nova-compute")),
}
WELL = {
    "controller": Seen(
        units={"mariadb": "active", "nova-api": "active", "nova-conductor": "active"},
        urls={API: 200},
        beats=frozenset({("controller", "nova-conductor"), ("compute1", "nova-compute")}),
    ),
    "compute1": Seen(units={"libvirtd.socket": "active", "nova-compute": "active"}),
}


def test_only_what_is_done_is_expected() -> None:
    assert expected(plan(), ALL) == WANTED
    assert expected(plan(), ["controller/20-database"]) == {"controller": Expected(("mariadb",))}
    assert expected(plan(), ["controller/10-environment"]) == {}


def test_a_lab_that_is_well() -> None:
    assert complaints(WANTED, WELL) == []


def test_each_thing_that_is_not_well_is_named() -> None:
    sick = {
        "controller": replace(WELL["controller"], urls={API: 503}, beats=frozenset({("controller", "nova-conductor")})),
        "compute1": Seen(up=False, units={"libvirtd.socket": "active", "nova-compute": "activating"}),
    }
    assert complaints(WANTED, sick) == [
        "nova-compute on compute1 (activating)",
        "http://controller:8774/ (status 503)",
        "nova-compute on compute1 (has not reported)",
    ]


def test_a_report_is_waited_for_only_of_units_that_are_to_report() -> None:
    silent = {**WELL, "controller": replace(WELL["controller"], beats=frozenset())}
    assert complaints(WANTED, silent, lambda node, unit: (node, unit) == ("compute1", "nova-compute")) == [
        "nova-compute on compute1 (has not reported)"
    ]


@pytest.mark.parametrize(
    ("up", "state", "expected_end"),
    [(True, "failed", True), (True, "inactive", True), (False, "inactive", False), (True, "activating", False)],
)
def test_a_unit_that_will_not_come_by_itself(up: bool, state: str, expected_end: bool) -> None:
    seen = {**WELL, "compute1": Seen(up=up, units={"libvirtd.socket": "active", "nova-compute": state})}
    assert hopeless(WANTED, seen) is expected_end


class FakeSsh:
    """Runs what would run on the node here, with the programs of a directory."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self.looks = 0

    def abort(self) -> None: ...

    def run(self, node: str, _command: object, *, input: str, timeout_s: float) -> Any:  # noqa: A002
        self.looks += 1
        env = {"PATH": f"{self._programs}:/usr/bin:/bin", "NODE": node, "LOOKS": str(self.looks)}
        return subprocess.run(["bash", "-s"], input=input, env=env, capture_output=True, text=True, check=True)


PROGRAMS = {
    "systemctl": """[[ $1 == is-system-running ]] && { echo "${SYSTEM:-running}"; exit 1; }
for unit in "${@:2}"; do [[ $unit == nova-api && $LOOKS -lt 3 ]] && echo activating || echo active; done""",
    "curl": 'printf "%s" 200',
    "mariadb": r"""[[ "$*" == *"FROM nova.services WHERE deleted = 0 AND "* ]] || exit 1
[[ "$*" == *"last_seen_up >= '2026-11-25 12:00:00'"* ]] || exit 1
printf 'beat\tcontroller\tnova-conductor\nbeat\tcompute1\tnova-compute\n'""",
}
NOON = 1795608000.0  # 2026-11-25 12:00:00 UTC


@pytest.fixture
def ssh(tmp_path: Path) -> FakeSsh:
    for name, text in PROGRAMS.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
    return FakeSsh(tmp_path)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    record = StepRecord(inputs="x", seconds=1.0, finished="2026-11-25T12:00:00+00:00")
    StateFile(tmp_path / "state.json").save(State(steps=dict.fromkeys(ALL, record)))
    return Lab(tmp_path, plan(), Secrets(SECRETS))


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "_LOOK_EVERY_S", 0.01)


def test_a_look_at_a_node(ssh: Any) -> None:
    ssh.looks = 10
    assert look(ssh, "controller", WANTED["controller"], NOON) == WELL["controller"]


def test_while_a_unit_starts_nothing_more_is_asked(ssh: Any) -> None:
    seen = look(ssh, "controller", WANTED["controller"], NOON)
    assert seen.units["nova-api"] == "activating"
    assert seen.urls == {}
    assert seen.beats == frozenset()


def test_it_waits_until_all_is_well(ssh: Any, lab: Lab) -> None:
    assert wait_until_ready(lab, ssh, since=NOON, say=pytest.fail) == []
    assert ssh.looks == 4  # two nodes, twice


def test_it_ends_at_its_limit_with_what_is_not_well(ssh: Any, lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "curl").write_text("#!/bin/bash\nprintf 000\nexit 7\n")
    ssh.looks = 10
    assert wait_until_ready(lab, ssh, since=NOON, say=pytest.fail, limit_s=0) == [f"{API} (no answer)"]
    assert ssh.looks == 12


def test_a_node_that_does_not_answer_is_asked_again(ssh: Any, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ssh.run

    def run(node: str, *rest: Any, **options: Any) -> Any:
        if ssh.looks < 6:
            ssh.looks += 1
            raise MachineError(f"on {node}: bash did not end within 60 s")
        return answers(node, *rest, **options)

    monkeypatch.setattr(ssh, "run", run)
    assert wait_until_ready(lab, ssh, since=NOON, say=pytest.fail) == []
    assert ssh.looks == 8


def test_it_ends_where_a_machine_has_ended(ssh: Any, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(node: str, *_: Any, **__: Any) -> Any:
        ssh.looks += 1
        raise MachineError(f"on {node}: connection refused")

    monkeypatch.setattr(ssh, "run", run)
    wrong = wait_until_ready(lab, ssh, since=NOON, say=pytest.fail, running=lambda: ssh.looks < 4)
    assert "nova-api on controller (unknown)" in wrong
    assert ssh.looks == 4  # two nodes, twice


def test_it_ends_at_once_where_a_unit_failed(ssh: Any, lab: Lab, tmp_path: Path) -> None:
    text = (tmp_path / "systemctl").read_text().replace("echo activating", "echo failed")
    (tmp_path / "systemctl").write_text(text)
    assert wait_until_ready(lab, ssh, since=NOON, say=pytest.fail)[0] == "nova-api on controller (failed)"
    assert ssh.looks == 2


class SleepyNodes:
    """Nodes whose clocks are behind, as after their host slept, until somebody sets them."""

    def __init__(self, answers: Any, behind_s: float = 600.0) -> None:
        self._answers = answers
        self._behind_s = behind_s
        self.set: list[str] = []
        self.waited: list[str] = []

    def abort(self) -> None: ...

    def run(self, node: str, command: list[str], *, input: str = "", **_: Any) -> Any:  # noqa: A002
        now = time.time() - (0.0 if node in self.set else self._behind_s)
        if command[0] == "date":
            return Completed(tuple(command), 0, f"{now:.3f}\n", "", 0.0)
        if "date" in command:
            self.set.append(node)
        elif "chrony" in command:
            self.waited.append(node)
        else:
            done = self._answers.run(node, command, input=input, timeout_s=60.0)
            lines = [f"clock {now:.3f}", *done.stdout.splitlines()[1:]]
            return Completed(tuple(command), 0, "\n".join(lines), "", 0.0)
        return Completed(tuple(command), 0, "", "", 0.0)


def clock_of_a_host_that_slept(seconds: float) -> HostClock:
    looks = iter([0.0])  # when it is made; then it sleeps
    slept = 0.0

    def now() -> float:
        nonlocal slept
        slept = next(looks, seconds)
        return NOON + slept

    return HostClock(now, lambda: 500.0 + slept, lambda: 500.0)


def test_clocks_are_set_again_where_the_host_slept_meanwhile(ssh: Any, lab: Lab) -> None:
    ssh.looks = 10
    nodes: Any = SleepyNodes(ssh)
    told: list[str] = []
    assert wait_until_ready(lab, nodes, since=NOON, say=told.append, limit_s=5.0) == []
    assert sorted(nodes.set) == sorted(nodes.waited) == ["compute1", "controller"]
    (line,) = told
    assert line.startswith("set the clocks again, which were off by up to 600 s: ")


def test_the_sleep_of_the_host_is_told(ssh: Any, lab: Lab) -> None:
    ssh.looks = 10
    nodes: Any = SleepyNodes(ssh)
    told: list[str] = []
    assert (
        wait_until_ready(lab, nodes, since=NOON, say=told.append, limit_s=5.0, clock=clock_of_a_host_that_slept(600.0))
        == []
    )
    assert told[0].startswith("this host slept for 600 s: set the clocks again")


def test_a_clock_that_cannot_be_set_is_not_waited_for_without_end(ssh: Any, lab: Lab) -> None:
    ssh.looks = 10
    nodes: Any = SleepyNodes(ssh)
    nodes.set = type("Never", (list,), {"append": lambda self, node: None})()
    wrong = wait_until_ready(lab, nodes, since=NOON, say=lambda _: None, limit_s=0.05)
    assert wrong[:2] == ["the clock of controller (off by -600 s)", "the clock of compute1 (off by -600 s)"]


def test_the_moment_moves_with_a_host_clock_that_is_set(ssh: Any, lab: Lab, tmp_path: Path) -> None:
    ssh.looks = 10
    ticks = iter([NOON])  # when it is made; then somebody sets it an hour back
    clock = HostClock(lambda: next(ticks, NOON - 3600), lambda: 500.0, lambda: 500.0)
    mariadb = tmp_path / "mariadb"
    mariadb.write_text(mariadb.read_text().replace("12:00:00", "11:00:00"))
    assert wait_until_ready(lab, ssh, since=NOON, say=pytest.fail, clock=clock, limit_s=5.0) == []


def test_a_lab_with_nothing_done_is_not_even_asked(ssh: Any, lab: Lab) -> None:
    (lab.build_dir / "state.json").unlink()
    assert wait_until_ready(lab, ssh, since=NOON, say=pytest.fail) == []
    assert ssh.looks == 0


def test_a_url_is_quoted_for_the_shell() -> None:
    assert "'http://x/?a=1&b=2'" in script(Expected(("mariadb",), (("http://x/?a=1&b=2", 200),)), NOON)
