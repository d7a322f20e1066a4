"""The command `lab`: its verbs, and the one place that catches LabError."""

from __future__ import annotations

import signal
from pathlib import Path  # noqa: TC003  (typer reads annotations)
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from lab import __version__
from lab.base import errors, rights, surroundings
from lab.cli.checkpoint import checkpoint_app, goto
from lab.cli.companion import register as register_companion
from lab.cli.diagnose import lab_findings, support
from lab.cli.exercise import exercise_app
from lab.cli.golden import golden_app
from lab.cli.groups import box_app, release_app
from lab.cli.look import existing_lab
from lab.cli.look import register as register_looks
from lab.cli.new import new_app
from lab.cli.options import DEFAULT_SPEC, AsJson, BuildDir, SpecFile, require_place
from lab.cli.power import list_labs
from lab.cli.power import register as register_power
from lab.cli.rotate import rotate
from lab.cli.teaching import register as register_teaching
from lab.terminal import progress as ui


class _LabGroup(TyperGroup):
    """Turns our errors, Ctrl-C and SIGTERM into a message and an exit code; anything else is a defect: a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except errors.LabError as error:
            _tell(error)
            raise typer.Exit(error.exit_code) from None
        except OSError as error:
            known = rights.explained(error)
            if known is None:
                raise
            _tell(known)
            raise typer.Exit(known.exit_code) from None
        except KeyboardInterrupt:
            next_verbs = "`lab up` continues where it stopped, `lab down` removes the lab"
            ui.errors.print(f"lab: interrupted; {next_verbs}", markup=False, soft_wrap=True)
            raise typer.Exit(errors.INTERRUPTED) from None
        finally:
            rights.hand_over()


def _tell(error: errors.LabError) -> None:
    ui.errors.print(f"lab: {error}", style="red", markup=False, soft_wrap=True)


app = typer.Typer(
    name="lab",
    cls=_LabGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lab {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Create a real, verified OpenStack Compute lab from one spec."""


@app.command(rich_help_panel="The lab")
def init(
    name: Annotated[str, typer.Argument(help="The lab's name.")] = "compute-101",
    file: SpecFile = DEFAULT_SPEC,
    release: Annotated[str, typer.Option(help="The release; default: the newest that is tested.")] = "",
) -> None:
    """Write a spec with comments."""
    from lab.inputs.load import default_spec_text

    if file.exists():
        raise errors.UsageError(f"{file} exists", hint="edit it, or name another file with --file")
    rights.made(file)
    try:  # not through a link that leads nowhere yet; it may come to hold passwords: a strict umask is kept
        file.touch(surroundings.users_mode(), exist_ok=False)
    except FileExistsError:
        raise errors.UsageError(f"{file} is a symbolic link", hint="name another file with --file") from None
    file.write_text(default_spec_text(name, release), encoding="utf-8")
    typer.echo(f"wrote {file}; `lab check` shows what it asks for, `lab up` creates the lab")


@app.command(rich_help_panel="The lab")
def schema() -> None:
    """Print the JSON Schema of the spec, for editors."""
    from lab.inputs.model import json_schema

    ui.print_json(json_schema())


@app.command(rich_help_panel="The lab")
def check(file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None, as_json: AsJson = False) -> None:
    """Check the spec; print the plan, whether it fits on this host, and the differences from the existing lab."""
    from lab.host.capacity import count_for
    from lab.host.choice import host_for
    from lab.inputs.load import load_spec
    from lab.planning import project
    from lab.planning.refusals import require_fit
    from lab.terminal import forecast, overview
    from lab.verbs.check_only import difference
    from lab.verbs.opening import host_of

    spec = load_spec(file)
    known = host_of(spec)
    plan = project.decide(spec, known)
    lab = project.decided(spec, plan, project.build_dir_of(file, build_dir, spec.name), write=False)
    if as_json:
        ui.print_json(plan.model_dump(mode="json"))
    else:
        overview.print_plan(plan, known.accelerator_reason)
        try:
            forecast.print_difference(difference(lab))
        except PermissionError as error:
            told = f"the differences from the existing lab are not known: {rights.explained(error)}"
            ui.errors.print(told, markup=False, soft_wrap=True)
    host = host_for(plan, lab.build_dir, look=True)
    if host.is_closed():
        told = f"only root can see which nodes already run, and so whether the lab fits; run: {rights.same_with_sudo()}"
        ui.errors.print(told, markup=False, soft_wrap=True)
    else:
        for warning in require_fit(plan, count_for(plan, host)):
            ui.console.print(f"[yellow]warning:[/yellow] {warning}")


@app.command(rich_help_panel="The lab")
def render(
    file: SpecFile = DEFAULT_SPEC,
    build_dir: BuildDir = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show what would change; write nothing.")] = False,
) -> None:
    """Write the build directory: a plain Vagrant project."""
    from lab.generator.files import diff_tree, write_tree
    from lab.generator.render import render as render_files
    from lab.verbs.opening import decided

    lab = decided(file, build_dir, write=not diff)
    files = render_files(lab.plan, lab.secrets)
    if diff:
        typer.echo(diff_tree(lab.build_dir, files), nl=False)
        return
    write_tree(lab.build_dir, files)
    typer.echo(f"wrote {len(files)} files to {lab.build_dir}")


@app.command(rich_help_panel="This machine")
def doctor(
    file: SpecFile = DEFAULT_SPEC,
    build_dir: BuildDir = None,
    fix: Annotated[bool, typer.Option("--fix", help="Run the commands that repair what is missing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check the host (what is missing, why it is needed, what repairs it, whether KVM works) and the lab.

    --fix repairs the host only. To repair a lab, run `lab up` or the command shown with the finding.
    """
    from lab.diagnosis import doctor as host_doctor
    from lab.inputs.load import load_spec
    from lab.planning import project
    from lab.terminal import overview
    from lab.verbs.opening import plan_of

    if fix:
        host_doctor.fix(lambda line: ui.console.print(line, markup=False, soft_wrap=True))
    plan = directory = mirror = None
    if file.exists():
        spec = load_spec(file)
        mirror = spec.box.mirror
        directory = project.build_dir_of(file, build_dir, spec.name)
        plan = plan_of(spec)
    findings = host_doctor.diagnose(plan, directory, mirror)
    troubles = lab_findings(plan.name, directory) if plan and directory and not fix else []
    if as_json:
        ui.print_json([finding.as_dict() for finding in (*findings, *troubles)])
    else:
        spec_option = "" if file == DEFAULT_SPEC else str(file)
        overview.print_findings(findings, spec=spec_option)
        if troubles:
            ui.console.print(f"\n[bold]lab {plan.name if plan else ''}[/bold]")
            overview.print_findings(troubles, bad="trouble", spec=spec_option)
    for kind, found in ((errors.HostError, findings), (errors.MachineError, troubles)):
        if any(finding.fatal and not finding.ok for finding in found):
            raise typer.Exit(kind.exit_code)


@app.command(rich_help_panel="The lab")
def up(
    file: SpecFile = DEFAULT_SPEC,
    build_dir: BuildDir = None,
    to: Annotated[
        str | None, typer.Option("--to", help="Stop after this step, as 30-identity or 30.", metavar="STEP")
    ] = None,
    check_only: Annotated[
        bool, typer.Option("--check-only", help="Print what would be done, change nothing; exit code 1 if not nothing.")
    ] = False,
    recreate: Annotated[
        bool, typer.Option("--recreate", help="Remove the existing lab first, with everything in it.")
    ] = False,
    checkpoints: Annotated[bool, typer.Option("--checkpoints", help="Save a checkpoint after each chapter.")] = False,
    no_golden: Annotated[bool, typer.Option("--no-golden", help="Make everything, even if a golden lab fits.")] = False,
) -> None:
    """Create, provision and verify the lab; continue at the first step that is not known to be done."""
    from lab.terminal import forecast, overview
    from lab.verbs import check_only as checking
    from lab.verbs.up import up as bring_up

    if check_only:
        if recreate or checkpoints:
            told = "--check-only cannot be combined with --recreate or --checkpoints"
            raise errors.UsageError(told, hint="`lab check` shows what differs")
        found = checking.check_only(file, build_dir, to_step=to)
        forecast.print_forecast(found)
        good = found.nothing_to_do
    else:
        progress = ui.LiveProgress()
        with progress.live():
            result = bring_up(
                file, build_dir, progress, to_step=to, recreate=recreate, checkpoints=checkpoints, golden=not no_golden
            )
        overview.print_up(result, progress)
        good = result.report.good
    if not good:
        raise typer.Exit(errors.CHECK_FAILED)


@app.command(rich_help_panel="The lab")
def verify(
    steps: Annotated[
        list[str] | None, typer.Argument(help="Only these steps, as 30-identity or 30.", metavar="[STEP]...")
    ] = None,
    file: SpecFile = DEFAULT_SPEC,
    build_dir: BuildDir = None,
    as_json: AsJson = False,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write an HTML report.")] = None,
    teacher: Annotated[
        bool, typer.Option("--teacher", help="Show everything while an exercise runs, which then brings no points.")
    ] = False,
) -> None:
    """Run the testinfra suite against the running lab, and the tests of checks/ beside the spec."""
    from lab.teaching.exercise.running import note_teacher
    from lab.terminal.report import print_drift, print_report
    from lab.verification import proven, veil
    from lab.verification.run import verify as run_suite

    for report in (junit, html):
        if report is not None:
            require_place(report)
    lab = existing_lab(file, build_dir)
    if teacher:
        note_teacher(lab.build_dir)
    progress = ui.LiveProgress()
    with progress.live():
        tell = progress.counter("checks")
        own = None if steps else file.parent / "checks"
        named = tuple(steps or ())
        result = run_suite(
            lab.plan, lab.build_dir, named, junit=junit, html=html, on_result=tell, own=own, full=teacher
        )
    if as_json:
        ui.print_json(result.as_dict())
    else:
        print_report(ui.console, lab.plan, result)
        print_drift(ui.console, result)
    if not veil.is_veiled(lab.build_dir):  # `lab up` must not repair what an exercise did
        proven.note(lab, result)
    if not (result.good and result.own.good):
        raise typer.Exit(errors.CHECK_FAILED)


@app.command(rich_help_panel="The lab")
def down(
    file: SpecFile = DEFAULT_SPEC,
    build_dir: BuildDir = None,
    lab: Annotated[
        str | None,
        typer.Option("--lab", help="A lab of `lab list`, by name, NAME-HASH or directory.", metavar="NAME"),
    ] = None,
    keep_checkpoints: Annotated[
        bool,
        typer.Option("--keep-checkpoints", help="Keep the disks and the checkpoints."),
    ] = False,
) -> None:
    """Remove the lab, with all its machines, volumes, networks, processes and namespaces."""
    from lab.terminal import overview
    from lab.verbs import down as removal

    if lab is not None and keep_checkpoints:
        raise errors.UsageError("--keep-checkpoints is for a lab with its build directory", hint="leave --lab out")
    progress = ui.LiveProgress(stamped=False)
    if lab is not None:
        removed = removal.down_listed(lab, progress)
    else:
        removed = removal.down(file, build_dir, progress, keep_checkpoints=keep_checkpoints)
    overview.print_removed(removed)


app.command(rich_help_panel="The lab")(goto)
app.command(rich_help_panel="The lab")(rotate)
app.add_typer(checkpoint_app, name="checkpoint", rich_help_panel="The lab")
app.add_typer(golden_app, name="golden", rich_help_panel="The lab")
register_looks(app)
register_power(app)
register_teaching(app)
register_companion(app)
app.add_typer(exercise_app, name="exercise", rich_help_panel="Teaching")
app.add_typer(new_app, name="new", rich_help_panel="Teaching")
app.command("list", rich_help_panel="This machine")(list_labs)
app.command(rich_help_panel="This machine")(support)
app.add_typer(box_app, name="box", rich_help_panel="This machine")
app.add_typer(release_app, name="release", rich_help_panel="This machine")


def main() -> None:
    """Run the command line. SIGTERM ends it as Ctrl-C does: a lab's own children would outlive it otherwise."""
    surroundings.set_up()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()
