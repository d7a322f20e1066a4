"""A lab that was moved, on libvirt's own test driver: its machines learn the new place, others' do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from recorded_progress import RecordedProgress
from sample_plans import sample_plan

from lab.base import builddir
from lab.host import host as hosts
from lab.host import place, records
from lab.host.host import SystemHost
from lab.host.libvirt import Hypervisor
from lab.host.ownership import source_of
from lab.host.relocate import relocate_domain, relocated
from lab.machines import moved
from lab.verbs.down import down

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLAN = sample_plan()
DOMAINS = [node.domain for node in PLAN.nodes]
DOMAIN = """<domain type='test'><name>{name}</name><description>Source: {build}/Vagrantfile</description>
<memory unit='MiB'>64</memory><os><type>hvm</type></os><devices><serial type='file'>
<source path='{build}/logs/{node}/console.log'/><target port='0'/></serial></devices></domain>"""


@pytest.fixture
def hypervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hypervisor]:
    """A machine's libvirt with a lab of a build directory `old`, the controller running."""
    monkeypatch.setattr(records, "STATE_ROOT", tmp_path / "state")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant"))
    (tmp_path / "node.xml").write_text("<node/>")
    builddir.claim(tmp_path / "old")
    moved.claim(PLAN, tmp_path / "old", "system")
    with Hypervisor(f"test://{tmp_path}/node.xml") as connection:
        for node in PLAN.nodes:
            define(connection, node.name, tmp_path / "old")
        connection.connection.lookupByName(DOMAINS[0]).create()
        monkeypatch.setattr(SystemHost, "hypervisor", lambda _self: connection)
        monkeypatch.setattr(SystemHost, "start", lambda _self: None)
        monkeypatch.setattr(connection, "close", lambda: None)
        yield connection


def define(hypervisor: Hypervisor, node: str, build: Path | str) -> Any:
    return hypervisor.connection.defineXML(DOMAIN.format(name=f"demo-{node}", build=build, node=node))


def test_a_moved_lab_goes_on_with_its_machines(hypervisor: Hypervisor, tmp_path: Path) -> None:
    key = records.lab_key("demo", tmp_path / "old")
    new = (tmp_path / "old").rename(tmp_path / "new")
    uuids = [hypervisor.uuid(name) for name in DOMAINS]
    assert hypervisor.foreign_domains(DOMAINS, new) == DOMAINS
    for _ in range(2):
        moved.follow("demo", new, "lab up", lambda _text: None)
        assert hypervisor.foreign_domains(DOMAINS, new) == []
    assert [hypervisor.uuid(name) for name in DOMAINS] == uuids
    assert hypervisor.state(DOMAINS[0]) == "running"
    record = records.load(key)
    assert record is not None
    assert record.build_dir == str(new)
    assert records.lab_key("demo", new) == key
    records.require_home(new)
    hypervisor.power_off(DOMAINS[0])
    for name in DOMAINS:
        assert f"{new}/logs/" in hypervisor.domain(name).XMLDesc()  # type: ignore[union-attr]
        assert f"{tmp_path}/old/" not in hypervisor.domain(name).XMLDesc()  # type: ignore[union-attr]


def test_a_moved_lab_can_be_removed(hypervisor: Hypervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOST", "system")
    monkeypatch.setattr(hosts, "why_not", lambda _uri: None)
    (tmp_path / "lab.yaml").write_text("name: demo\nrelease: zed\n")
    new = (tmp_path / "old").rename(tmp_path / "new")
    (new / "plan.json").write_text(PLAN.model_dump_json())
    down(tmp_path / "lab.yaml", new, RecordedProgress())
    assert hypervisor.domains() == []
    assert records.known_keys() == []
    assert place.load(new) is None


def test_what_was_cut_short_is_done_again(
    hypervisor: Hypervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = (tmp_path / "old").rename(tmp_path / "new")
    with monkeypatch.context() as cut:
        cut.setattr(place, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            moved.follow("demo", new, "lab up", lambda _text: None)
    moved.follow("demo", new, "lab up", lambda _text: None)
    assert hypervisor.foreign_domains(DOMAINS, new) == []
    records.require_home(new)


def test_a_domain_of_another_lab_keeps_its_description(hypervisor: Hypervisor, tmp_path: Path) -> None:
    hypervisor.connection.lookupByName(DOMAINS[1]).undefine()
    define(hypervisor, "compute1", "/elsewhere")
    new = (tmp_path / "old").rename(tmp_path / "new")
    moved.follow("demo", new, "lab up", lambda _text: None)
    assert str(source_of(hypervisor.description(DOMAINS[1]))) == "/elsewhere"
    assert hypervisor.foreign_domains(DOMAINS, new) == [DOMAINS[1]]


def test_snapshots_learn_the_place_too(hypervisor: Hypervisor, tmp_path: Path) -> None:
    domain: Any = hypervisor.domain(DOMAINS[1])
    for name in ("one", "two"):
        domain.snapshotCreateXML(f"<domainsnapshot><name>{name}</name></domainsnapshot>")
    relocate_domain(hypervisor, DOMAINS[1], tmp_path / "new", "compute1")
    assert sorted(domain.snapshotListNames()) == ["one", "two"]
    assert domain.snapshotCurrent().getName() == "two"
    for name in ("one", "two"):
        domain.revertToSnapshot(domain.snapshotLookupByName(name))
        assert hypervisor.foreign_domains(DOMAINS[1:], tmp_path / "new") == []
    relocate_domain(hypervisor, "nobody", tmp_path / "new", "compute1")


def test_what_is_right_already_stays_to_the_letter(tmp_path: Path) -> None:
    xml = DOMAIN.format(name="demo-controller", build=tmp_path, node="controller")
    assert relocated(xml, tmp_path, "controller") is xml
    foreign = "<domain><description>mine</description></domain>"
    assert relocated(foreign, tmp_path, "controller") is foreign
