"""Who talks to whom, as a table in the drawing: callers in rows, services in columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.teaching.pen import MARGIN, WIDTH, Pen

if TYPE_CHECKING:
    from lab.inputs.steps import Role
    from lab.teaching.topology import Flow, Topology

_LABELS = 204
"""width of the callers' names"""
_ROW = 28
_WIDEST = 7.2
"""width of the longest word of a column's name, in letters of its size: Networking"""
_SMALL = 13
"""height of a line in a cell"""


def draw_matrix(pen: Pen, found: Topology, y: float) -> float:
    """Draw the table from y on; gives its lower end."""
    targets = _targets(found)
    each = (WIDTH - 2 * MARGIN - _LABELS) / len(targets)
    pen.text("Who talks to whom", MARGIN, y, size=14, bold=True)
    pen.text("the row calls the column, over the management network", MARGIN + 160, y, soft=True)
    heads = [_head(found, label, role) for label, role in targets]
    for number, lines in enumerate(heads):
        _draw_head(pen, lines, MARGIN + _LABELS + (number + 0.5) * each, y + 28, each)
    at = y + 24 + max(map(len, heads)) * _SMALL
    pen.line("rule", [(MARGIN, at), (WIDTH - MARGIN, at)])
    for number, (label, role) in enumerate(_callers(found)):
        cells = [_flow(found, label, role, target) for target in targets]
        height = max(_ROW, *(_SMALL * len(cell.what) + 10 for cell in cells if cell), 0)
        if number % 2:
            pen.box("band", MARGIN, at + 0.5, WIDTH - 2 * MARGIN, height)
        pen.text(label, MARGIN + 6, at + height / 2 + 4)
        if role:
            place = "controller" if role == "controller" else "compute"
            pen.text(place, MARGIN + _LABELS - 8, at + height / 2 + 4, soft=True, anchor="end", size=11)
        for column, cell in enumerate(cells):
            _draw_cell(pen, cell, MARGIN + _LABELS + (column + 0.5) * each, at, height)
        at += height
    pen.line("rule", [(MARGIN, at), (WIDTH - MARGIN, at)])
    return at


def _targets(found: Topology) -> list[tuple[str, Role]]:
    """List the services that are called, in the order of the steps; compute nodes last."""
    order = {(group.label, machine.role): None for machine in found.machines for group in machine.groups}
    called = {(flow.target, flow.target_role) for flow in found.flows}
    return [target for target in order if target in called]


def _callers(found: Topology) -> list[tuple[str, Role | None]]:
    order: dict[tuple[str, Role | None], None] = dict.fromkeys([("Users", None)])
    order |= {(group.label, machine.role): None for machine in found.machines for group in machine.groups}
    order |= {(flow.caller, flow.caller_role): None for flow in found.flows}
    calling = {(flow.caller, flow.caller_role) for flow in found.flows}
    return [caller for caller in order if caller in calling]


def _flow(found: Topology, label: str, role: Role | None, target: tuple[str, Role]) -> Flow | None:
    pair = (label, role, *target)
    return next((f for f in found.flows if (f.caller, f.caller_role, f.target, f.target_role) == pair), None)


def _head(found: Topology, label: str, role: Role) -> list[tuple[str, bool]]:
    """Name a column and what it listens on, in lines; those of the name are bold."""
    if role == "compute":
        return [("consoles", True), ("of instances", False)]
    group = next(group for group in found.machines[0].groups if group.label == label)
    ports = [f":{port}" for port in group.ports]
    names = [(word, True) for word in label.removesuffix(" service").split()]
    return names + [(" ".join(ports[start : start + 2]), False) for start in range(0, len(ports), 2)]


def _draw_head(pen: Pen, lines: list[tuple[str, bool]], x: float, y: float, width: float) -> None:
    size = min(11.0, width / _WIDEST)
    for number, (line, bold) in enumerate(lines):
        at = y + number * _SMALL
        pen.text(line, x, at, size=size if bold else size - 1, bold=bold, soft=not bold, anchor="middle")


def _draw_cell(pen: Pen, cell: Flow | None, x: float, y: float, height: float) -> None:
    if cell is None:
        return
    if not cell.what:
        pen.dot(x, y + height / 2)
    top = y + height / 2 - _SMALL * len(cell.what) / 2
    for number, name in enumerate(cell.what):
        pen.text(name, x, top + number * _SMALL + 10, size=11, anchor="middle")
