"""What `lab check`, `lab status`, `lab doctor` and the end of `lab up` show."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from lab.base.progress import clock
from lab.base.rights import as_called, same_with_sudo
from lab.nodes.state import StateFile
from lab.openstack import provided
from lab.planning.plan import management_address
from lab.terminal.progress import console, timing_table
from lab.terminal.report import print_report
from lab.verbs.forward import LOOPBACK
from lab.verbs.forward import lines as forward_lines
from lab.verbs.status import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.base.finding import Finding
    from lab.planning.plan import Plan
    from lab.planning.project import Lab
    from lab.terminal.progress import LiveProgress
    from lab.verbs.down import Removed
    from lab.verbs.forward import Forwards
    from lab.verbs.up import UpResult


def _table(*columns: str, title: str = "") -> Table:
    table = Table(title=title or None, title_justify="left", show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")  # never cut: a name is there to be copied
    return table


def print_plan(plan: Plan, reason: str) -> None:
    """Print the plan: nodes, networks, steps with their expected times."""
    console.print(f"lab [bold]{plan.name}[/bold]: OpenStack {plan.release} on {plan.distribution} {plan.suite}")
    console.print(f"accelerator {plan.accelerator}: {reason}\n")
    _print_nodes(plan)
    console.print()
    networks = _table("network", "range", "host", "purpose")
    purposes = {
        "access": "Vagrant and ssh (eth0)",
        "management": "OpenStack's own traffic (eth1)",
        "provider": "the instances' (eth2)",
    }
    for network in plan.networks:
        networks.add_row(network.kind, str(network.cidr), str(network.host_address), purposes[network.kind])
    console.print(networks)
    console.print()
    steps = _table("step", "title", "nodes", "about")
    for step in plan.steps:
        steps.add_row(step.id, step.title, _node_range(step.nodes), clock(step.seconds))
    console.print(steps)
    total = sum(step.seconds for step in plan.steps)
    console.print(f"{len(plan.checks)} checks; steps one after the other would take about {clock(total)}")


def _node_range(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{names[0]} … {names[-1]} ({len(names)})"


def _print_nodes(plan: Plan, states: dict[str, str] | None = None) -> None:
    table = _table(
        "node", *(["state"] if states else []), "management", "CPUs", "memory", "disk", "instances run under"
    )
    for node in plan.nodes:
        table.add_row(
            node.name,
            *([states[node.name]] if states else []),
            management_address(node),
            str(node.cpus),
            f"{node.memory_mib / 1024:g} GiB",
            f"{node.disk_gib} GiB",
            node.virt_type or "—",
        )
    console.print(table)


def print_findings(findings: Iterable[Finding], bad: str = "missing", spec: str = "") -> None:
    """Print what the doctor found; what is `bad` comes with the command that repairs it.

    Lines, as a table would break a command that one wants to paste: each is on its own line, never wrapped,
    and calls `lab` as this process was called. `spec` is the --file of that call where it is not the default.
    """
    options = shlex.join(["--file", spec]) if spec else ""
    for finding in findings:
        word, style = ("ok", "green") if finding.ok else (bad, "red") if finding.fatal else ("note", "yellow")
        why = f" — {finding.why}" if finding.why else ""
        line = f"[{style}]{word:<7}[/{style}] [bold]{escape(finding.what)}[/bold]: {escape(finding.found + why)}"
        console.print(line, soft_wrap=True)
        for text in ([finding.advice] if finding.advice else []) + as_called(finding.repair, options).splitlines():
            console.print(f"        {text}", soft_wrap=True, markup=False)


def print_status(lab: Lab, status: dict[str, Any]) -> None:
    """Print what `status_of` found."""
    console.print(f"lab [bold]{lab.plan.name}[/bold] ({lab.plan.release}) in {lab.build_dir}", soft_wrap=True)
    if status["libvirtd"]:
        console.print(status["libvirtd"], style="yellow", markup=False, soft_wrap=True)
    _print_nodes(lab.plan, {node["name"]: node["state"] for node in status["nodes"]})
    for node in status["nodes"]:
        left = node["steps_left"]
        steps = f"all {len(node['steps_done'])} steps done" if not left else f"next step: {left[0]}"
        console.print(f"{node['name']}: {steps}")
    if any(node["state"] == UNKNOWN for node in status["nodes"]):
        told = f"only root can see the states of the nodes; run: {same_with_sudo()}"
        console.print(told, soft_wrap=True, markup=False)


def print_up(result: UpResult, progress: LiveProgress) -> None:
    """Print how `lab up` ended: times, where everything is that the steps done so far have made, the suite's report."""
    plan = result.lab.plan
    if not result.ran:
        passed = f"{len(result.report.checks)} quick checks passed"
        console.print(f"nothing to do: {passed}; `lab verify` runs all {len(plan.checks)}")
        return
    if result.seconds:
        console.print()
        console.print(timing_table(plan, progress.phases, result.step_seconds, result.seconds))
        print_places(result.lab)
    print_report(console, plan, result.report)


def print_removed(removed: Removed) -> None:
    """Print how `lab down` ended."""
    if not removed.existed:
        told = f"no lab in {removed.directory}: nothing to remove"
    elif removed.kept:
        told = f"lab {removed.lab} is removed, its checkpoints are kept: {', '.join(removed.kept)}; "
        told += "`lab checkpoint restore NAME` restores it"
    elif removed.directory is None:
        told = f"lab {removed.lab} was removed"
    else:
        seed = removed.directory / "seed"
        told = f"lab {removed.lab} was removed; {seed} stays, so that `lab up` creates it with the same passwords"
    console.print(told, markup=False, soft_wrap=True)


def print_places(lab: Lab) -> None:
    """Print where everything is that the steps done so far have made."""
    where = Table.grid(padding=(0, 2))
    made = provided(lab.plan, StateFile(lab.build_dir / "state.json").load().steps)
    for what, place in made:
        where.add_row(what, place)
    then = "sudo -i, . admin-openrc, openstack server list" if made else "sudo -i"
    where.add_row("shell", f"lab ssh {lab.plan.nodes[0].name}    (then: {then})")
    where.add_row("passwords", f"lab secrets    (derived from {lab.build_dir / 'seed'})")
    where.add_row("logs", str(lab.build_dir / "logs"))
    where.add_row(
        "by hand", "lab exec -- vagrant status    (or ssh, virsh …, in the build directory, on the lab's host)"
    )
    console.print("\n[bold]Where everything is[/bold]")
    console.print(where, soft_wrap=True)
    console.print()


def print_forwards(plan: Plan, found: Forwards) -> None:
    """Print what `lab forward` reaches, and how a browser does."""
    where = Table.grid(padding=(0, 2))
    for name, place in forward_lines(found, plan):
        where.add_row(name, place)
    console.print(where, soft_wrap=True)
    console.print(
        "A browser that uses the proxy can open every URL of the lab, consoles too:\n"
        f"  chromium --user-data-dir=$(mktemp -d) --proxy-server=socks5://{LOOPBACK}:{found.socks}"
        f" http://{plan.nodes[0].name}/\n"
        "Ctrl-C ends it.",
        soft_wrap=True,
        highlight=False,
    )
