"""Shapes and texts of the drawing, each in the colour of its class."""

from __future__ import annotations

from typing import Any

import drawsvg

WIDTH = 960
MARGIN = 30

_LOOK: dict[str, dict[str, Any]] = {
    "page": {"fill": "#ffffff"},
    "node": {"fill": "#f6f8fa", "stroke": "#8c959f", "stroke_width": 1.5},
    "chip": {"fill": "#ffffff", "stroke": "#8c959f"},
    "instance": {"fill": "#ece2ff", "stroke": "#7a4fd0", "stroke_width": 1.5},
    "access": {"fill": "#dbe9ff", "stroke": "#2f6fd0"},
    "management": {"fill": "#d9f2e0", "stroke": "#1f8a4c"},
    "provider": {"fill": "#ffe8cc", "stroke": "#b8600b"},
    "wire-access": {"stroke": "#2f6fd0", "stroke_width": 2.5},
    "wire-management": {"stroke": "#1f8a4c", "stroke_width": 2.5},
    "wire-provider": {"stroke": "#b8600b", "stroke_width": 2.5},
    "band": {"fill": "#f6f8fa"},
    "rule": {"stroke": "#8c959f", "stroke_width": 1},
    "dot": {"fill": "#1f8a4c"},
}
"""by class: as a light page has it"""


class Pen:
    """A layer of the drawing."""

    def __init__(self) -> None:
        self.elements: list[Any] = []

    def box(self, look: str, x: float, y: float, width: float, height: float, *, rx: float = 0) -> None:
        """Draw a rectangle with round corners."""
        self.elements.append(drawsvg.Rectangle(_n(x), _n(y), _n(width), _n(height), rx=rx, class_=look, **_LOOK[look]))

    def line(self, look: str, points: list[tuple[float, float]]) -> None:
        """Draw a line through points."""
        (x, y), *others = points
        path = drawsvg.Path(class_=look, fill="none", **_LOOK[look]).M(_n(x), _n(y))
        for x, y in others:
            path.L(_n(x), _n(y))
        self.elements.append(path)

    def dot(self, x: float, y: float) -> None:
        """Draw a dot."""
        self.elements.append(drawsvg.Circle(_n(x), _n(y), 5.5, class_="dot", **_LOOK["dot"]))

    def text(
        self,
        text: str,
        x: float,
        y: float,
        *,
        size: float = 12,
        bold: bool = False,
        soft: bool = False,
        anchor: str = "start",
    ) -> None:
        """Write a text; x is where its anchor is."""
        arguments: dict[str, Any] = {"font_weight": "bold"} if bold else {}
        if soft:
            arguments |= {"class_": "soft", "fill": "#59636e"}
        if anchor != "start":
            arguments["text_anchor"] = anchor
        self.elements.append(drawsvg.Text(text, _n(size), _n(x), _n(y), **arguments))


def _n(number: float) -> float:
    """Round to what one can see, so that the same plan gives the same text."""
    rounded = round(number, 1)
    return int(rounded) if rounded == int(rounded) else rounded
