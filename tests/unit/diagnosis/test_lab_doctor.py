"""The doctor for a lab in trouble: each finding from plain values, and what a node and libvirt say."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import typer
from sample_plans import sample_plan

from lab.base.errors import HostError
from lab.base.process import CommandError, Completed
from lab.cli.main import app
from lab.diagnosis import lab_look
from lab.diagnosis.lab_doctor import is_there, judge
from lab.diagnosis.lab_look import DomainSeen, LabSeen, look_at_lab
from lab.diagnosis.node_look import SCRIPT, NodeSeen, Space, Unit, look_at_node, read
from lab.nodes.ssh import Ssh
from lab.planning.plan import Step

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lab.base.finding import Finding

PLAN = sample_plan()
ACCESS, MANAGEMENT, PROVIDER = (network.name for network in PLAN.networks)
WELL = NodeSeen(
    spaces=(Space("/", 20, 15_000_000), Space("/", 5, 1_000_000, "inodes")),
    memory_total_mib=3000,
    memory_available_mib=2000,
    cpu_flags=frozenset({"svm"}),
    kvm=True,
)
RUNS = DomainSeen("running", address="192.168.121.7")
GOOD = LabSeen(
    stop_libvirtd="pkill -F /var/lib/compute-lab/demo/libvirtd.pid",
    networks={ACCESS: True, MANAGEMENT: True, PROVIDER: True},
    domains={"controller": RUNS, "compute1": RUNS},
    nodes={"controller": WELL, "compute1": WELL},
    free_mib={"/var/lib/compute-lab": 50_000},
    memory_available_mib=8000,
)


def bad(seen: LabSeen) -> dict[str, Finding]:
    return {finding.id: finding for finding in judge(seen, PLAN) if not finding.ok}


def with_domain(node: str, domain: DomainSeen, **more: Any) -> LabSeen:
    nodes = {name: answer for name, answer in GOOD.nodes.items() if name != node or domain.state == "running"}
    return replace(GOOD, domains={**GOOD.domains, node: domain}, **{"nodes": nodes, **more})


def with_node(node: str, answer: NodeSeen | str) -> LabSeen:
    return replace(GOOD, nodes={**GOOD.nodes, node: answer})


def test_a_good_lab_has_no_trouble() -> None:
    found = judge(GOOD, PLAN)
    assert all(finding.ok for finding in found)
    assert {"libvirtd", "pool", "network-access", "node-controller", "node-compute1"} <= {f.id for f in found}


def test_libvirtd_gone_is_told_once_and_not_as_the_nodes_fault() -> None:
    seen = LabSeen(libvirtd="it does not run", memory_available_mib=8000, nodes=dict.fromkeys(GOOD.nodes, "no route"))
    found = bad(seen)
    assert set(found) == {"libvirtd"}
    assert found["libvirtd"].repair == "lab up"
    assert "node-controller" not in {finding.id for finding in judge(seen, PLAN)}


def test_machines_that_run_without_libvirtd_are_looked_at_all_the_same() -> None:
    seen = LabSeen(libvirtd="gone", memory_available_mib=8000, nodes={"controller": replace(WELL, clock_off_s=-90.0)})
    assert set(bad(seen)) == {"libvirtd", "clock-controller"}


@pytest.mark.parametrize("state", ["missing", "inactive"])
def test_pool(state: Any) -> None:
    assert bad(replace(GOOD, pool=state))["pool"].found == state


def test_network_inactive_and_missing() -> None:
    found = bad(replace(GOOD, networks={ACCESS: True, MANAGEMENT: False}))
    assert found["network-management"].found == "inactive"
    assert found["network-management"].repair == (
        f"lab exec -- virsh net-start {MANAGEMENT} && pkill -F /var/lib/compute-lab/demo/libvirtd.pid; lab up"
    )
    assert found["network-provider"].found == "missing"


def test_volume_left_over() -> None:
    seen = with_domain("compute1", DomainSeen(), left_over={"demo-compute1.img": True, "demo-compute1.qcow2": False})
    found = bad(seen)
    assert found["volume-demo-compute1.img"].repair == "lab up"
    assert found["volume-demo-compute1.qcow2"].repair == (
        "if nobody needs it: lab exec -- virsh vol-delete demo-compute1.qcow2 --pool default && lab up"
    )
    assert found["domain-compute1"].found == "absent"


def test_domain_name_taken_by_somebody_else() -> None:
    found = bad(with_domain("compute1", DomainSeen("shut off", ours=False)))["domain-compute1"]
    assert found.found == "not of this lab"
    assert "virsh undefine demo-compute1" in found.repair
    on_system = replace(with_domain("compute1", DomainSeen("shut off", ours=False)), mode="system")
    assert bad(on_system)["domain-compute1"].advice == "another `name` in the spec"


def test_domain_name_taken_by_a_machine_that_vagrant_forgot() -> None:
    found = bad(with_domain("compute1", replace(RUNS, known_to_vagrant=False)))["domain-compute1"]
    assert found.found == "unknown to Vagrant"
    assert "undefine" in found.repair


def test_a_machine_that_was_killed() -> None:
    found = bad(with_domain("compute1", DomainSeen("shut off", "its QEMU ended or was killed")))["domain-compute1"]
    assert found.found == "shut off: its QEMU ended or was killed"
    assert found.repair == "lab up"


def test_a_paused_machine() -> None:
    plain = bad(with_domain("compute1", DomainSeen("paused")))["domain-compute1"]
    assert plain.repair == "lab unpause"
    full = bad(with_domain("compute1", DomainSeen("paused", "its disk could not be written")))["domain-compute1"]
    assert (full.advice, full.repair) == ("free space on the host first", "lab unpause")


def test_waiting_for_an_ip_and_not_answering_are_two_things() -> None:
    waiting = replace(with_node("compute1", "x"), domains={**GOOD.domains, "compute1": DomainSeen("running")})
    assert bad(waiting)["address-compute1"].found == "waiting for an IP"
    assert bad(with_node("compute1", "no route to host"))["ssh-compute1"].found == "no route to host"


def test_a_kernel_that_gave_up() -> None:
    seen = replace(
        with_node("compute1", "x"),
        domains={**GOOD.domains, "compute1": DomainSeen("running", stuck="kernel panic: no timer")},
    )
    found = bad(seen)
    assert set(found) == {"stuck-compute1"}
    assert found["stuck-compute1"].repair == "lab exec -- virsh reset demo-compute1 && lab up"


def test_box_gone() -> None:
    box = PLAN.node("compute1").box
    note = bad(replace(GOOD, boxes_missing=(box,)))[f"box-{box}"]
    assert not note.fatal
    assert note.repair == "lab box build"
    needed = bad(with_domain("compute1", DomainSeen(), boxes_missing=(box,)))[f"box-{box}"]
    assert needed.fatal
    assert "image" in bad(with_domain("compute1", replace(RUNS, base_gone="b.img")))["base-compute1"].what


def test_host_disk_full() -> None:
    assert bad(replace(GOOD, free_mib={"/var": 20}))["host-disk"].found == "20 MiB free"


def test_host_memory() -> None:
    assert "host-memory" in bad(replace(GOOD, memory_available_mib=100))
    killed = ("4711 (qemu-system-x86)",)
    assert not bad(replace(GOOD, oom_kills=killed))["host-oom"].fatal
    crashed = with_domain("compute1", DomainSeen("shut off", "its QEMU ended or was killed"), oom_kills=killed)
    assert bad(crashed)["host-oom"].fatal


@pytest.mark.parametrize("what", ["disk", "inodes"])
def test_guest_disk_full(what: str) -> None:
    found = bad(with_node("controller", replace(WELL, spaces=(Space("/", 100, 0, what),))))
    assert "100 %" in found[f"{what}-controller"].found


def test_guest_memory() -> None:
    assert "memory-controller" in bad(with_node("controller", replace(WELL, memory_available_mib=10)))
    assert "mariadbd" in bad(with_node("controller", replace(WELL, oom_kills=("mariadbd",))))["oom-controller"].found


@pytest.mark.parametrize(
    ("unit", "found"),
    [
        (Unit("a.service", "failed", "exit-code", True), "in its restart limit"),
        (Unit("a.service", "failed", "start-limit-hit", False), "in its restart limit"),
        (Unit("a.service", "failed", "oom-kill", False), "failed (oom-kill)"),
        (Unit("a.service", "auto-restart", "exit-code", False), "restarts again and again (exit-code)"),
    ],
)
def test_units(unit: Unit, found: str) -> None:
    finding = bad(with_node("controller", replace(WELL, units=(unit,))))["unit-controller-a.service"]
    assert finding.found == found
    assert "journalctl" in finding.repair


def test_what_a_node_could_not_tell_is_no_good_news() -> None:
    found = bad(with_node("controller", replace(WELL, unknown=("which of its units failed",))))["unknown-controller"]
    assert not found.fatal
    assert "could not tell which of its units failed" in found.why


@pytest.mark.parametrize(("off_s", "found"), [(-3600.0, "at least 3600 s behind"), (90.0, "at least 90 s ahead")])
def test_clock(off_s: float, found: str) -> None:
    assert bad(with_node("controller", replace(WELL, clock_off_s=off_s)))["clock-controller"].found == found
    assert not bad(with_node("controller", replace(WELL, clock_off_s=0.9)))


def test_nested_requested_but_off() -> None:
    unloaded = bad(with_node("compute1", replace(WELL, kvm=False)))["nested-compute1"]
    assert "modprobe kvm_amd" in unloaded.repair
    off = bad(with_node("compute1", replace(WELL, kvm=False, cpu_flags=frozenset())))["nested-compute1"]
    assert off.found == "off: no svm or vmx"
    assert not bad(with_node("controller", replace(WELL, kvm=False)))  # a controller has no instances


def test_a_host_that_no_cell_has() -> None:
    step = Step(id="70-discover-hosts", title="", guide="", url="", nodes=("controller",), needs=(), seconds=1)
    plan = PLAN.model_copy(update={"steps": (*PLAN.steps, step)})
    answer = replace(WELL, computes=frozenset({"compute1", "compute2"}), mapped=frozenset({"compute1"}))

    def found(controller: NodeSeen) -> Finding:
        seen = replace(GOOD, nodes={**GOOD.nodes, "controller": controller})
        return next(finding for finding in judge(seen, plan) if finding.id == "cell-compute2")

    assert not found(answer).fatal  # `lab up` has not come to it
    after = found(replace(answer, done=frozenset({"70-discover-hosts"})))
    assert after.fatal
    assert after.repair == "lab ssh controller -- 'sudo /opt/lab/run-step 70-discover-hosts'"
    without = plan.model_copy(update={"steps": ()})  # a release without cells
    assert all(finding.ok for finding in judge(with_node("controller", answer), without))


def test_a_damaged_state() -> None:
    found = bad(replace(GOOD, damaged="/labs/demo/state.json is damaged: Expecting value"))["state"]
    assert found.repair == "rm /labs/demo/state.json; lab up"


def test_on_a_machines_own_libvirt_nothing_of_the_lab_is_no_trouble() -> None:
    absent = {"controller": DomainSeen(), "compute1": DomainSeen()}
    assert not is_there(LabSeen(mode="system", domains=absent))
    assert is_there(LabSeen(mode="system", domains=absent, left_over={"demo-compute1.img": True}))
    assert is_there(LabSeen(mode="private", domains=absent))


EVERYTHING = [
    LabSeen(libvirtd="gone", memory_available_mib=8000),
    replace(
        GOOD,
        pool="missing",
        networks={ACCESS: False},
        left_over={"v.img": False, "w.img": True},
        boxes_missing=("b",),
        damaged="s is x",
    ),
    with_domain("compute1", DomainSeen("shut off", ours=False)),
    with_domain("compute1", DomainSeen("paused", "x", known_to_vagrant=False, base_gone="b.img")),
    with_node("compute1", "no route"),
    with_node("compute1", NodeSeen((Space("/", 99, 1),), 9, 1, ("x",), (Unit("a", "failed", "x", True),))),
]


def test_every_verb_that_a_finding_names_exists_and_each_says_why() -> None:
    verbs = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    for finding in (finding for seen in EVERYTHING for finding in judge(seen, PLAN) if not finding.ok):
        assert finding.why, finding
        assert finding.repair or finding.advice, finding
        assert set(re.findall(r"\blab ([a-z-]+)", finding.repair)) <= verbs, finding.repair


# --- what a node says

ANSWER = """\
clock begin 1000.5
disk 98 300000 /
disk 3 900000 /var/lib/glance images
inodes 100 0 /
memory 3072000 204800
oom beam.smp
unit mariadb.service failed exit-code yes
cpu svm
kvm yes
done 10-environment
compute compute1
compute compute2
mapped compute1
unknown the space of its disks
clock end 1004.0
end
"""


def test_the_lines_of_a_node() -> None:
    seen = read(ANSWER, before=999.0, after=1004.5)
    assert seen == NodeSeen(
        spaces=(
            Space("/", 98, 300000),
            Space("/var/lib/glance images", 3, 900000),
            Space("/", 100, 0, "inodes"),
        ),
        memory_total_mib=3000,
        memory_available_mib=200,
        oom_kills=("beam.smp",),
        units=(Unit("mariadb.service", "failed", "exit-code", True),),
        cpu_flags=frozenset({"svm"}),
        kvm=True,
        done=frozenset({"10-environment"}),
        computes=frozenset({"compute1", "compute2"}),
        mapped=frozenset({"compute1"}),
        unknown=("the space of its disks",),
    )


@pytest.mark.parametrize(
    ("before", "after", "off_s"),
    [(1000.0, 1005.0, 0.0), (1010.0, 1015.0, -9.5), (900.0, 950.0, 54.0)],
)
def test_the_time_of_the_answer_is_not_the_clocks_fault(before: float, after: float, off_s: float) -> None:
    assert read(ANSWER, before, after).clock_off_s == off_s


def test_the_script_speaks_of_any_linux_machine() -> None:
    before = time.time()
    text = subprocess.run(["bash", "-c", SCRIPT.read_text()], check=True, capture_output=True, text=True).stdout
    seen = read(text, before, time.time())
    assert seen.memory_total_mib > 0
    assert any(space.mount == "/" or space.mount.startswith("/") for space in seen.spaces)
    assert seen.clock_off_s == 0.0


def test_a_program_that_gives_up_is_no_answer(tmp_path: Path) -> None:
    for name in ("systemctl", "dmesg", "df"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    script = SCRIPT.read_text().replace("PATH=/usr/sbin:", f"PATH={tmp_path}:/usr/sbin:")
    text = subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True).stdout
    assert read(text, 0, time.time()).unknown == (
        "the space of its disks",
        "the inodes of its disks",
        "its kernel's messages",
        "which of its units failed",
    )


@pytest.mark.parametrize(("log", "limited"), [("Start request repeated too quickly.\n" * 5000, True), ("", False)])
def test_a_unit_that_systemd_gave_up(tmp_path: Path, log: str, *, limited: bool) -> None:
    (tmp_path / "log").write_text(log)
    answers = "list-units*) echo nova.service;; show*Result*) echo Result=signal;; show*) echo SubState=failed;;"
    for name, does in (("systemctl", f'case "$*" in {answers} esac'), ("journalctl", f"cat '{tmp_path}/log'")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    script = SCRIPT.read_text().replace("PATH=/usr/sbin:", f"PATH={tmp_path}:/usr/sbin:")
    text = subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True).stdout
    assert read(text, 0, time.time()).units == (Unit("nova.service", "failed", "signal", limited),)


# --- what the look does with a host


def test_what_a_slow_node_had_told_counts() -> None:
    seen = read(ANSWER.removesuffix("end\n"), before=999.0, after=1180.0)
    assert not seen.complete
    found = bad(with_node("compute1", seen))
    assert not found["slow-compute1"].fatal
    assert "disk-compute1" in found


class DeadHost:
    """A private host whose libvirtd is gone; ssh ends at once."""

    mode = "private"

    def __init__(self, tmp_path: Path) -> None:
        self.pool_dir = tmp_path / "images"
        self.asked: list[Sequence[Any]] = []

    def exists(self) -> bool:
        return True

    def is_running(self) -> bool:
        return False

    def hypervisor(self) -> Any:
        raise HostError("no libvirtd")

    def run(self, argv: Sequence[Any], *, timeout_s: float, check: bool = True) -> Completed:
        self.asked.append(argv)
        assert timeout_s <= 180
        return Completed(tuple(argv), 255, "", "ssh: connect to host 192.168.121.7: No route to host\n", 0.1)


SSH_CONFIG = "Host controller\n  HostName 192.168.121.7\n  User vagrant\nHost compute1\n  HostName 192.168.121.8\n"


def test_a_dead_lab_is_looked_at_without_hanging_or_touching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_look, "_oom_kills", lambda: ())
    (tmp_path / "state.json").write_text("{")
    Ssh(tmp_path).add_config(SSH_CONFIG)
    before = sorted(tmp_path.iterdir())
    host: Any = DeadHost(tmp_path)
    seen = look_at_lab(PLAN, host, tmp_path)
    assert seen.libvirtd == "it does not run"
    assert seen.nodes == dict.fromkeys(GOOD.nodes, "ssh: connect to host 192.168.121.7: No route to host")
    assert "state.json is damaged" in seen.damaged
    assert sorted(tmp_path.iterdir()) == before
    for argv in host.asked:
        assert "ControlPath=none" in argv
        assert any(str(word).startswith("ConnectTimeout=") for word in argv)


class SlowHost(DeadHost):
    said = ""

    def run(self, argv: Sequence[Any], *, timeout_s: float, check: bool = True) -> Completed:
        raise CommandError("ssh did not end in time", Completed(tuple(argv), -1, self.said, "", timeout_s))


def test_a_node_whose_time_is_over(tmp_path: Path) -> None:
    Ssh(tmp_path).add_config(SSH_CONFIG)
    host: Any = SlowHost(tmp_path)
    assert look_at_node(host, Ssh(tmp_path), "controller") == "no answer within 180 s"
    host.said = ANSWER.removesuffix("end\n")
    seen = look_at_node(host, Ssh(tmp_path), "controller")
    assert isinstance(seen, NodeSeen)
    assert not seen.complete
    assert seen.memory_total_mib == 3000


def test_a_node_that_does_not_answer_says_why(tmp_path: Path) -> None:
    Ssh(tmp_path).add_config(SSH_CONFIG)
    host: Any = DeadHost(tmp_path)
    assert "No route to host" in str(look_at_node(host, Ssh(tmp_path), "controller"))
