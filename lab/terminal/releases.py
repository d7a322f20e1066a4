"""What `lab release` shows: the releases, one of them, the difference of two, and the paper docs/releases.md."""

from __future__ import annotations

from typing import Any

import typer

from lab.inputs.components import in_order, load_components, require
from lab.inputs.release import load_release
from lab.planning.inventory import difference, inventory
from lab.terminal import progress as ui


def print_list(as_json: bool) -> None:
    """`lab release list`, oldest first."""
    rows: list[dict[str, Any]] = [
        {
            "name": r.name,
            "title": r.title,
            "system": f"{r.distribution} {r.suite}",
            "tested": r.tested,
            "chapters": list(r.chapters),
        }
        for r in in_order()
    ]
    if as_json:
        ui.print_json(rows)
        return
    for row in rows:
        tested = "tested" if row["tested"] else "not tested"
        chapters = ", ".join(row["chapters"])
        typer.echo(f"{row['name']:10}{row['title']:30}{row['system']:17}{tested:12}{chapters}".rstrip())


def print_one(name: str, component: str | None, as_json: bool) -> None:
    """`lab release show`."""
    release = load_release(name)
    if component is not None:
        typer.echo(require(component, release))
        return
    kinds = inventory(release)
    if as_json:
        ui.print_json({"name": release.name, "title": release.title, "guide": release.guide, **kinds})
        return
    typer.echo(f"{release.title} on {release.distribution} {release.suite}\n{release.guide}")
    for kind, lines in kinds.items():
        typer.echo(f"\n{kind}:" + "".join(f"\n  {line}" for line in lines))


def print_diff(first: str, second: str) -> None:
    """`lab release diff`: what only the first has with -, what only the second has with +."""
    for line in difference(inventory(load_release(first)), inventory(load_release(second))):
        typer.echo(line)


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
    out += [_HISTORY, _row("component", "deprecated", "removed", "instead"), _row(*["---"] * 4)]
    out += [
        _row(f"`{c.name}`", c.deprecated, c.removed, c.instead)
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
