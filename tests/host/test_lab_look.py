"""What the doctor sees of a lab in libvirt, on libvirt's own test driver, and what becomes of it as findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sample_plans import sample_plan

from lab.diagnosis import lab_look
from lab.diagnosis.lab_doctor import judge
from lab.diagnosis.lab_look import look_at_lab
from lab.host.libvirt import Hypervisor

if TYPE_CHECKING:
    from pathlib import Path

PLAN = sample_plan()
DOMAIN = """<domain type='test'><name>{name}</name><description>Source: {source}/Vagrantfile</description>
<memory unit='MiB'>64</memory><os><type>hvm</type></os></domain>"""
VOLUME = "<volume><name>{}</name><capacity>1048576</capacity></volume>"
NODE = """<node>
<network><name>{access}</name><bridge name='virbr0'/><ip address='192.168.121.1' netmask='255.255.255.0'/></network>
<network><name>{management}</name><bridge name='virbr1'/><ip address='10.0.0.1' netmask='255.255.255.0'/></network>
<pool type='dir'><name>default</name><target><path>/default-pool</path></target></pool>
</node>"""


class Host:
    """A private host on the test driver."""

    mode = "private"

    def __init__(self, tmp_path: Path) -> None:
        names = {network.kind: network.name for network in PLAN.networks}
        file = tmp_path / "node.xml"
        file.write_text(NODE.format(**names))
        self.pool_dir = tmp_path
        self.connection = Hypervisor(f"test://{file}")
        self.raw: Any = self.connection.connection

    def is_running(self) -> bool:
        return True

    def hypervisor(self) -> Hypervisor:
        self.connection.close = lambda: None  # type: ignore[method-assign]  # the driver forgets with its connection
        return self.connection


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(lab_look, "_oom_kills", lambda: ())
    monkeypatch.setattr(lab_look, "memory_mib", lambda: (24000, 8000))
    return Host(tmp_path)


def found(host: Any, build_dir: Path) -> dict[str, str]:
    return {finding.id: finding.found for finding in judge(look_at_lab(PLAN, host, build_dir), PLAN) if not finding.ok}


def machine(host: Host, node: str, build_dir: Path, *, source: str = "", vagrant: bool = True) -> Any:
    domain = host.raw.defineXML(DOMAIN.format(name=PLAN.node(node).domain, source=source or build_dir))
    if vagrant:
        data = build_dir / ".vagrant" / "machines" / node / "libvirt"
        data.mkdir(parents=True)
        (data / "id").write_text(domain.UUIDString())
    return domain


def test_everything_that_is_wrong_at_once(host: Host, tmp_path: Path) -> None:
    host.raw.storagePoolLookupByName("default").createXML(VOLUME.format("demo-compute1.img"))
    host.raw.networkLookupByName(PLAN.networks[1].name).destroy()
    machine(host, "controller", tmp_path, source="/labs/other")
    assert found(host, tmp_path) == {
        "network-management": "inactive",
        "network-provider": "missing",
        "volume-demo-compute1.img": "left over",
        "domain-controller": "not of this lab",
        "domain-compute1": "absent",
        **{f"box-{node.box}": "gone from the cache" for node in PLAN.nodes},
    }


def test_a_machine_that_is_off_one_that_is_paused_and_one_without_an_address(host: Host, tmp_path: Path) -> None:
    machine(host, "controller", tmp_path)
    machine(host, "compute1", tmp_path).create()
    seen = found(host, tmp_path)
    assert seen["domain-controller"] == "shut off"
    assert seen["address-compute1"] == "waiting for an IP"
    host.raw.lookupByName("demo-compute1").suspend()
    assert found(host, tmp_path)["domain-compute1"] == "paused"


def test_a_machine_whose_id_vagrant_did_not_write_down(host: Host, tmp_path: Path) -> None:
    machine(host, "controller", tmp_path, vagrant=False).create()
    assert found(host, tmp_path)["domain-controller"] == "unknown to Vagrant"


def test_a_pool_that_does_not_run_or_is_not_there(host: Host, tmp_path: Path) -> None:
    pool = host.raw.storagePoolLookupByName("default")
    pool.destroy()
    assert found(host, tmp_path)["pool"] == "inactive"
    pool.undefine()
    assert found(host, tmp_path)["pool"] == "missing"
