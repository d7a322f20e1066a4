"""Where a lab runs when somebody else on the machine's libvirt has its subnets or names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from sample_plans import sample_plan

from lab.base.errors import HostError
from lab.host import host as hosts
from lab.host import records
from lab.host.choice import host_for
from lab.host.host import Host, SystemHost, choose_host
from lab.host.private import PrivateHost

if TYPE_CHECKING:
    from pathlib import Path

PLAN = sample_plan()
NETWORK = "<network><name>theirs</name><bridge name='b0'/><ip address='10.0.0.1' netmask='255.255.0.0'/></network>"


def system(_name: str, _build_dir: Path) -> Host:
    return SystemHost("demo", reason="a test")


@pytest.fixture(autouse=True)
def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "STATE_ROOT", tmp_path / "state")
    monkeypatch.setattr("lab.host.neighbours._routes", lambda _bridges: ())
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    libvirt_has(tmp_path, monkeypatch, "")


def libvirt_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    (tmp_path / "node.xml").write_text(f"<node>{what}</node>")
    monkeypatch.setattr(hosts, "SYSTEM_URI", f"test://{tmp_path}/node.xml")


def test_nobody_in_the_way(tmp_path: Path) -> None:
    assert host_for(PLAN, tmp_path, choose=system).mode == "system"


def test_a_taken_subnet_leads_root_to_a_private_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    libvirt_has(tmp_path, monkeypatch, NETWORK)
    host = host_for(PLAN, tmp_path, choose=system)
    assert isinstance(host, PrivateHost)
    assert "cannot be used for it: subnet 10.0.0.0/24: libvirt network theirs" in str(host)


@pytest.mark.parametrize("why", ["no root", "asked for", "exists there"])
def test_a_taken_subnet_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    libvirt_has(tmp_path, monkeypatch, NETWORK)
    if why == "no root":
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "user"))
    elif why == "asked for":
        monkeypatch.setenv("LAB_HOST", "system")
    else:
        records.save(records.record_of(PLAN, tmp_path, "system"))
    with pytest.raises(HostError, match="conflicts with something on this host"):
        host_for(PLAN, tmp_path, choose=system)


def test_a_release_without_security_updates_has_a_private_host(tmp_path: Path) -> None:
    host = host_for(PLAN.model_copy(update={"ended": "2020"}), tmp_path, choose=system)
    assert isinstance(host, PrivateHost)
    assert "no security updates since 2020" in str(host)


@pytest.mark.parametrize("why", ["no root", "asked for"])
def test_it_does_not_use_the_machines_libvirt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    if why == "no root":
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
    else:
        monkeypatch.setenv("LAB_HOST", "system")
    with pytest.raises(HostError, match="meet no network but their own"):
        host_for(PLAN.model_copy(update={"ended": "2020"}), tmp_path, choose=system)


def test_a_namesake_on_the_same_libvirt_leads_to_a_private_host(tmp_path: Path) -> None:
    records.save(records.record_of(PLAN, tmp_path / "other", "system"))
    host = host_for(PLAN, tmp_path / "mine", choose=system)
    assert host.mode == "private"
    assert f"lab demo of {tmp_path}/other already uses this machine's libvirt" in str(host)


def test_namesakes_on_private_hosts_are_nobodys_business(tmp_path: Path) -> None:
    records.save(records.record_of(PLAN, tmp_path / "other", "private"))
    assert host_for(PLAN, tmp_path / "mine", choose=system).mode == "system"


def test_a_lab_stays_on_the_system_libvirt_where_it_was_started(tmp_path: Path) -> None:
    records.save(records.record_of(PLAN, tmp_path / "mine", "system"))

    def chosen(build: str) -> str:
        return choose_host(
            "demo",
            tmp_path / build,
            environ={},
            systemd=tmp_path / "none",
            system_uri="test:///nowhere/at/all",
            state_root=tmp_path / "state",
        ).mode

    assert chosen("mine") == "system"
    assert chosen("other") == "private"
