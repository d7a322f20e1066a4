"""The suite as a whole, up to the wire: selection, one question per node, secrets, nodes that are away; then for real,
with an `ssh` that runs the command on this machine."""

from __future__ import annotations

import json
import re
import time
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest
from infra_fakes import FakeNode, a_check, a_plan, a_suite, judge, ran, settled, text
from rich.console import Console
from sample_plans import SECRETS

from lab.base.errors import MachineError, UsageError
from lab.base.resources import INFRA_SUITE
from lab.inputs.steps import Comes
from lab.planning.secrets import read_env
from lab.terminal.report import print_report
from lab.verification.parse import effective
from lab.verification.report import CheckResult, Counted, Report
from lab.verification.run import quick_ids, verify
from lab.verification.selection import select
from lab.verification.values import Values, secret_name

if TYPE_CHECKING:
    from pathlib import Path

    from lab.planning.plan import Check, Plan


def test_selection_by_step_quick_and_id() -> None:
    first = a_check("unit", {"name": "a"}, step="20-database")
    second = a_check("unit", {"name": "b"}).model_copy(update={"quick": True})
    plan = a_plan(first, second)
    assert select(plan) == (first, second)
    assert select(plan, ["20-database"]) == (first,)
    assert select(plan, quick=True) == (second,)
    assert select(plan, ids={first.id}) == (first,)


@pytest.mark.parametrize("wrong", ["55-compute-nod", "compute-nod", "55-computenode"])
def test_an_unknown_step_is_refused_with_a_guess(wrong: str) -> None:
    with pytest.raises(UsageError, match=f"no step {wrong}") as refused:
        select(a_plan(), [wrong])
    assert "did you mean `55-compute-node`?" in refused.value.hint


def test_a_round_has_what_all_checks_ask_and_nothing_twice(tmp_path: Path) -> None:
    checks = [
        a_check("unit", {"name": name}, step=step) for name in ("nova-api", "nova-scheduler") for step in ("1", "2")
    ]
    checks += [a_check("database", {"name": "nova"}), a_check("cell", {"name": "cell1"})]
    role = {"user": "nova", "role": "admin", "project": "service"}
    checks += [a_check("identity-role", role), a_check("identity-role", {**role, "user": "glance"}, step="1")]
    checks += [a_check("openstack", {"list": "compute service list", "row": {"Host": "compute1"}}, "compute1")]
    checks = [check.model_copy(update={"id": f"{check.id}-{number}"}) for number, check in enumerate(checks)]
    nodes = {
        "controller": FakeNode({"units": ran("LoadState=not-found\nActiveState=inactive\n")}),
        "compute1": FakeNode({}),
    }
    suite = a_suite(tmp_path, nodes, *checks)
    said = settled(suite, *checks)
    first, second = nodes["controller"].rounds
    assert sorted(first) == [
        "cat /etc/os-release",
        "mariadb -NBre 'SELECT name FROM nova_api.cell_mappings'",
        "mariadb -NBre 'SHOW DATABASES'",
        "openstack compute service list -f json",
        "openstack role assignment list --names -f json",
    ]
    assert sorted(second) == ["systemctl show nova-api", "systemctl show nova-scheduler"]
    assert nodes["compute1"].rounds == []
    assert "no such unit" in said[checks[0].id]
    assert "openstack compute service list: not in the recording" in said[checks[-1].id]


def test_slow_questions_of_an_instance_begin_beside_those_that_decide(tmp_path: Path) -> None:
    check = a_check("instance-console", {"server": "vm1", "contains": "OK"})
    nodes = {"controller": FakeNode({"sql": ran("")}), "compute1": FakeNode({})}
    assert "no such instance" in judge(tmp_path, check, nodes)
    assert nodes["controller"].rounds[0][0] == "openstack console log show '{server:vm1}'"


def test_no_secret_is_sent(tmp_path: Path) -> None:
    checks = [
        a_check("db-login", {"user": "nova", "password": "${NOVA_DBPASS}", "database": "nova"}),
        a_check("queue-user", {"name": "openstack", "password": "${RABBIT_PASS}"}),
        a_check("identity-user", {"name": "nova", "password": "${NOVA_PASS}"}),
        a_check("option", {"path": "/etc/f", "section": "a", "option": "password", "value": "${NOVA_PASS}"}),
        a_check("dashboard-login", {"url": "http://controller/", "user": "admin", "password": "${ADMIN_PASS}"}),
    ]
    nodes = {"controller": FakeNode({}), "compute1": FakeNode({})}
    settled(a_suite(tmp_path, nodes, *checks), *checks)
    sent = json.dumps(nodes["controller"].rounds)
    assert all(name in sent for name in ("${NOVA_PASS}", "RABBIT_PASS", "${ADMIN_PASS}", "NOVA_DBPASS"))
    assert nodes["controller"].secrets == {"NOVA_DBPASS"}
    assert not any(value in sent for value in SECRETS.values())


def test_a_node_that_is_away_is_an_error_of_each_check_that_asks_it(tmp_path: Path) -> None:
    checks = [a_check("unit", {"name": "x"}), a_check("command", {"run": "hostname"})]
    nodes = {"controller": FakeNode({}, away=True), "compute1": FakeNode({})}
    said = settled(a_suite(tmp_path, nodes, *checks), *checks)
    assert all("expected the node to answer over ssh, found ssh: connect" in message for message in said.values())
    assert len(nodes["controller"].rounds) == 1


@pytest.mark.parametrize(
    ("kind", "args", "said"),
    [
        ("unit", {"nmae": "x"}, "lacks name and has unknown nmae"),
        ("teleport", {}, "no function of the suite asserts checks of kind teleport"),
        ("identity-user", {"name": "nova", "password": "hunter2"}, "must be given by its secret's name"),
    ],
)
def test_a_check_that_the_suite_cannot_judge(kind: str, args: dict[str, str], said: str, tmp_path: Path) -> None:
    message = judge(tmp_path, a_check(kind, args), {"controller": FakeNode({}), "compute1": FakeNode({})})
    assert said in message
    assert "hunter2" not in message


def test_values(tmp_path: Path) -> None:
    env = tmp_path / "env"
    env.write_text("A='x y'\nexport B=\"$1\"\n# C=no\nNOVA_PASS=longsecret\nMY_IP=10.0.0.11\n")
    values = Values(read_env(env), ["NOVA_PASS"])
    assert values.fill("${A}|${MISSING}|$MY_IP") == "x y|${MISSING}|$MY_IP"
    assert values.mask("password is longsecret.") == "password is ${NOVA_PASS}."
    assert values.mask("mysql://nova:other@c/n password = abc") == "mysql://nova:***@c/n password = ***"
    assert values.shown("password", "${NOVA_PASS}", "other") == "another value"
    assert values.shown("admin_password", "x", "other") == "another value"
    assert read_env(tmp_path / "none") == {}
    assert secret_name("${NOVA_PASS}") == secret_name("NOVA_PASS") == "NOVA_PASS"


def test_the_effective_value_is_the_last_whatever_is_repeated() -> None:
    text = "!includedir /x\n[a]\nk=1\nk = 2%%\nlong = one\n  two\n[DEFAULT]\nk: 3\n[a]\nz =\nbare\n# k = 9\n= bad\n"
    told = {name: effective(text, *name.split(".")) for name in ("a.k", "a.long", "DEFAULT.k", "a.z", "a.bare", "a.K")}
    assert told == {"a.k": "2%%", "a.long": "one\ntwo", "DEFAULT.k": "3", "a.z": "", "a.bare": "", "a.K": None}
    assert effective(text, "b", "k") is None


SSH = """\
#!/bin/sh
case "$*" in *compute1*) echo 'ssh: connect to host 10.0.0.31 port 22: No route to host' >&2; exit 255;; esac
for last; do :; done
exec sh -c "$last"
"""


@pytest.fixture
def build_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build directory whose controller is this machine, and whose compute node is away."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in (("ssh", SSH), ("sudo", '#!/bin/sh\nexec "$@"\n')):
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    directory = tmp_path / "build"
    (directory / "nodes" / "controller").mkdir(parents=True)
    (directory / "nodes" / "controller" / "env").write_text(f"NOVA_PASS={SECRETS['NOVA_PASS']}\n")
    (directory / "ssh_config").write_text("")
    return directory


def laid_out(build_dir: Path) -> Plan:
    conf = build_dir / "nova.conf"
    conf.write_text(f"[neutron]\npassword = {SECRETS['NOVA_PASS']}\n[nova]\npassword = wrong-password\n")
    option = {"path": str(conf), "option": "password", "value": "${NOVA_PASS}"}
    plan = a_plan(
        named(a_check("command", {"run": "echo hello", "stdout_contains": "hello"}), "good"),
        named(a_check("option", {**option, "section": "neutron"}), "good-secret"),
        named(a_check("option", {**option, "section": "nova"}), "bad-secret"),
        named(a_check("command", {"run": f"echo {SECRETS['NOVA_PASS']}; exit 3"}), "leak"),
        named(a_check("teleport", {}), "unknown"),
        named(a_check("unit", {"name": "nova-compute"}, "compute1", "55-compute-node"), "away"),
    )
    (build_dir / "plan.json").write_text(plan.model_dump_json())
    return plan


def named(check: Check, name: str) -> Check:
    return check.model_copy(update={"id": f"{check.node}-{name}"})


def test_verify_runs_the_suite_and_reports(build_dir: Path, tmp_path: Path) -> None:
    plan = laid_out(build_dir)
    seen: list[str] = []
    junit, html = tmp_path / "j.xml", tmp_path / "r.html"
    report = verify(plan, build_dir, junit=junit, html=html, on_result=lambda result: seen.append(result.id))
    outcomes = {check.id: check.outcome for check in report.checks}
    assert outcomes == {
        "controller-good": "passed",
        "controller-good-secret": "passed",
        "controller-bad-secret": "failed",
        "controller-leak": "failed",
        "controller-unknown": "error",
        "compute1-away": "error",
    }
    assert seen == list(outcomes)
    messages = {check.id: check.message for check in report.checks}
    assert messages["controller-bad-secret"].endswith("[nova] password = ${NOVA_PASS}, found another value")
    assert messages["compute1-away"].endswith("ssh: connect to host 10.0.0.31 port 22: No route to host")
    shape = report.as_dict()
    assert list(shape) == ["passed", "failed", "errors", "skipped", "checks", "own"]
    assert list(shape.values())[:4] == [2, 2, 2, 0]
    assert not report.good
    assert list(shape["checks"][0]) == ["id", "step", "node", "outcome", "message", "guide", "seconds"]

    suite = ET.parse(junit).getroot()
    assert [case.attrib["name"] for case in suite.iter("testcase")][0] == "test_command[controller-good]"
    assert "systemctl restart it" in ET.tostring(suite, "unicode")
    for file in (junit, html):
        content = file.read_text()
        assert "Compute service: Install and configure" in content
        assert not any(secret in content for secret in (*SECRETS.values(), "wrong-password"))


OWN = """\
import pytest


@pytest.fixture
def directory(controller):
    return controller.file("/etc")


def test_directory(directory):
    assert directory.is_directory
    assert directory.mode == 0o755


def test_each_compute_has_a_name(computes):
    for compute in computes:
        assert compute.check_output("hostname")


def test_wrong(controller):
    assert controller.check_output("echo %s", "{secret}") == "right"


def test_nobody(host):
    assert host


@pytest.mark.direct
def test_once(controller):
    controller.run("echo once >>{notes}")
    assert controller.run("wc -l <{notes}").stdout == "1\\n"


@pytest.mark.skip(reason="not today")
def test_skipped():
    pass
"""


def test_a_users_own_checks_run_beside_the_plans_and_count_apart(build_dir: Path, tmp_path: Path) -> None:
    plan = laid_out(build_dir)
    own = tmp_path / "checks"
    own.mkdir()
    (own / "test_mine.py").write_text(OWN.format(secret=SECRETS["NOVA_PASS"], notes=tmp_path / "notes"))
    (own / "test_broken.py").write_text("import no_such_module\n")
    report = verify(plan, build_dir, ids=["controller-good"], own=own, html=tmp_path / "r.html")
    assert [(check.id, check.outcome) for check in report.checks] == [("controller-good", "passed")]
    messages = {check.id.partition("::")[2]: check.message for check in report.own.checks}
    assert messages["test_directory"] == ""
    assert {check.id: check.outcome for check in report.own.checks} == {
        "checks/test_broken.py": "error",
        "checks/test_mine.py::test_directory": "passed",
        "checks/test_mine.py::test_each_compute_has_a_name": "error",
        "checks/test_mine.py::test_wrong": "failed",
        "checks/test_mine.py::test_nobody": "error",
        "checks/test_mine.py::test_once": "passed",
        "checks/test_mine.py::test_skipped": "skipped",
    }
    assert "no_such_module" in messages[""]
    assert "No route to host" in messages["test_each_compute_has_a_name"]
    assert "'${NOVA_PASS}' == 'right'" in messages["test_wrong"]
    assert "the fixtures are computes, controller, compute1" in messages["test_nobody"]
    shape = report.as_dict()
    assert (shape["passed"], shape["own"]["passed"], shape["own"]["errors"]) == (1, 2, 3)
    assert set(shape["own"]["checks"][0]) == {"id", "file", "outcome", "message", "seconds"}
    assert SECRETS["NOVA_PASS"] not in json.dumps(shape) + (tmp_path / "r.html").read_text()


def test_a_directory_without_tests_is_none_of_the_users(build_dir: Path, tmp_path: Path) -> None:
    plan = laid_out(build_dir)
    assert verify(plan, build_dir, ids=["controller-good"], own=tmp_path / "checks").own.checks == ()
    assert verify(plan, build_dir, ["10-environment"], own=tmp_path).checks == ()


def test_verify_steps(build_dir: Path) -> None:
    plan = laid_out(build_dir)
    report = verify(plan, build_dir, ["55-compute-node"])
    assert [check.id for check in report.checks] == ["compute1-away"]
    assert verify(plan, build_dir, ["10-environment"]).checks == ()
    assert verify(plan, build_dir, ["55"]) == report
    with pytest.raises(UsageError):
        verify(plan, build_dir, ["5"])


BASH = """\
#!/bin/bash
systemctl() { printf 'ActiveState=active\\nActiveEnterTimestampMonotonic=0\\n'; }
export -f systemctl
exec bash -c "${!#}"
"""
"""an `ssh` to this machine, on which all units have run since it was booted"""


@pytest.mark.parametrize("road", ["lab verify", "the quick checks of lab up"])
def test_what_a_service_makes_in_its_own_time_is_waited_for(road: str, build_dir: Path, tmp_path: Path) -> None:
    laid_out(build_dir)
    for name, script in (("ssh", BASH), ("sudo", '#!/bin/bash\nexec "$@"\n')):
        (build_dir.parent / "bin" / name).write_text(script)
    agent = {"quick": True, "comes": Comes(by=("neutron-dhcp-agent",), within=1)}
    at_once = f"test -e {tmp_path}/there || {{ touch {tmp_path}/there; exit 1; }}"
    checks = [
        named(a_check("command", {"run": at_once}), "in-time").model_copy(update=agent),
        named(a_check("command", {"run": "exit 1"}), "never").model_copy(update=agent),
        named(a_check("command", {"run": f"echo >>{tmp_path}/asked; exit 1"}), "wrong").model_copy(
            update={"quick": True}
        ),
    ]
    plan = a_plan(*checks, wait_factor=1.0)
    (build_dir / "plan.json").write_text(plan.model_dump_json())
    job = ("controller", "50-compute-controller")
    report = verify(plan, build_dir) if road == "lab verify" else verify(plan, build_dir, ids=quick_ids(plan, [job]))
    assert {check.id: check.outcome for check in report.checks} == {
        "controller-in-time": "passed",
        "controller-never": "failed",
        "controller-wrong": "failed",
    }
    messages = {check.id: check.message for check in report.checks}
    assert re.search(r"\(asked again for [3-9] s\)$", messages["controller-never"])
    assert "asked again" not in messages["controller-wrong"]
    assert (tmp_path / "asked").read_text() == "\n"


def test_verify_tells_when_the_suite_breaks(build_dir: Path) -> None:
    plan = laid_out(build_dir)
    (build_dir / "plan.json").unlink()
    with pytest.raises(MachineError, match="exit code 4") as broken:
        verify(plan, build_dir)
    assert "plan.json is missing" in broken.value.detail


def hanging(build_dir: Path) -> Plan:
    """A lab whose controller takes the question and never answers."""
    plan = laid_out(build_dir)
    (build_dir.parent / "bin" / "ssh").write_text("#!/bin/sh\nexec sleep 60\n")
    return plan


def test_the_suite_ends_after_its_limit_and_says_what_it_waited_for(build_dir: Path) -> None:
    plan = hanging(build_dir)
    before = time.monotonic()
    with pytest.raises(MachineError, match="the suite did not end within 8 s") as late:
        verify(plan, build_dir, limit_s=8)
    assert time.monotonic() - before < 50
    assert "without a result: controller-good, " in late.value.detail


def test_the_suite_ends_at_once_where_there_is_nobody_to_ask(build_dir: Path) -> None:
    def ended() -> None:
        raise MachineError("a machine has ended")

    with pytest.raises(MachineError, match="a machine has ended"):
        verify(hanging(build_dir), build_dir, check=ended)


def test_report_shows_failures_first_and_groups_what_has_one_cause() -> None:
    away = [
        CheckResult(f"compute1-{n}", "55-compute-node", "compute1", "error", "no ssh", "Guide", 0.0, "x")
        for n in range(9)
    ]
    bad = CheckResult(
        "c-1", "50-compute-controller", "controller", "failed", "expected a, found b", "Guide: x", 0, "do"
    )
    good = CheckResult("c-2", "50-compute-controller", "controller", "passed", "", "Guide: x", 0, "do")
    console = Console(width=100, force_terminal=False)
    with console.capture() as captured:
        print_report(console, a_plan(), Report((good, bad, *away)))
    shown = captured.get()
    assert shown.index("FAILED") < shown.index("50-compute-controller")
    assert "guide    Guide: x" in shown
    assert "command  do" in shown
    assert shown.count("no ssh") == 1
    assert "9 checks of compute1" in shown
    assert "1 failed, 9 could not be checked of 11 checks" in shown
    mine = CheckResult("checks/test_a.py::test_b", "checks/test_a.py", "", "failed", "assert 1 == 2", "", 0.0)
    with console.capture() as captured:
        print_report(console, a_plan(), Report((good,), Counted((mine,))))
    shown = captured.get()
    assert "checks/test_a.py " in shown
    assert "assert 1 == 2" in shown
    assert "all 1 checks passed; 1 failed of 1 checks of your own" in shown


def test_a_text_option_of_a_file_that_is_no_text(tmp_path: Path) -> None:
    check = a_check("option", {"path": "/etc/f", "section": "a", "option": "b", "value": "c"})
    hosts = {"controller": FakeNode({"texts:/etc/f": text("\x00\ufffd")}), "compute1": FakeNode({})}
    assert "no such option" in judge(tmp_path, check, hosts)
    assert ran()["rc"] == 0


def test_the_documented_example_of_a_users_own_checks(build_dir: Path, tmp_path: Path) -> None:
    plan = laid_out(build_dir)
    text = (INFRA_SUITE.parent.parent / "docs" / "checks.md").read_text()
    example = text.split("<!-- example of checks -->\n```python\n")[1].split("```")[0]
    for there, here in (("m1.class", "no such flavor"), ("touch /root/once", f"touch {tmp_path}/once")):
        assert there in example
        example = example.replace(there, here)
    own = tmp_path / "checks"
    own.mkdir()
    (own / "test_class.py").write_text(example)
    results = {check.id.partition("::")[2]: check for check in verify(plan, build_dir, ids=["x"], own=own).own.checks}
    assert results["test_nova_api_runs"].outcome == "failed"  # this machine has none
    assert "No module named 'openstack_batch'" in results["test_the_class_has_its_flavor"].message
    assert results["test_every_compute_forwards"].message.endswith("No route to host")
    assert results["test_a_file_may_be_written"].outcome == "error"  # compute1 is away
