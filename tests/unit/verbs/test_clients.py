"""What clients outside the nodes are given."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest
from ruamel.yaml import YAML

from lab.base import resources
from lab.base.errors import UsageError
from lab.generator.clouds import clouds_yaml
from lab.host.host import SystemHost
from lab.inputs.catalog import load_steps
from lab.inputs.model import Spec
from lab.inputs.release import load_release, release_names
from lab.openstack import identity_url, service_ports
from lab.planning.plan import HostFacts
from lab.planning.resolve import resolve
from lab.verbs import clients, forward

if TYPE_CHECKING:
    from pathlib import Path

    from lab.planning.plan import Plan


def plan_of(release: str, *chapters: str, **spec: object) -> Plan:
    known = load_release(release)
    asked = Spec.model_validate({"name": "demo", "release": release, "chapters": chapters, **spec})
    return resolve(asked, known, load_steps(known, resources.PROVISION), HostFacts())


@pytest.mark.parametrize("release", release_names())
def test_every_release_says_where_its_identity_api_is(release: str) -> None:
    plan = plan_of(release)
    port = 35357 if 35357 in service_ports(plan) else 5000
    assert identity_url(plan) == f"http://controller:{port}/v3"


@pytest.mark.parametrize("password", ["plain", 'a"b', "a: b # c", "back\\slash", "'", "ä€", "%s {x}"])
def test_clouds_yaml_holds_any_password(password: str) -> None:
    read = YAML(typ="safe").load(clouds_yaml(plan_of("zed"), password))
    assert read["clouds"]["demo"]["auth"]["password"] == password
    assert read["clouds"]["demo"]["auth"]["auth_url"] == "http://controller:5000/v3"


def test_ports_are_those_that_the_plan_names() -> None:
    assert service_ports(plan_of("zed")) == [5000, 6080, 8774, 8775, 8778, 9292, 9696]
    with_more = service_ports(plan_of("zed", "dashboard", "spice", "serial"))
    assert set(with_more) >= {80, 6082, 6083}
    assert 6080 not in with_more


def test_a_proxy_is_told_to_leave_the_lab_alone_and_what_the_user_set_stays(tmp_path: Path) -> None:
    plan = plan_of("zed")
    found = clients.environment(plan, tmp_path, {"no_proxy": "example.org", "OS_CLOUD": "mine"})
    for name in ("no_proxy", "NO_PROXY"):
        words = found[name].split(",")
        assert words[0] == "example.org"
        assert {"controller", "compute1", "10.0.0.11", "10.0.0.31", "203.0.113.0/24"} <= set(words)
    assert found["OS_CLOUD"] == "mine"
    assert found["OS_CLIENT_CONFIG_FILE"] == str(tmp_path / "clouds.yaml")


def test_the_labs_names_come_before_those_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = tmp_path / "hosts"
    machines.write_text("127.0.0.1 localhost\n127.0.1.1 controller\n")
    monkeypatch.setattr(clients, "MACHINES_HOSTS", machines)
    lines = clients.hosts_file_of(plan_of("zed"), tmp_path).read_text().splitlines()
    assert lines[0].split() == ["10.0.0.11", "controller"]
    assert lines[-1] == "127.0.1.1 controller"


def test_a_port_that_is_taken_is_replaced_by_the_next_one() -> None:
    busy = {5000, 8080, 2201}
    found = forward.choose(plan_of("zed", "dashboard"), lambda port: port not in busy)
    local = {(one.node, one.port): one.local for one in found.ports}
    assert local["controller", 5000] == 5001
    assert local["controller", 80] == 8081
    assert local["controller", 8774] == 8774
    assert [local["controller", 22], local["compute1", 22]] == [2202, 2203]
    assert found.socks == 1080
    assert len({*local.values(), found.socks}) == len(local) + 1


def test_no_free_port_is_told() -> None:
    with pytest.raises(UsageError, match="no port from 5000 on is free"):
        forward.choose(plan_of("zed"), lambda _port: False)


def test_ssh_listens_on_the_loopback_alone_and_past_the_standing_connection(tmp_path: Path) -> None:
    found = forward.choose(plan_of("zed"), lambda _port: True)
    argv = forward.ssh_command(tmp_path / "R&D 50%" / "ssh_config", ["in side", "50%"], "controller", found)
    listening = [argv[n + 1] for n, word in enumerate(argv) if word in ("-L", "-D")]
    assert listening
    assert all(word.startswith("127.0.0.1:") for word in listening)
    assert "ControlPath=none" in argv
    proxy = next(word for word in argv if word.startswith("ProxyCommand="))
    assert shlex.split(proxy.partition("=")[2]) == ["in side", "50%%"]


def test_a_lab_without_security_updates_is_not_forwarded(tmp_path: Path) -> None:
    plan = plan_of("zed").model_copy(update={"ended": "2020"})
    with pytest.raises(UsageError, match="no network but their own, and `lab forward` opens ports of this machine"):
        forward.forward(plan, tmp_path / "ssh_config", SystemHost("demo"), print)
