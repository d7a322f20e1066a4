"""What `lab release` shows: the releases, one of them, the difference of two."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import typer

from lab.inputs.components import in_order, require
from lab.inputs.release import load_release
from lab.planning.inventory import difference, inventory
from lab.terminal import progress as ui

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.inputs.release import Release


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
    """`lab release show`: what it is for first, then all that it has."""
    release = load_release(name)
    if component is not None:
        typer.echo(require(component, release))
        return
    kinds = inventory(release)
    if as_json:
        about = {"name": release.name, "title": release.title, "guide": release.guide}
        ui.print_json({**about, "purpose": release.purpose, "ended": release.ended, **kinds})
        return
    for line in _about(release):
        _print(line)
    for kind, lines in kinds.items():
        _print(f"\n{kind}:")
        for line in lines:
            _print(f"  {line}")


def print_diff(first: str, second: str) -> None:
    """`lab release diff`: what only the first has with -, what only the second has with +."""
    before, after = load_release(first), load_release(second)
    lines = list(difference(inventory(before), inventory(after)))
    for line in [f"- {_title(before)}", f"+ {_title(after)}", *lines] if lines else ():
        _print(f"\n{line}" if line.endswith(":") else line)


def _title(release: Release) -> str:
    return f"{release.title} on {release.distribution} {release.suite}"


def _about(release: Release) -> Iterator[str]:
    yield _title(release)
    yield release.guide
    if release.purpose:
        yield f"what for: {release.purpose}"
    if release.ended:
        yield f"no security updates since {release.ended}: its labs meet no network but their own"
    where = "docs/releases.md; beside the commands: `lab handout`" if release.edition else "`lab handout`"
    yield f"where its steps differ from the guide, and why: {where}"


def _print(line: str) -> None:
    """Print a line; on a terminal one that is too long goes on further to the right."""
    if ui.console.is_terminal and len(line) > ui.console.width:
        indent = len(line) - len(line.lstrip("-+ "))
        line = "\n".join(
            textwrap.wrap(
                line,
                ui.console.width,
                subsequent_indent=" " * (indent + 4),
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
    typer.echo(line)
