"""The suite as a whole, up to the wire: selection, one question per node, secrets, nodes that are away; then for real,
with an `ssh` that runs the command on this machine."""

from __future__ import annotations

import json
import threading
import time
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest
from infra_fakes import FakeHost, a_check, a_plan, a_suite, judge, ran, show_nothing, text
from rich.console import Console
from sample_plans import SECRETS

from lab.base.errors import MachineError, UsageError
from lab.planning.secrets import read_env
from lab.terminal.report import print_report
from lab.verification import facts
from lab.verification.outcome import CannotTell
from lab.verification.parse import ini
from lab.verification.remote import question_limit_s
from lab.verification.report import CheckResult, Report
from lab.verification.run import verify
from lab.verification.selection import select
from lab.verification.suite import Suite
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


@pytest.mark.parametrize("wrong", ["55-compute-nod", "compute-node", "55-computenode"])
def test_an_unknown_step_is_refused_with_a_guess(wrong: str) -> None:
    with pytest.raises(UsageError, match=f"no step {wrong}") as refused:
        select(a_plan(), [wrong])
    assert "did you mean `55-compute-node`?" in refused.value.hint


def test_each_node_is_asked_once_per_lane_and_facts_are_merged(tmp_path: Path) -> None:
    checks = [a_check("unit", {"name": name}) for name in ("nova-api", "nova-scheduler")]
    checks += [a_check("database", {"name": "nova"}), a_check("cell", {"name": "cell1"})]
    checks += [a_check("identity-role", {"user": "nova", "role": "admin", "project": "service"})]
    checks += [a_check("openstack", {"list": "compute service list", "row": {"Host": "compute1"}}, "compute1")]
    hosts = {"controller": FakeHost({"units": show_nothing()}), "compute1": FakeHost({})}
    suite = a_suite(tmp_path, hosts, *checks)
    for check in checks:
        suite.require(check)
    with pytest.raises(Exception, match="not in the recording"):
        suite.facts.controller.rows("compute service list")
    cheap, openstack = hosts["controller"].requests
    assert set(cheap["operations"]) == {"units", "sql"}
    assert "nova-api.service nova-scheduler.service" in cheap["operations"]["units"]["script"]
    assert "role assignment list --names\ncompute service list\n" in openstack["operations"]["rows"]["script"]
    assert hosts["compute1"].requests == []


def test_quick_checks_take_one_question_per_node(tmp_path: Path) -> None:
    checks = [a_check("unit", {"name": "x"}), a_check("command", {"run": "hostname"})]
    checks = [check.model_copy(update={"quick": True}) for check in checks]
    hosts = {"controller": FakeHost({"commands:hostname": ran("c")}), "compute1": FakeHost({})}
    suite = a_suite(tmp_path, hosts, *checks)
    for check in checks:
        suite.require(check)
    assert suite.facts.controller.run("hostname").stdout == "c"
    assert len(hosts["controller"].requests) == 1


def test_no_secret_is_sent(tmp_path: Path) -> None:
    checks = [
        a_check("db-login", {"user": "nova", "password": "${NOVA_DBPASS}", "database": "nova"}),
        a_check("queue-user", {"name": "openstack", "password": "${RABBIT_PASS}"}),
        a_check("identity-user", {"name": "nova", "password": "${NOVA_PASS}"}),
        a_check("option", {"path": "/etc/f", "section": "a", "option": "password", "value": "${NOVA_PASS}"}),
    ]
    hosts = {"controller": FakeHost({}), "compute1": FakeHost({})}
    suite = a_suite(tmp_path, hosts, *checks)
    for check in checks:
        suite.require(check)
    assert suite.facts.controller.queue_login("openstack", "RABBIT_PASS") == {"error": "not in the recording"}
    sent = json.dumps(hosts["controller"].requests)
    assert "${NOVA_PASS}" in sent
    assert not any(value in sent for value in SECRETS.values())


def test_a_node_that_is_away_is_asked_once(tmp_path: Path) -> None:
    checks = [a_check("unit", {"name": "x"}), a_check("command", {"run": "hostname"})]
    hosts = {"controller": FakeHost({}, away=True), "compute1": FakeHost({})}
    suite = a_suite(tmp_path, hosts, *checks)
    for check in checks:
        with pytest.raises(Exception, match="No route to host"):
            suite.require(check)
    assert len(hosts["controller"].requests) == 1


@pytest.mark.parametrize(
    ("kind", "args", "said"),
    [
        ("unit", {"nmae": "x"}, "lacks name and has unknown nmae"),
        ("teleport", {}, "no function of the suite asserts checks of kind teleport"),
        ("identity-user", {"name": "nova", "password": "hunter2"}, "must be given by its secret's name"),
    ],
)
def test_a_check_that_the_suite_cannot_judge(kind: str, args: dict[str, str], said: str, tmp_path: Path) -> None:
    message = judge(tmp_path, a_check(kind, args), {"controller": FakeHost({}), "compute1": FakeHost({})})
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


def test_ini_reads_what_configparser_does_not() -> None:
    options = ini("!includedir /x\n[a]\nk=1\nk = 2\nlong = one\n  two\n[b]\nk: 3\n[a]\nz =\n# k = 9\n")
    assert options["a", "k"] == ["1", "2"]
    assert options["a", "long"] == ["one\ntwo"]
    assert options["b", "k"] == ["3"]
    assert options["a", "z"] == [""]


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
    assert (report.passed, report.failed, report.errors, report.skipped, report.good) == (2, 2, 2, 0, False)
    messages = {check.id: check.message for check in report.checks}
    assert messages["controller-bad-secret"].endswith("[nova] password = ${NOVA_PASS}, found another value")
    assert messages["compute1-away"].endswith("ssh: connect to host 10.0.0.31 port 22: No route to host")
    shape = report.as_dict()
    assert list(shape) == ["passed", "failed", "errors", "skipped", "checks"]
    assert list(shape["checks"][0]) == ["id", "step", "node", "outcome", "message", "guide", "seconds"]

    suite = ET.parse(junit).getroot()
    assert [case.attrib["name"] for case in suite.iter("testcase")][0] == "test_command[controller-good]"
    assert "systemctl restart it" in ET.tostring(suite, "unicode")
    for file in (junit, html):
        content = file.read_text()
        assert "Compute service: Install and configure" in content
        assert not any(secret in content for secret in (*SECRETS.values(), "wrong-password"))


def test_verify_steps(build_dir: Path) -> None:
    plan = laid_out(build_dir)
    report = verify(plan, build_dir, ["55-compute-node"])
    assert [check.id for check in report.checks] == ["compute1-away"]
    assert verify(plan, build_dir, ["10-environment"]).checks == ()
    with pytest.raises(UsageError):
        verify(plan, build_dir, ["55"])


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


def test_a_question_without_an_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forever = threading.Event()

    class Mute:
        def run(self, _command: str, *_args: str) -> Any:
            forever.wait()

    monkeypatch.setattr(facts, "_CONNECT_LIMIT_S", 0.2)
    monkeypatch.setattr(facts, "question_limit_s", lambda _operations: 0)
    check = a_check("unit", {"name": "nova-api"})
    plan = a_plan(check)
    (tmp_path / "nodes").mkdir()
    suite = Suite(plan, tmp_path, lambda _node: Mute(), plan.checks)
    suite.prefetch(plan.checks)
    with pytest.raises(CannotTell, match="no answer from controller within"):
        suite.require(check)
    forever.set()


def test_a_question_has_time_for_all_that_it_asks() -> None:
    slow = {"op": "run", "timeout": 180.0}
    assert question_limit_s({}) == 60
    assert question_limit_s({"a": slow, "b": {"op": "file"}}) == 60 + 10 + 4 * 180


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


def test_a_text_option_of_a_file_that_is_no_text(tmp_path: Path) -> None:
    check = a_check("option", {"path": "/etc/f", "section": "a", "option": "b", "value": "c"})
    hosts = {"controller": FakeHost({"texts:/etc/f": text("\x00\ufffd")}), "compute1": FakeHost({})}
    assert "no such option" in judge(tmp_path, check, hosts)
    assert ran()["rc"] == 0
