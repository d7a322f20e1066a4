"""The pure part of tests/faults: what is drawn, what is read of `lab up`; and what the deeds do to files."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from faults import deeds, lab_run, used
from faults.deeds import NothingToBreakError, Target, possible
from faults.draw import KINDS, NEEDS_SSH, USED, Jobs, Moment, Round, draw, draw_existing, targets
from faults.lab_run import Happening, LabRun, happening_of
from faults.story import Suite, forget, verified
from faults.traces import traces
from sample_plans import sample_plan

from lab.base import builddir
from lab.host import records
from lab.host.private import PrivateHost
from lab.inputs.model import Spec
from lab.nodes.ssh_config import SshConfig
from lab.planning.plan import HostFacts, HostProof
from lab.planning.project import decide
from openstack_batch.language import read_lines

STEPS = [Jobs("10-environment", 2), Jobs("20-database", 1), Jobs("21-message-queue", 1), Jobs("22-memcached", 1)]
NODES = ["controller", "compute1"]


def test_the_same_seed_draws_the_same() -> None:
    assert draw(7, 20, KINDS, STEPS, NODES) == draw(7, 20, KINDS, STEPS, NODES)
    assert draw(7, 20, KINDS, STEPS, NODES) != draw(8, 20, KINDS, STEPS, NODES)
    assert draw_existing(7, 20, KINDS, NODES) == draw_existing(7, 20, KINDS, NODES)


def test_what_a_seed_draws_stays_so_that_a_printed_seed_can_be_run_again() -> None:
    first = draw(123, 2, KINDS[:12], STEPS, NODES)  # another kind makes other draws
    assert [(r.kind, r.node, str(r.moment), r.target) for r in first] == [
        ("cut-ssh", "compute1", "started 1 + 34%", "20-database"),
        ("kill-libvirtd", "compute1", "started 1 + 0%", "22-memcached"),
    ]


@pytest.mark.parametrize("seed", range(20))
def test_no_kind_comes_again_before_all_have_come(seed: int) -> None:
    drawn = [round_.kind for round_ in draw(seed, len(KINDS) * 2, KINDS, STEPS, NODES)]
    assert set(drawn[: len(KINDS)]) == set(drawn[len(KINDS) :]) == set(KINDS)


@pytest.mark.parametrize("seed", range(20))
def test_moments_can_come(seed: int) -> None:
    done = 0
    for number, round_ in enumerate(draw(seed, 6, KINDS, STEPS, NODES)):
        upto = [s.step for s in STEPS].index(round_.target) + 1
        jobs = sum(s.count for s in STEPS[done:upto]) or round_.forget
        assert (round_.moment.event == "idle") == (round_.kind == USED)
        done = upto
        assert 1 <= round_.moment.nth <= jobs
        assert 0 <= round_.moment.fraction < 1
        if round_.moment.event == "machines":
            assert number == 0, "later the machines are there"
            assert round_.kind not in NEEDS_SSH


@pytest.mark.parametrize(
    ("kills", "expected"),
    [(1, ["d"]), (2, ["b", "d"]), (4, ["a", "b", "c", "d"]), (5, ["a", "b", "c", "d", "d"])],
)
def test_targets_are_spread_and_end_at_the_last_step(kills: int, expected: list[str]) -> None:
    assert targets(["a", "b", "c", "d"], kills) == expected


def test_a_round_without_a_new_step_forgets_some() -> None:
    rounds = draw(1, 12, KINDS, STEPS, NODES)
    seen: set[str] = set()
    for round_ in rounds:
        assert (round_.forget > 0) == (round_.target in seen)
        seen.add(round_.target)


@pytest.mark.parametrize(
    ("line", "happening"),
    [
        ("  1:49 virtual machines: controller, compute1", Happening("machines", 90.0)),
        ("  1:49 controller  10-environment           started (about 26 s)", Happening("started", 26.0)),
        (" 12:08 compute1    55-compute-node          started (about 2:07)", Happening("started", 127.0)),
        ("  2:02 controller  10-environment           done in 13 s", Happening("finished", 3.0)),
        ("  2:02 controller  10-environment           failed after 13 s", Happening("finished", 3.0)),
        (" 19:25 verification", Happening("verification", 20.0)),
        ("  1:49 provisioning", None),
        ("verification", None),
        ("", None),
    ],
)
def test_what_lab_up_tells(line: str, happening: Happening | None) -> None:
    assert happening_of(line) == happening


FAKE_LAB = """
import sys, time
print("  0:00 virtual machines: controller", flush=True)
print("  0:01 controller  10-environment           started (about 1 s)", flush=True)
print("  0:02 controller  20-database              started (about 1 s)", flush=True)
time.sleep(float(sys.argv[1]))
"""


def fake_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> LabRun:
    monkeypatch.setattr(lab_run, "LAB", [sys.executable, "-c", FAKE_LAB])
    return LabRun([str(seconds)], tmp_path / "log")


def test_a_moment_is_met_and_the_process_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = fake_lab(tmp_path, monkeypatch, 60)
    assert run.wait_for(Moment("started", 2, 0.1), 30)
    run.send(signal.SIGKILL)
    assert run.end(10) == -signal.SIGKILL
    assert "20-database" in run.said()


def test_a_moment_that_does_not_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = fake_lab(tmp_path, monkeypatch, 0)
    assert not run.wait_for(Moment("started", 3), 30)
    assert run.end(10) == 0


def test_one_that_does_not_end_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = fake_lab(tmp_path, monkeypatch, 60)
    assert run.wait_for(Moment("machines"), 30)
    assert run.end(0.1) is None
    assert run.process.poll() is not None


def test_a_ctrl_c_before_the_moment_ends_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_run, "LAB", [sys.executable, "-c", FAKE_LAB])
    started: list[LabRun] = []

    def interrupted(run: LabRun, *_: Any) -> bool:
        started.append(run)
        raise KeyboardInterrupt

    monkeypatch.setattr(LabRun, "wait_for", interrupted)
    suite = Suite(target(tmp_path), 1, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        suite.run([replace(round_of("kill-vm"), moment=Moment("machines"))])
    assert started[0].process.poll() is not None


class Libvirtless:
    mode = "system"
    pool_dir = Path("/nonexistent/a/b")


def target(tmp_path: Path, host: Any = None, *, of_tmpfs: bool = True) -> Target:
    host = host or PrivateHost("demo", tmp_path, state_root=tmp_path / "state")
    return Target(tmp_path / "lab.yaml", tmp_path, host, {"controller": "demo-controller"}, "demo", of_tmpfs)


def round_of(kind: Any) -> Round:
    return Round(1, kind, "controller", Moment("idle"), "", 0)


def test_a_machines_own_libvirtd_is_not_killed(tmp_path: Path) -> None:
    assert possible(KINDS, target(tmp_path)) == list(KINDS)
    elsewhere = possible(KINDS, target(tmp_path, Libvirtless(), of_tmpfs=False))
    assert not {"kill-libvirtd", "stop-libvirtd", "power-cut", "full-disk-build"} & set(elsewhere)
    assert "kill-vm" in elsewhere


@pytest.mark.parametrize(("kind", "name"), [("damaged-state", "state.json"), ("damaged-plan", "plan.json")])
def test_damage(kind: Any, name: str, tmp_path: Path) -> None:
    with pytest.raises(NothingToBreakError):
        deeds.do(round_of(kind), target(tmp_path), None)
    (tmp_path / name).write_text("x" * 100)
    assert deeds.do(round_of(kind), target(tmp_path), None) == f"{name} cut off after 50 of 100 bytes"
    assert (tmp_path / name).stat().st_size == 50


def test_unsynced_writes_leave_empty_files_and_the_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "STATE_ROOT", tmp_path / "records")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    build_dir = builddir.claim(tmp_path / "build")
    (build_dir / "seed").write_text("seed")
    (build_dir / "state.json").write_text("{}")
    records.save(records.record_of(sample_plan(), build_dir, "private"))
    done = deeds.do(round_of("unsynced-writes"), replace(target(tmp_path), build_dir=build_dir), None)
    assert done.startswith("empty: state.json, .lab-build, demo-")
    empty = {path.name for path in tmp_path.rglob("*") if path.is_file() and not path.stat().st_size}
    assert empty == {"state.json", ".lab-build", "manifest.json", f"{records.lab_key('demo', build_dir)}.json"}
    assert (build_dir / "seed").read_text() == "seed"


def test_nothing_to_kill_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deeds, "WAIT_S", 0.1)
    for kind in ("kill-lab", "kill-vm", "kill-libvirtd", "cut-ssh", "power-cut"):
        with pytest.raises(NothingToBreakError):
            deeds.do(round_of(kind), target(tmp_path), None)


def test_forget_drops_the_last_records(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"version": 1, "steps": {"a/1": {}, "b/1": {}, "a/2": {}}}))
    forget(state, 2)
    assert json.loads(state.read_text())["steps"] == {"a/1": {}}


def test_traces_names_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant.d"))
    build_dir = tmp_path / "build"
    build_dir.mkdir()
    assert traces("demo", build_dir) == []
    index = tmp_path / "vagrant.d" / "data" / "machine-index" / "index"
    index.parent.mkdir(parents=True)
    index.write_text(json.dumps({"machines": {"1": {"name": "controller", "vagrantfile_path": str(build_dir)}}}))
    config = SshConfig(build_dir)
    config.make_socket_dir()  # below /tmp, where the test's own path is too long
    found = traces("demo", build_dir)
    config.socket_dir().rmdir()
    assert found == [str(config.socket_dir()), "Vagrant's controller"]


def test_uses_are_drawn_of_those_that_the_lab_has_come_to() -> None:
    def names(done: list[str], rounds: int) -> set[str]:
        return {use.name for n in range(1, rounds) for use in used.drawn(n, n / rounds, done)}

    assert used.drawn(1, 0.5, ["20-database"]) == ()
    assert names(["20-database", "30-identity"], 20) == {u.name for u in used.USES if u.step == "30-identity"}
    steps = [step.id for step in decide(Spec(name="demo", release="zed"), HostProof(HostFacts(), "", "")).steps]
    assert names(steps, 100) == {use.name for use in used.USES}
    first = used.drawn(1, 0.5, steps)
    assert len(first) == used.BESIDE + 1
    assert [use.step for use in first[1:] if use.step in used._OF_INSTANCES] == []


def test_the_services_lose_their_project_after_all_other_uses() -> None:
    steps = sorted({use.step for use in used.USES})
    drawn = [[use.name for use in used.drawn(n, n / 100, steps)] for n in range(1, 100)]
    places = [(names.index(last), names) for names in drawn if (last := "a disabled project") in names]
    assert places
    assert all(place == len(names) - 1 for place, names in places)


@pytest.mark.parametrize("use", used.USES, ids=lambda use: use.name)
def test_the_commands_of_a_use_are_read(use: used.Use) -> None:
    for lines in (use.does, use.still):
        read = read_lines("\n".join(used.script(lines, 3).splitlines()[1:-1]))
        assert not any("{me}" in str(line) for line in read)


def test_a_user_whose_things_are_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state.json").write_text('{"steps": {"controller/30-identity": {}}}')
    round_ = Round(4, USED, "controller", Moment("idle", 1, 0.0), "", 0)
    monkeypatch.setattr(deeds, "LAB", ["true"])
    assert used.USES[0].name in deeds.do(round_, target(tmp_path), None)
    deeds.after(round_, target(tmp_path))
    monkeypatch.setattr(deeds, "LAB", ["false"])
    with pytest.raises(deeds.DeedError, match="another region|a service of the next chapter"):
        deeds.after(round_, target(tmp_path))


def test_a_lab_without_identity_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"steps": {"controller/20-database": {}}}')
    with pytest.raises(NothingToBreakError):
        deeds.do(Round(1, USED, "controller", Moment("idle"), "", 0), target(tmp_path), None)


@pytest.mark.parametrize(
    ("said", "enough"),
    [("all 562 checks passed\n", True), ("nothing to do: 406 quick checks passed; `lab verify` runs all 562\n", False)],
)
def test_a_lab_that_up_has_verified_is_not_verified_again(tmp_path: Path, said: str, enough: bool) -> None:
    (log := tmp_path / "01-used.back.log").write_text(f"  5:22 verification\n{said}")
    assert verified(log) is enough
