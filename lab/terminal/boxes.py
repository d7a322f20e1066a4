"""What `lab box` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from lab.box import age
from lab.box.store import cache_directory
from lab.terminal.progress import console, print_json

if TYPE_CHECKING:
    from lab.verbs.boxes import BoxList


def print_list(found: BoxList, *, as_json: bool) -> None:
    """`lab box list`."""
    rows, damaged = found.rows, found.damaged
    if as_json:
        print_json([*rows, *({"name": d.name, "version": d.version, "damaged": d.reason} for d in damaged)])
        return
    if not rows and not damaged:
        console.print("no boxes yet; `lab box build` makes those that lab.yaml needs")
        return
    # Lines, as a table would cut the names, which one wants to copy.
    for row in rows:
        made = f"{row['packages']} packages" if row["packages"] is not None else f"ready-made, from {row['url']}"
        about = f"version {row['version']}, {made}, {row['size_mib']} MiB"
        lines = [escape(about), *(f"[yellow]{escape(warning)}[/yellow]" for warning in row["warnings"])]
        _print_box(row["name"], "\n  ".join(lines))
    for box in damaged:
        _print_box(box.name, f"[yellow]version {box.version} is damaged[/yellow]: {escape(box.reason)}")
    if any(row["warnings"] for row in rows):
        console.print(age.ADVICE, soft_wrap=True)
    if damaged:
        console.print(
            "`lab up` builds a damaged box again if it needs it; `lab box remove NAME` removes it", soft_wrap=True
        )
    total_gib = sum(row["size_mib"] for row in rows) / 1024
    console.print(f"{len(rows)} boxes, {total_gib:.1f} GiB, in {cache_directory() / 'boxes'}", soft_wrap=True)


def _print_box(name: str, about: str) -> None:
    console.print(f"[bold]{name}[/bold]\n  {about}", soft_wrap=True, highlight=False)
