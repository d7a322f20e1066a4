"""`lab graph`: all that the plan has is in the drawing, and nothing else; it is quick."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from cpu_time import NOISE, spent
from teaching_labs import LABS, plan_of
from typer.testing import CliRunner

from lab.cli.main import app
from lab.teaching.drawing import svg
from lab.teaching.graph_text import dot, mermaid
from lab.teaching.topology import Flow, topology

if TYPE_CHECKING:
    from pathlib import Path

    from lab.teaching.topology import Topology


def flows(found: Topology) -> dict[tuple[str, str | None], dict[tuple[str, str], tuple[str, ...]]]:
    by_caller: dict[tuple[str, str | None], dict[tuple[str, str], tuple[str, ...]]] = {}
    for flow in found.flows:
        by_caller.setdefault((flow.caller, flow.caller_role), {})[(flow.target, flow.target_role)] = flow.what
    return by_caller


@pytest.mark.parametrize(("name", "chapters"), LABS)
def test_every_unit_and_every_port_once_on_its_machine(name: str, chapters: tuple[str, ...]) -> None:
    plan = plan_of(name, chapters)
    for machine in topology(plan).machines:
        services = [service for group in machine.groups for service in group.services]
        first = machine.names[0]
        units = {unit for step in plan.steps if first in step.nodes for unit in step.units} - {"networking"}
        assert sorted(service.name for service in services) == sorted(units)
        listening = [c.args["address"] for c in plan.checks if c.kind == "socket" and c.node == first]
        told = [port for service in services for port in service.ports]
        assert sorted(told) == sorted({address.rpartition(":")[2] for address in listening})


def test_a_port_belongs_to_the_unit_that_the_components_say() -> None:
    controller = topology(plan_of("epoxy")).machines[0]
    ports = {service.name: service.ports for group in controller.groups for service in group.services}
    assert {name: ports[name] for name in ("nova-api", "nova-api-metadata", "nova-novncproxy", "nova-scheduler")} == {
        "nova-api": ("8774",),
        "nova-api-metadata": ("8775",),
        "nova-novncproxy": ("6080",),
        "nova-scheduler": (),
    }


def test_who_talks_to_whom() -> None:
    found = flows(topology(plan_of("epoxy")))
    nova = found[("Compute service", "controller")]
    assert nova[("SQL database", "controller")] == ("nova_api", "nova", "nova_cell0")
    assert set(nova) == {
        *((name, "controller") for name in ("SQL database", "Message queue", "Memcached", "Identity service")),
        *((name, "controller") for name in ("Image service", "Placement service", "Networking service")),
        ("Compute service", "compute"),  # the consoles
    }
    compute = found[("Compute service", "compute")]
    assert ("SQL database", "controller") not in compute
    assert ("Compute service", "controller") not in compute
    assert ("Message queue", "controller") in compute
    assert ("Message queue", "controller") in found[("Networking service", "compute")]
    assert ("Compute service", "controller") in found[("Networking service", "controller")]  # the metadata
    assert {target for target, _ in found[("Users", None)]} == {
        *("Identity service", "Image service", "Placement service", "Compute service", "Networking service")
    }


def test_chapters_are_in_it() -> None:
    found = flows(topology(plan_of("zed", ("dashboard", "serial"))))
    assert {("Dashboard", "controller"), ("Serial consoles", "controller")} <= set(found[("Users", None)])
    assert ("Networking service", "controller") in found[("Dashboard", "controller")]
    assert ("Compute service", "compute") in found[("Serial consoles", "controller")]


def texts(drawn: str) -> list[str]:
    root = ElementTree.fromstring(drawn)
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("computes", [1, 2, 16])
def test_the_drawing_has_nodes_sizes_addresses_and_networks(computes: int) -> None:
    told = texts(svg(topology(plan_of("epoxy", (), computes))))
    assert {"controller", "compute1", "2 CPUs, 3.5 GiB, disk 20 GiB", "1 CPU, 1.5 GiB, disk 20 GiB"} <= set(told)
    assert {"access 192.168.121.0/24", "management 10.0.0.0/24", "provider 203.0.113.0/24"} <= set(told)
    assert {"10.0.0.11", "10.0.0.31", "DHCP", "no address"} <= set(told)
    assert ("10.0.0.32" in told) == (computes == 2)
    assert (".32 … .46" in told) == ("compute2 … 16" in told) == (computes == 16)


def test_every_call_is_in_every_form() -> None:
    found = topology(plan_of("epoxy"))
    count = len(found.flows)
    assert len(re.findall(r"-->", mermaid(found))) == count
    assert len(re.findall(r"->", dot(found))) == count + 2 * len(found.networks)
    names = [name for flow in found.flows for name in flow.what]
    dots = svg(found).count('class="dot"')
    assert dots == len([flow for flow in found.flows if not flow.what])
    assert {"nova_cell0", "glance"} <= set(names) <= set(texts(svg(found)))


def test_a_quote_in_a_title_stays_a_text() -> None:
    plan = plan_of("epoxy")
    steps = tuple(s.model_copy(update={"title": 'The "queue" <&>'}) if s.id[:2] == "21" else s for s in plan.steps)
    found = topology(plan.model_copy(update={"steps": steps}))
    assert 'The "queue" <&>' in texts(svg(found))
    assert "The #quot;queue#quot;" in mermaid(found)
    assert r"The \"queue\" <&>" in dot(found)


def test_nothing_is_drawn_twice() -> None:
    for lab in LABS:
        pairs = [(f.caller, f.caller_role, f.target, f.target_role) for f in topology(plan_of(*lab)).flows]
        assert len(pairs) == len(set(pairs))
        assert all(isinstance(flow, Flow) and flow.caller != "" for flow in topology(plan_of(*lab)).flows)


def test_it_is_drawn_in_half_a_second() -> None:
    plan = plan_of("epoxy", (), 16)
    assert spent(lambda: svg(topology(plan))) < 0.5 * NOISE


def test_the_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    runner = CliRunner()
    runner.invoke(app, ["init", "--release", "zed"])
    assert "compute1" in texts(runner.invoke(app, ["graph"]).output)
    assert runner.invoke(app, ["graph", "--format", "mermaid"]).output.startswith("flowchart")
    assert runner.invoke(app, ["graph", "--format", "dot", "-o", "lab.dot"]).output == "wrote lab.dot\n"
    assert (tmp_path / "lab.dot").read_text().startswith("digraph")
    refused = runner.invoke(app, ["graph", "-o", "nowhere/lab.svg"])
    assert refused.exit_code == 2
    assert "no directory" in refused.output
    assert not (tmp_path / ".lab").exists()
