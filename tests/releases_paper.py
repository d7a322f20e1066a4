"""docs/releases.md, from the releases and the components of the guide."""

from __future__ import annotations

from lab.inputs.components import in_order, load_components


def paper() -> str:
    """Write docs/releases.md."""
    releases = in_order()
    out = [_HEAD, _row("release", "", "system", "guide"), _row(*["---"] * 4)]
    out += [_row(f"`{r.name}`", r.title, f"{r.distribution} {r.suite}", f"<{r.guide}>") for r in releases]
    out += [_COMPONENTS, _row("component", *(r.name for r in releases)), _row(*["---"] * (len(releases) + 1))]
    for component in load_components():
        states = [component.in_release(release) for release in releases]
        shown = [s or "gone" for s in states]
        cells = ["=" if at and s == shown[at - 1] else s for at, s in enumerate(shown)]
        out.append(_row(f"`{component.name}`: {component.does}", *cells))
    out += [_HISTORY, _row("component", "deprecated", "removed", "instead", "why"), _row(*["---"] * 5)]
    out += [
        _row(f"`{c.name}`", c.deprecated, c.removed, c.instead, c.why)
        for c in load_components()
        if c.deprecated or c.removed or c.instead
    ]
    out += [_CAPABILITIES, _row("capability", *(r.name for r in releases)), _row(*["---"] * (len(releases) + 1))]
    out += [
        _row(f"`{name}`", *("yes" if r.capabilities[name] else "" for r in releases))
        for name in releases[0].capabilities
    ]
    return "\n".join(out) + "\n"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


_HEAD = """\
# Releases

Generated from `lab/releases/`, `lab/inputs/components.yaml` and the steps (`.venv/bin/pytest --regenerate tests/golden`
writes it).
`lab release show NAME` lists packages, units, ports, databases and options, `lab release diff A B` what differs.
"""
_COMPONENTS = """
## Components of the guide

`=`: as in the release before.
"""
_HISTORY = """
## What was removed or renamed
"""
_CAPABILITIES = """
## Capabilities

What scripts and facts ask for ([environment.md](environment.md#capabilities)).
"""
