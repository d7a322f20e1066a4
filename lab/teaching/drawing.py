"""The topology as SVG: machines on their networks above, who talks to whom below. Pure; sizes are in pixels.

Colours are attributes, which every renderer knows; the style sheet changes them where the page is dark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import drawsvg

from lab.teaching.matrix import draw_matrix
from lab.teaching.pen import MARGIN, WIDTH, Pen

if TYPE_CHECKING:
    from lab.teaching.topology import Group, Machine, Net, Topology

_GAP = 20
_LINE = 17
_CHIP = 40
"""height of an interface"""
_NET = 32
"""height of a network"""
_LABEL = 136
"""width of the labels beside services"""
_NARROW = 330
"""below this width of a machine, labels are above the services"""
_CHARACTER = 7.0
"""mean width of a letter"""
_INSTANCES = 92
"""height of the box of the instances"""
_TOP = 62


def svg(found: Topology) -> str:
    """Draw it."""
    pen = Pen()
    cards = _cards(found)
    height = max(_card_height(machine, width) for machine, _, _, width in cards)
    wires, boxes, nets = Pen(), Pen(), Pen()
    levels = {net.kind: _TOP + height + 30 + number * 50 for number, net in enumerate(found.networks)}
    for machine, name, x, width in cards:
        _draw_card(boxes, found, machine, name, (x, _TOP, width, height))
        _draw_interfaces(boxes, wires, found, machine, name, (x, _TOP, width, height), levels)
    for net in found.networks:
        _draw_net(nets, net, levels[net.kind])
    bottom = max(levels.values()) + _NET
    matrix = Pen()
    end = draw_matrix(matrix, found, bottom + 48)
    pen.box("page", 0, 0, WIDTH, end + 20, rx=8)
    pen.text(f"lab {found.lab}", MARGIN, 38, size=18, bold=True)
    pen.text(f"{found.title}. Each network is isolated: none is routed out of the host.", WIDTH - MARGIN, 38, soft=True,
             anchor="end")  # fmt: skip
    # wires first: they pass under the networks that they do not belong to
    return _document(found, [pen, wires, boxes, nets, matrix], end + 20)


def _document(found: Topology, layers: list[Pen], height: float) -> str:
    described = (
        f"Topology of the lab {found.lab}: "
        + "; ".join(f"{', '.join(machine.names)} ({machine.size})" for machine in found.machines)
        + f". Networks: {', '.join(f'{net.kind} {net.cidr}' for net in found.networks)}."
    )
    arguments: dict[str, Any] = {"class": "lab-topology", "role": "img", "aria-label": described}
    drawing = drawsvg.Drawing(WIDTH, height, **arguments)
    drawing.append_css(_DARK)
    group = drawsvg.Group(font_family="DejaVu Sans, Verdana, Arial, sans-serif", fill="#1f2328")
    for layer in layers:
        for element in layer.elements:
            group.append(element)
    drawing.append(group)
    return str(drawing.as_svg()) + "\n"


def _cards(found: Topology) -> list[tuple[Machine, str, float, float]]:
    """Lay out the machines: each with its name, its left edge and its width; many compute nodes are one card."""
    controller, compute = found.machines
    count = len(compute.names)
    names = list(compute.names) if count < 3 else [compute.names[0], f"{compute.names[1]} … {count}"]
    left = 410.0 if count == 1 else 370.0
    room = (WIDTH - 2 * MARGIN - left - _GAP * len(names)) / len(names)
    cards = [(controller, "controller", float(MARGIN), left)]
    for number, name in enumerate(names):
        cards.append((compute, name, MARGIN + left + _GAP + number * (room + _GAP), room))
    return cards


def _told(group: Group, width: float) -> list[str]:
    """Write the services of a group in lines that fit."""
    room = int((width - 32 - (_LABEL if width >= _NARROW else 12)) / _CHARACTER)
    lines: list[str] = []
    for number, service in enumerate(group.services):
        end = "," if number < len(group.services) - 1 else ""
        word = " ".join([service.name, *(f":{port}" for port in service.ports)]) + end
        if lines and len(lines[-1]) + 1 + len(word) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _card_height(machine: Machine, width: float) -> float:
    lines = sum(len(_told(group, width)) + (width < _NARROW) for group in machine.groups)
    instances = _INSTANCES + 40 if machine.role == "compute" else 0
    return 70 + lines * _LINE + len(machine.groups) * 9 + instances + _CHIP + 14


def _draw_card(
    pen: Pen, found: Topology, machine: Machine, name: str, place: tuple[float, float, float, float]
) -> None:
    x, y, width, height = place
    pen.box("node", x, y, width, height, rx=8)
    pen.text(name, x + 16, y + 27, size=16, bold=True)
    pen.text(machine.size, x + 16, y + 46, soft=True)
    at = y + 76
    for group in machine.groups:
        pen.text(group.label, x + 16, at, soft=True)
        narrow = width < _NARROW
        at += _LINE if narrow else 0
        for line in _told(group, width):
            pen.text(line, x + (28 if narrow else 16 + _LABEL), at)
            at += _LINE
        at += 9
    if machine.role == "compute":
        top = y + height - _CHIP - _INSTANCES - 36
        pen.box("instance", x + 16, top, width - 32, _INSTANCES, rx=8)
        pen.text("instances", x + 32, top + 26, size=14, bold=True)
        pen.text(f"VMs in the VM, under {machine.virt_type}", x + 32, top + 50)
        pen.text(found.pool, x + 32, top + 71, soft=True)


def _draw_interfaces(
    boxes: Pen,
    wires: Pen,
    found: Topology,
    machine: Machine,
    name: str,
    place: tuple[float, float, float, float],
    levels: dict[str, float],
) -> None:
    x, y, width, height = place
    each = (width - 32 - 12) / 3
    top = y + height - _CHIP - 10
    for number, net in enumerate(found.networks):
        left = x + 16 + number * (each + 6)
        middle = left + each / 2
        address = {"access": "DHCP", "management": _address(machine, name)}.get(net.kind, "no address")
        wires.line(f"wire-{net.kind}", [(middle, top + _CHIP), (middle, levels[net.kind])])
        if net.kind == "provider" and machine.role == "compute":
            boxes.line("wire-provider", [(middle, top - 26), (middle, top)])
            if found.bridge:
                boxes.text("br-provider", middle - 8, top - 9, soft=True, anchor="end", size=11)
        boxes.box("chip", left, top, each, _CHIP, rx=5)
        boxes.text(net.device, middle, top + 16, anchor="middle")
        boxes.text(address, middle, top + 32, soft=True, anchor="middle", size=11)


def _address(machine: Machine, name: str) -> str:
    if name in machine.names:
        return machine.addresses[machine.names.index(name)]
    return " … ".join(f".{address.rpartition('.')[2]}" for address in (machine.addresses[1], machine.addresses[-1]))


def _draw_net(pen: Pen, net: Net, y: float) -> None:
    pen.box(net.kind, MARGIN, y, WIDTH - 2 * MARGIN, _NET, rx=6)
    pen.text(f"{net.kind} {net.cidr}", MARGIN + 16, y + 21, size=13, bold=True)
    pen.text(net.purpose, MARGIN + 260, y + 21, soft=True)


_DARK = """
@media screen and (prefers-color-scheme: dark) {
  .lab-topology text { fill: #e6edf3; }
  .lab-topology .soft { fill: #9aa4af; }
  .lab-topology .page, .lab-topology .chip { fill: #0d1117; }
  .lab-topology .node, .lab-topology .band { fill: #161b22; }
  .lab-topology .node, .lab-topology .chip, .lab-topology .rule { stroke: #6e7781; }
  .lab-topology .access { fill: #12284a; stroke: #6aa5ff; }
  .lab-topology .management { fill: #10341f; stroke: #4fc47f; }
  .lab-topology .provider { fill: #40280c; stroke: #f0a048; }
  .lab-topology .instance { fill: #2a1e4a; stroke: #b394ff; }
  .lab-topology .wire-access { stroke: #6aa5ff; }
  .lab-topology .wire-management { stroke: #4fc47f; }
  .lab-topology .wire-provider { stroke: #f0a048; }
  .lab-topology .dot { fill: #4fc47f; }
}
"""
