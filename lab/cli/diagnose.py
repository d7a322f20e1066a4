"""What is wrong with a lab: its part of `lab doctor`, and `lab support`."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  (typer reads annotations)
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import DEFAULT_SPEC, BuildDir, SpecFile, require_place
from lab.terminal import progress as ui

if TYPE_CHECKING:
    from lab.base.finding import Finding


def lab_findings(name: str, build_dir: Path) -> list[Finding]:
    """Look at the lab of a build directory; none where nothing of it exists."""
    from lab.base.errors import MachineError, UsageError
    from lab.base.finding import Finding
    from lab.base.rights import explained, same_with_sudo
    from lab.diagnosis.lab_doctor import diagnose_lab
    from lab.host import records
    from lab.host.host import choose_host
    from lab.planning import project
    from lab.verification import veil

    try:
        records.require_home(build_dir)
    except UsageError as error:
        why = "no command that needs the machines works here"
        return [Finding("place", "build directory", False, error.message, why, error.hint)]
    try:
        plan = project.load_plan(build_dir)
    except MachineError as error:
        why = "no command for the lab works without it"
        return [Finding("plan", "plan.json", False, error.message, why, "lab render")]
    except PermissionError as error:
        told = explained(error)
        return [Finding("rights", "the lab", False, f"not readable for this user: {build_dir}", str(told), fatal=False)]
    if plan is None:
        return []
    if veil.is_veiled(build_dir):
        return [Finding("exercise", "the lab", True, "an exercise runs: what is wrong is for its student to find")]
    host = choose_host(name, build_dir)
    if host.is_closed():
        return [Finding("rights", "the lab", False, "root's", "only root can see it", same_with_sudo(), fatal=False)]
    return diagnose_lab(plan, host, build_dir)


def support(
    file: SpecFile = DEFAULT_SPEC,
    build_dir: BuildDir = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="The archive (default: lab-support-NAME-TIME.tar.xz here).")
    ] = None,
) -> None:
    """Pack logs, plan, versions and states into one file without secrets, for a person who can help."""
    from lab.verbs.support import pack

    if output is not None:
        require_place(output)
    packed = pack(file, build_dir, output)
    size_kib = packed.path.stat().st_size / 1024
    ui.console.print(f"wrote {packed.path}: {packed.parts} parts, {size_kib:.0f} KiB", markup=False, soft_wrap=True)
    for line in packed.missing:
        ui.console.print(f"  missing: {line}", markup=False, soft_wrap=True)
