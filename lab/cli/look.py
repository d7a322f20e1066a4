"""The verbs that look at an existing lab, or into it: `status`, `ssh`, `exec`, `ssh-config`, `logs`, `timing` …"""

from __future__ import annotations

import os
import sys
from pathlib import Path  # noqa: TC003  (typer reads annotations)
from typing import TYPE_CHECKING, Annotated

import typer

from lab.base import errors
from lab.cli.options import DEFAULT_SPEC, AsJson, BuildDir, SpecFile
from lab.terminal import progress as ui

if TYPE_CHECKING:
    from lab.planning.project import Lab

PANEL = "A look inside"
_ANY_WORDS = {"allow_extra_args": True, "ignore_unknown_options": True}


def register(app: typer.Typer) -> None:
    """Give the command line these verbs."""
    app.command(rich_help_panel=PANEL)(status)
    app.command(rich_help_panel=PANEL, context_settings=_ANY_WORDS)(ssh)
    app.command("exec", rich_help_panel=PANEL, context_settings=_ANY_WORDS)(execute)
    for verb in (forward, ssh_config, logs, timing, secrets):
        app.command(rich_help_panel=PANEL)(verb)


def existing_lab(file: Path, build_dir: Path | None, *, without_machines: bool = False) -> Lab:
    """Open a lab, start its host and enter it; `without_machines` as of `recovery.start_host`."""
    from lab.checkpoint import recovery
    from lab.host.choice import own_host
    from lab.verbs.opening import existing

    lab = existing(file, build_dir)
    host = own_host(lab.plan, lab.build_dir)
    recovery.start_host(lab, host, without_machines=without_machines)
    host.enter()
    recovery.repair_for_reader(lab, host, lambda text: ui.errors.print(text, markup=False, soft_wrap=True))
    return lab


def status(file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None, as_json: AsJson = False) -> None:
    """Show the nodes, their addresses, and the steps that are done."""
    from lab.terminal import overview
    from lab.verbs.opening import existing
    from lab.verbs.status import status_of

    lab = existing(file, build_dir)
    current = status_of(lab)
    if as_json:
        ui.print_json(current)
    else:
        overview.print_status(lab, current)


def ssh(
    ctx: typer.Context,
    node: Annotated[str, typer.Argument(help="controller, compute1 …")],
    file: SpecFile = DEFAULT_SPEC,
    build_dir: BuildDir = None,
) -> None:
    """Open a shell on a node, or run a command there: lab ssh NODE -- CMD.

    Several words are a command and its arguments. A single word is a line for the shell of the node.
    """
    from lab.nodes.ssh import Ssh

    lab = existing_lab(file, build_dir)
    _known_node(lab, node)
    sys.exit(Ssh(lab.build_dir).interactive(node, ctx.args[0] if len(ctx.args) == 1 else ctx.args))


def execute(ctx: typer.Context, file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None) -> None:
    """Run a command in the build directory, on the lab's host: lab exec -- vagrant status.

    The names of the nodes resolve there, and an OpenStack client finds the lab in clouds.yaml.
    """
    from lab.base.environment import search_path
    from lab.host import private_view
    from lab.host.choice import own_host
    from lab.machines.boxes import show_built
    from lab.verbs import clients

    if not ctx.args:
        raise errors.UsageError("no command to run", hint="lab exec -- vagrant status")
    lab = existing_lab(file, build_dir, without_machines=True)  # `lab exec -- vagrant up` makes them by hand
    show_built(lab.plan, own_host(lab.plan, lab.build_dir))
    os.chdir(lab.build_dir)
    os.environ.update(clients.environment(lab.plan, lab.build_dir, os.environ))
    if os.geteuid() == 0:  # a user without rights reaches the nodes by their addresses
        private_view.lay_hosts(clients.hosts_file_of(lab.plan, lab.build_dir))
    try:
        # The user's own language, as in any shell; the tools' directories at the end of PATH.
        os.execvpe(ctx.args[0], ctx.args, {**os.environ, "PATH": search_path()})
    except FileNotFoundError:
        raise errors.UsageError(f"no program {ctx.args[0]} on this host") from None


def forward(file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None) -> None:
    """Open dashboard, consoles, APIs and ssh on local ports of this machine, until Ctrl-C."""
    from lab.host.choice import own_host
    from lab.nodes.ssh import Ssh
    from lab.terminal import overview
    from lab.verbs.forward import forward as run_forward
    from lab.verbs.opening import existing

    lab = existing(file, build_dir)
    host = own_host(lab.plan, lab.build_dir)
    if not host.is_running():
        raise errors.MachineError(f"lab {lab.plan.name} does not run", hint="`lab resume`, or `lab up`")
    try:
        run_forward(
            lab.plan,
            Ssh(lab.build_dir).config,
            host,
            lambda found: overview.print_forwards(lab.plan, found),
        )
    except KeyboardInterrupt:
        typer.echo("\nforwarding ended")


def ssh_config(file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None) -> None:
    """Print the ssh configuration of the lab's nodes."""
    from lab.verbs.opening import existing

    path = existing(file, build_dir).build_dir / "ssh_config"
    if not path.exists():
        raise errors.MachineError("the lab has no machines yet", hint="`lab up` makes them")
    typer.echo(path.read_text(), nl=False)


def logs(
    step: Annotated[
        str | None, typer.Argument(help="A step, as 30-identity or 30; or another log, as vagrant.")
    ] = None,
    file: SpecFile = DEFAULT_SPEC,
    build_dir: BuildDir = None,
) -> None:
    """List the logs, or print those of a step."""
    from lab.planning.step_names import step_of
    from lab.verbs.opening import existing

    lab = existing(file, build_dir, reach=False)
    paths = sorted((lab.build_dir / "logs").rglob("*.log"))
    if step is not None:
        wanted = step if step in {path.stem for path in paths} else step_of(lab.plan, step)
        paths = [path for path in paths if path.stem == wanted]
    if not paths:
        raise errors.UsageError(f"no log{f' of step {wanted}' if step else ''} in {lab.build_dir / 'logs'}")
    for path in paths:
        if step is None:
            typer.echo(path)
        else:
            typer.echo(f"==> {path} <==")
            typer.echo(path.read_text(errors="replace"))


def timing(
    step: Annotated[str | None, typer.Argument(help="A step, as 50-compute-controller: all its headings.")] = None,
    file: SpecFile = DEFAULT_SPEC,
    build_dir: BuildDir = None,
    as_json: AsJson = False,
) -> None:
    """Show where the last `lab up` spent its time: phases, steps, and the headings that took longest."""
    from lab.terminal.timing import print_timing
    from lab.verbs.opening import existing
    from lab.verbs.timing import timing_of

    found = timing_of(existing(file, build_dir, reach=False), step)
    if as_json:
        ui.print_json(found.as_dict())
    else:
        print_timing(found, every=step is not None)


def secrets(file: SpecFile = DEFAULT_SPEC, build_dir: BuildDir = None, as_json: AsJson = False) -> None:
    """Print the passwords of the lab."""
    from lab.verbs.opening import existing

    values = dict(existing(file, build_dir, reach=False).secrets.items())
    if as_json:
        ui.print_json(values)
    else:
        for name, value in values.items():
            typer.echo(f"{name}={value}")


def _known_node(lab: Lab, name: str) -> None:
    names = [node.name for node in lab.plan.nodes]
    if name not in names:
        raise errors.UsageError(f"no node {name} in lab {lab.plan.name}", hint=f"nodes: {', '.join(names)}")
