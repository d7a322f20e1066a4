"""The verbs of `lab golden`."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  (typer reads annotations)
from typing import Annotated

import typer
from rich.table import Table

from lab.cli.options import DEFAULT_SPEC, AsJson, BuildDir, SpecFile, require_place
from lab.terminal import progress as ui

golden_app = typer.Typer(no_args_is_help=True, help="Golden labs: `lab up` makes the same lab again without a step.")
Name = Annotated[str, typer.Argument(help="The golden lab's name, as `lab golden list` shows it.")]


@golden_app.command("save")
def golden_save(file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None) -> None:
    """Keep the running, verified lab as a golden one; it runs on."""
    from lab.verbs import golden
    from lab.verbs.opening import existing

    lab, progress = existing(file, build_dir), ui.LiveProgress()
    with progress.live():
        golden.save(lab, progress)


@golden_app.command("list")
def golden_list(file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None, as_json: AsJson = False) -> None:
    """List the golden labs, who uses them, and what differs from the lab of the spec."""
    from lab.checkpoint.store import age
    from lab.golden.store import GoldenLabs
    from lab.host import page_sharing
    from lab.verbs import golden

    store, rows = GoldenLabs(), golden.rows(file, build_dir)
    newer, halves = store.of_other_versions(), store.half_written()
    if as_json:
        others = [{"name": name, "complete": True, "newer": True} for name in newer]
        ui.print_json([*(row.as_dict() for row in rows), *others, *({"name": n, "complete": False} for n in halves)])
        return
    table = Table(
        "golden lab", "age", "size", "of lab", "memory", "used by", "this spec", show_edge=False, pad_edge=False
    )
    for row in rows:
        manifest = row.golden.manifest
        serves = "" if row.fit is None else "boots" if row.fit.no_memory else "serves"
        if row.fit is not None and not row.fit.serves:
            serves = "[yellow]another lab[/yellow]"
        memory, users = "yes" if manifest.files else "no", ", ".join(row.users)
        size = f"{row.golden.size_mib()} MiB"
        table.add_row(row.golden.name, age(manifest.created), size, manifest.lab, memory, users, serves)
    for name in newer:
        table.add_row(name, "", "", "[yellow]of a newer version of lab[/yellow]", "", "", "")
    for name in halves:
        table.add_row(name, "", "", "[yellow]half-written: the next save removes it[/yellow]", "", "", "")
    if not table.row_count:
        ui.console.print("no golden labs yet; `lab golden save` makes one of a running lab")
        return
    ui.console.print(table)
    for row in rows:
        for line in (*row.fit.other, *row.fit.no_memory) if row.fit is not None else ():
            ui.console.print(f"{row.golden.name}: {line}", markup=False, soft_wrap=True)
    if saved := page_sharing.saved_mib():
        ui.console.print(f"equal pages of memory that this machine keeps once (KSM) save {saved} MiB")


@golden_app.command("remove")
def golden_remove(name: Name) -> None:
    """Remove a golden lab that no lab uses."""
    from lab.verbs import golden

    golden.remove(name)
    ui.console.print(f"golden lab {name} was removed", markup=False)


@golden_app.command("export")
def golden_export(
    name: Name, file: Annotated[Path, typer.Argument(help="The file to write; it holds passwords and keys.")]
) -> None:
    """Write a golden lab to a file, for another machine."""
    from lab.verbs import golden

    require_place(file)
    size = golden.export(name, file)
    ui.console.print(f"wrote {size // 2**20} MiB to {file}; it holds all passwords and keys", markup=False)


@golden_app.command("import")
def golden_import(file: Annotated[Path, typer.Argument(help="A file of `lab golden export`.")]) -> None:
    """Add a golden lab from a file; only from somebody whom you trust as root."""
    from lab.verbs import golden

    found = golden.import_file(file)
    ui.console.print(f"golden lab {found.name}: {found.size_mib()} MiB", markup=False)
