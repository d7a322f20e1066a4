"""What `lab list` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.terminal.progress import console

if TYPE_CHECKING:
    from lab.verbs.labs import SeenLab


def print_labs(labs: list[SeenLab]) -> None:
    """`lab list` for a reader: lines, as a table would cut the keys and paths that one wants to copy."""
    if not labs:
        console.print("no labs on this machine")
    for lab in labs:
        nodes = ", ".join(f"{node} {state}" for node, state in lab.states.items()) or lab.trouble or "no machines"
        gone = "" if lab.build_dir_exists or not lab.build_dir else " (gone)"
        head = f"[bold]{lab.key}[/bold]  {lab.release or 'release unknown'}, {lab.mode}: {lab.state}"
        where = f"{lab.build_dir or 'build directory unknown'}{gone}"
        console.print(f"{head}\n  {where}\n  {nodes}", soft_wrap=True)
