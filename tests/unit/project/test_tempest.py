"""tests/tempest without a cloud: what it writes for Tempest, what it reads of Tempest, and how it judges."""

from __future__ import annotations

import configparser
import json
import signal
import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sample_plans import sample_plan
from tempest import __main__ as run
from tempest import settings
from tempest.cloud import Cloud, ask, left
from tempest.report import told
from tempest.results import Known, Result, judge, reason_of, result_of, short_name

from lab.base import resources
from lab.base.errors import MachineError, UsageError
from lab.inputs.catalog import load_steps
from lab.inputs.model import Spec
from lab.inputs.release import load_release, release_names
from lab.planning.plan import HostFacts, Plan
from lab.planning.resolve import resolve

CLOUD = Cloud(image="image-id", flavor="0", network="network-id", extensions=("router", "security-group"))
FAULT = Known(("epoxy",), "identity.test_a", "encrypted_blob", "keystone's own")


def plan_of(release: str, *chapters: str, **spec: object) -> Plan:
    known = load_release(release)
    asked = Spec.model_validate({"name": "demo", "release": release, "chapters": chapters, **spec})
    return resolve(asked, known, load_steps(known, resources.PROVISION), HostFacts())


def conf_of(plan: Plan, password: str = "secret") -> configparser.RawConfigParser:
    read = configparser.RawConfigParser(default_section="")
    read.read_string(settings.as_text(settings.settings(plan, CLOUD, password, Path("/work"))))
    return read


@pytest.mark.parametrize("release", release_names())
def test_every_release_has_a_configuration(release: str) -> None:
    read = conf_of(plan_of(release))
    assert read["compute"]["image_ref"] == "image-id"
    assert read["network"]["public_network_id"] == "network-id"
    assert read["network-feature-enabled"]["api_extensions"] == "router,security-group"
    assert read["service_available"]["cinder"] == "False"


def test_networks_of_the_users_own_come_with_the_chapter() -> None:
    without, with_it = plan_of("zed"), plan_of("zed", "self-service")
    assert settings.services_of(without) == ("identity", "image", "compute")
    assert settings.services_of(with_it) == ("identity", "image", "compute", "network")
    assert conf_of(without)["compute"]["fixed_network_name"] == "provider"
    assert conf_of(without)["auth"]["create_isolated_networks"] == "False"
    assert "fixed_network_name" not in conf_of(with_it)["compute"]
    assert conf_of(with_it)["auth"]["create_isolated_networks"] == "True"
    assert conf_of(with_it)["network-feature-enabled"]["floating_ips"] == "True"


def test_a_slow_lab_makes_no_network_for_each_class_of_tests() -> None:
    slow = conf_of(plan_of("zed", "self-service").model_copy(update={"wait_factor": 10.5}))
    assert slow["auth"]["create_isolated_networks"] == "False"
    assert slow["compute"]["fixed_network_name"] == "provider"


def test_consoles_are_those_of_the_chapters() -> None:
    assert conf_of(plan_of("zed"))["compute-feature-enabled"]["vnc_console"] == "True"
    other = conf_of(plan_of("zed", "spice", "serial"))["compute-feature-enabled"]
    assert (other["vnc_console"], other["spice_console"], other["serial_console"]) == ("False", "True", "True")


@pytest.mark.parametrize(("factor", "wait"), [(1.0, 300), (4.0, 300), (16.0, 960)])
def test_a_slow_lab_is_waited_for_longer_and_none_less_than_tempest_does(factor: float, wait: int) -> None:
    plan = sample_plan(wait_factor=factor)
    assert settings.wait_s(plan) == wait
    read = conf_of(plan)
    assert {read[section]["build_timeout"] for section in ("compute", "image", "network")} == {str(wait)}
    assert float(read["service-clients"]["http_timeout"]) >= 60 * factor


def test_the_projects_networks_do_not_meet_the_labs() -> None:
    networks = {"provider": "10.100.7.0/24"}
    assert conf_of(plan_of("zed"))["network"]["project_network_cidr"] == "10.100.0.0/16"
    assert conf_of(plan_of("zed", networks=networks))["network"]["project_network_cidr"] == "172.30.0.0/16"


@pytest.mark.parametrize("password", ["plain", "a%b", "%(x)s", "Zz.~-_9"])
def test_any_password_reaches_tempest(password: str) -> None:
    assert conf_of(plan_of("zed"), password)["auth"]["admin_password"] == password


def test_a_dollar_is_none_of_oslo_configs_variables() -> None:
    assert "admin_password = a$$b" in settings.as_text({"auth": {"admin_password": "a$b"}})


def venv_of(place: Path, python: str, validator: str = "") -> Path:
    """A virtualenv with a Tempest, whose programs are shell scripts."""
    (place / "lib/python3.11/site-packages/tempest").mkdir(parents=True)
    (place / "bin").mkdir()
    for name, text in {"python": python, "oslo-config-validator": validator}.items():
        (place / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (place / "bin" / name).chmod(0o755)
    return place


def test_only_the_owner_reads_the_password(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    run.Tempest(tmp_path / "work", venv_of(tmp_path / "venv", "")).prepare("[auth]\nadmin_password = secret\n")
    assert stat.S_IMODE((tmp_path / "work/tempest.conf").stat().st_mode) == 0o600
    assert "test_discover" in (tmp_path / "work/.stestr.conf").read_text()


def test_an_option_that_tempest_does_not_know_is_refused(tmp_path: Path) -> None:
    venv = venv_of(tmp_path / "venv", "", 'grep -q bogus "$2" || exit 0; echo compute/bogus is not known >&2; exit 1')
    run.Tempest(tmp_path, venv).prepare("[compute]\n")
    with pytest.raises(MachineError, match="compute/bogus is not known"):
        run.Tempest(tmp_path, venv).prepare("[compute]\nbogus = 1\n")


def test_no_tempest_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no Tempest in"):
        run.Tempest(tmp_path, tmp_path / "none").prepare("")


def test_a_script_that_fails_says_why(tmp_path: Path) -> None:
    venv = venv_of(tmp_path / "venv", "echo no image tiny >&2; exit 1")
    with pytest.raises(MachineError, match="no image tiny"):
        run.Tempest(tmp_path, venv).ask("cloud.py", "tiny")


LEFT = """case "$*" in *--left*) cat {left} ;; esac"""
CLEANUP = """#!/bin/sh
echo "$*" >> {calls}
echo '[]' > {left}
"""


@pytest.mark.parametrize(("before", "still", "calls"), [(set(), [], 1), ({"user tempest-mine"}, ["user tempest-1"], 0)])
def test_only_what_can_be_nobody_elses_is_removed(
    tmp_path: Path, before: set[str], still: list[str], calls: int
) -> None:
    left, called = tmp_path / "left", tmp_path / "calls"
    left.write_text(json.dumps(["user tempest-1", *before]))
    called.touch()
    venv = venv_of(tmp_path / "venv", LEFT.format(left=left))
    (venv / "bin/tempest").write_text(CLEANUP.format(left=left, calls=called))
    (venv / "bin/tempest").chmod(0o755)
    assert run.Tempest(tmp_path, venv).clean(before) == still
    assert called.read_text().splitlines() == ["cleanup --prefix tempest-"] * calls


def test_the_labs_own_python_path_is_not_tempests(tmp_path: Path) -> None:
    venv = venv_of(tmp_path / "venv", 'printf \'"%s"\' "${PYTHONPATH-none} $OS_CLOUD"')
    tempest = run.Tempest(tmp_path, venv, {"PYTHONPATH": "tests", "OS_CLOUD": "demo", "PATH": "/usr/bin:/bin"})
    assert tempest.ask("cloud.py") == "none demo"


class Asked:
    """One API of a cloud: each call gives what it was made with."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        return lambda *_args, **_options: self._answers.get(name, [])


class Named:
    def __init__(self, name: str) -> None:
        self.name = self.id = self.alias = name


def test_the_cloud_is_asked_for_what_the_lab_made() -> None:
    class Answering:
        image = Asked(find_image=Named("i"))
        compute = Asked(find_flavor=Named("f"))
        network = Asked(find_network=Named("n"), extensions=[Named("router"), Named("address-scope")])

    assert ask(Answering, "tiny", "m1.nano", "provider") == Cloud("i", "f", "n", ("address-scope", "router"))


def test_what_is_left_over_is_named_whatever_it_is() -> None:
    class Answering:
        image = Asked(images=[Named("tiny"), Named("tempest-image-1")])
        compute = Asked(servers=[Named("instance-compute1")])
        network = Asked(networks=[Named("tempest-net")], find_extension=None, routers=[Named("tempest-router")])
        identity = Asked(users=[Named("tempest-u")], projects=[Named("admin")])

    assert list(left(Answering, "tempest-")) == [
        "image tempest-image-1",
        "network tempest-net",
        "user tempest-u",
    ]


@pytest.mark.parametrize(
    ("test_id", "name"),
    [
        ("tempest.api.image.v2.test_images.A.test_b[id-1,smoke]", "image.v2.test_images.A.test_b"),
        ("setUpClass (tempest.api.compute.servers.test_x.A)", "compute.servers.test_x.A"),
        ("tearDownClass (tempest.api.network.test_x.A)", "network.test_x.A"),
    ],
)
def test_a_test_is_named_shortly(test_id: str, name: str) -> None:
    assert short_name(test_id) == name


TRACEBACK = """Traceback (most recent call last):
  File "tempest/api/x.py", line 3, in test_b
    body = self.client.update()
tempest.lib.exceptions.ServerFault: Got server fault
Details: KeyError 'encrypted_blob'
"""


def test_the_reason_is_the_line_that_tells_most() -> None:
    assert (
        reason_of(TRACEBACK)
        == "tempest.lib.exceptions.ServerFault: Got server fault Details: KeyError 'encrypted_blob'"
    )
    assert reason_of("Cinder support is required\n") == "Cinder support is required"
    assert reason_of("") == ""


class Text:
    def __init__(self, text: str) -> None:
        self._text = text

    def as_text(self) -> str:
        return self._text


@pytest.mark.parametrize(
    ("status", "details", "read", "reason"),
    [
        ("success", {}, "passed", ""),
        ("skip", {"reason": Text("no volumes")}, "skipped", "no volumes"),
        ("fail", {"pythonlogging:''": Text("noise"), "traceback": Text("ValueError: no")}, "failed", "ValueError: no"),
        ("inprogress", {}, "failed", ""),
    ],
)
def test_the_stream_is_read(status: str, details: dict[str, Text], read: str, reason: str) -> None:
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    test = {"id": "tempest.api.image.A.b[smoke]", "status": status, "details": details}
    result = result_of({**test, "timestamps": (begun, begun + timedelta(seconds=2.5))})
    assert result == Result("image.A.b", read, 2.5, reason)  # type: ignore[arg-type]


def results(passed: int, failed: int, skipped: int = 0) -> list[Result]:
    made = [Result(f"identity.p{n}", "passed", 1.0) for n in range(passed)]
    made += [Result(f"image.f{n}", "failed", 1.0, "why not") for n in range(failed)]
    return made + [Result(f"compute.s{n}", "skipped", 0.0, "no volumes") for n in range(skipped)]


@pytest.mark.parametrize(("passed", "failed", "code"), [(19, 1, 0), (18, 1, 1), (20, 0, 0), (0, 0, 1), (0, 3, 1)])
def test_95_of_100_must_pass_and_what_is_skipped_does_not_count(passed: int, failed: int, code: int) -> None:
    verdict = judge(results(passed, failed, 30), [], "zed")
    assert run.code_of(verdict, ["identity"], []) == code


def test_a_service_of_which_nothing_passed_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.code_of(judge(results(40, 0), [], "zed"), ["identity", "compute"], []) == 1
    assert "nothing passed of compute" in capsys.readouterr().err


def test_what_is_left_over_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.code_of(judge(results(40, 0), [], "zed"), ["identity"], ["user tempest-1"]) == 1
    assert "left over: user tempest-1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("release", "reason", "is_known"),
    [
        ("epoxy", "500: KeyError 'encrypted_blob'", True),
        ("zed", "500: KeyError 'encrypted_blob'", False),
        ("epoxy", "timed out", False),
    ],
)
def test_a_known_fault_is_one_of_that_release_for_that_reason(release: str, reason: str, is_known: bool) -> None:
    verdict = judge([Result("identity.test_a", "failed", 1.0, reason)], [FAULT], release)
    assert bool(verdict.known) == is_known
    assert bool(verdict.failed) == (not is_known)


def test_known_faults_are_those_of_releases_that_there_are() -> None:
    for fault in run.known_faults():
        assert set(fault.releases) <= set(release_names())
        assert fault.says
        assert fault.why


def test_the_table_names_what_did_not_pass_and_why() -> None:
    found = [*results(2, 1, 1), Result("identity.test_a", "failed", 1.0, "KeyError 'encrypted_blob'")]
    lines = told(judge(found, [FAULT], "epoxy"), ["identity", "network"], 3.0).splitlines()
    assert lines[1].split() == ["passed", "failed", "known", "skipped"]
    assert ["identity", "2", "0", "1", "0"] in [line.split() for line in lines]
    assert ["network", "0", "0", "0", "0"] in [line.split() for line in lines]
    assert ["all", "2", "1", "1", "1"] in [line.split() for line in lines]
    for name, reason in {
        "image.f0": "why not",
        "compute.s0": "no volumes",
        "identity.test_a": "keystone's own",
    }.items():
        assert lines[lines.index(f"  {name}") + 1].strip() == reason
    assert lines[-1].startswith("66.7% of what")


def test_services_that_cannot_be_tested_are_refused() -> None:
    plan = plan_of("zed")
    assert run.chosen(plan, []) == ("identity", "image", "compute")
    assert run.chosen(plan, ["image"]) == ("image",)
    with pytest.raises(UsageError, match="no service images"):
        run.chosen(plan, ["images"])
    with pytest.raises(UsageError, match="no tests of network"):
        run.chosen(plan, ["network"])


def test_the_pattern_takes_smoke_tests_of_the_services_alone() -> None:
    import re

    pattern = re.compile(run.pattern_of(["identity", "image"]))
    assert pattern.search("tempest.api.image.v2.test_images.A.test_b[id-139b765e,smoke]")
    assert pattern.search("tempest.api.identity.v3.A.test_b[smoke]")
    for other in (
        "tempest.api.image.A.test_smoke[id-1]",
        "tempest.api.compute.A.b[smoke]",
        "x.tempest.api.image.A.b[smoke]",
    ):
        assert not pattern.search(other)


def test_results_are_written_as_they_are_read() -> None:
    (result,) = results(1, 0)
    assert Result(**json.loads(json.dumps(vars(result)))) == result


def test_a_run_that_is_ended_early_ends_all_that_it_started(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run.run_in_group(["sh", "-c", "sleep 300 & echo $! >worker; sleep 3; kill -USR1 $PPID; wait"], tmp_path, {})
    finally:
        signal.signal(signal.SIGUSR1, before)
    worker = Path("/proc", (tmp_path / "worker").read_text().strip(), "stat")
    ended = time.monotonic() + 10
    while worker.exists() and worker.read_text().split()[2] != "Z":
        assert time.monotonic() < ended
        time.sleep(0.05)
