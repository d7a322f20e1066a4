"""The topology as text that other programs draw: Mermaid (in Markdown pages) and DOT (Graphviz). Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import graphviz

from lab.teaching.topology import USERS

if TYPE_CHECKING:
    from lab.inputs.steps import Role
    from lab.teaching.topology import Group, Machine, Topology


def mermaid(found: Topology) -> str:
    """Write it as a Mermaid flowchart."""
    lines = ["flowchart LR", f"  {_id(USERS, None)}([{_quoted('users: browsers, clients')}])"]
    for machine in found.machines:
        lines.append(f"  subgraph {machine.role}[{_quoted(_heading(machine))}]")
        lines += [
            f"    {_id(group.label, machine.role)}[{_quoted('<br/>'.join(_lines(group)))}]" for group in machine.groups
        ]
        lines.append("  end")
    for net in found.networks:
        lines.append(f"  net_{net.kind}[/{_quoted(f'{net.kind} {net.cidr}')}/]")
        lines += [f"  net_{net.kind} ---|{net.device}| {machine.role}" for machine in found.machines]
    for flow in found.flows:
        label = f"|{', '.join(flow.what)}|" if flow.what else ""
        lines.append(f"  {_id(flow.caller, flow.caller_role)} -->{label} {_id(flow.target, flow.target_role)}")
    return "\n".join(lines) + "\n"


def dot(found: Topology) -> str:
    """Write it as a DOT graph."""
    graph = graphviz.Digraph(
        "lab", graph_attr={"rankdir": "LR", "compound": "true", "label": f"lab {found.lab}: {found.title}"},
        node_attr={"shape": "box", "fontname": "DejaVu Sans", "fontsize": "10"}, edge_attr={"fontsize": "9"},
    )  # fmt: skip
    graph.node(_id(USERS, None), "users: browsers, clients", shape="ellipse")
    for machine in found.machines:
        with graph.subgraph(name=f"cluster_{machine.role}", graph_attr={"label": _heading(machine)}) as part:
            for group in machine.groups:
                part.node(_id(group.label, machine.role), "\n".join(_lines(group)))
    for net in found.networks:
        graph.node(f"net_{net.kind}", f"{net.kind}\n{net.cidr}", shape="parallelogram")
        for machine in found.machines:
            first = _id(machine.groups[0].label, machine.role)
            graph.edge(
                f"net_{net.kind}", first, label=net.device, dir="none", style="dashed", lhead=f"cluster_{machine.role}"
            )
    for flow in found.flows:
        graph.edge(_id(flow.caller, flow.caller_role), _id(flow.target, flow.target_role), label=", ".join(flow.what))
    return str(graph.source)


def _heading(machine: Machine) -> str:
    return f"{_ends(machine.names)}: {machine.size}, {_ends(machine.addresses)}"


def _ends(values: tuple[str, ...]) -> str:
    return values[0] if len(values) == 1 else f"{values[0]} … {values[-1]}"


def _lines(group: Group) -> list[str]:
    return [group.label, *(" ".join([s.name, *(f":{port}" for port in s.ports)]) for s in group.services)]


def _id(label: str, role: Role | None) -> str:
    return f"{role or 'outside'}_{re.sub(r'[^a-z0-9]+', '_', label.lower())}"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', "#quot;") + '"'
