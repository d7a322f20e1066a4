"""What `lab release` shows: the releases, one of them, the difference of two."""

from __future__ import annotations

from typing import Any

import typer

from lab.inputs.components import in_order, require
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
