"""What `lab check`, `lab status`, `lab doctor` and the end of `lab up` show."""

from __future__ import annotations

import difflib
import shlex
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from lab.base.errors import HostError, UsageError
from lab.base.progress import clock
from lab.base.rights import as_called, same_with_sudo
from lab.terminal.progress import console
from lab.verbs.forward import LOOPBACK
from lab.verbs.forward import lines as forward_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.base.finding import Finding
    from lab.planning.hostfit import HostNumbers
    from lab.planning.plan import Node, Plan
    from lab.planning.project import Lab
    from lab.verbs.forward import Forwards


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


def management_address(node: Node) -> str:
    """Give the node's address on the management network."""
    return next(str(nic.address) for nic in node.nics if nic.network == "management")


def require_fit(plan: Plan, host: HostNumbers) -> None:
    """Tell what of the plan is tight on this host.

    Raises:
        HostError: it does not fit: memory, disk or CPUs.
    """
    from lab.planning.hostfit import fit

    result = fit(plan, host)
    for warning in result.warnings:
        console.print(f"[yellow]warning:[/yellow] {warning}")
    if result.problems:
        raise HostError("the lab does not fit on this host", detail="\n".join(result.problems))


def print_findings(findings: Iterable[Finding], bad: str = "missing", spec: str = "") -> None:
    """Print what the doctor found; what is `bad` comes with the command that repairs it.

    Lines, as a table would break a command that one wants to paste: each stands on a line of its own, never wrapped,
    and calls `lab` as this process was called. `spec` is the --file of that call where it is not the default.
    """
    options = shlex.join(["--file", spec]) if spec else ""
    for finding in findings:
        word, style = ("ok", "green") if finding.ok else (bad, "red") if finding.fatal else ("note", "yellow")
        why = f" — {finding.why}" if finding.why else ""
        line = f"[{style}]{word:<7}[/{style}] [bold]{escape(finding.what)}[/bold]: {escape(finding.found + why)}"
        console.print(line, soft_wrap=True)
        for text in ([finding.advice] if finding.advice else []) + as_called(finding.mend, options).splitlines():
            console.print(f"        {text}", soft_wrap=True, markup=False)


UNKNOWN = "unknown"
"""the state of a node whose libvirtd this user cannot ask"""


def status_of(lab: Lab) -> dict[str, Any]:
    """Look at the lab: domain states and how far the steps got; `libvirtd` says why that does not answer."""
    from lab.host.choice import own_host
    from lab.host.libvirt_link import NoAnswerError
    from lab.nodes.state import StateFile

    host = own_host(lab.plan, lab.build_dir, look=True)
    states, silent = {node.domain: UNKNOWN if host.is_closed() else "absent" for node in lab.plan.nodes}, ""
    try:
        if host.is_running():
            with host.hypervisor() as hypervisor:
                states = dict(hypervisor.states(states))
    except NoAnswerError as error:
        states, silent = dict.fromkeys(states, UNKNOWN), str(error)
    done = StateFile(lab.build_dir / "state.json").load().steps
    return {
        "name": lab.plan.name,
        "release": lab.plan.release,
        "build_dir": str(lab.build_dir),
        "host": str(host),
        "libvirtd": silent,
        "nodes": [
            {
                "name": node.name,
                "role": node.role,
                "domain": node.domain,
                "state": states[node.domain],
                "management": management_address(node),
                "steps_done": [step for step in node.steps if f"{node.name}/{step}" in done],
                "steps_left": [step for step in node.steps if f"{node.name}/{step}" not in done],
            }
            for node in lab.plan.nodes
        ],
    }


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
        console.print(f"the nodes' states are root's to see; run: {same_with_sudo()}", soft_wrap=True, markup=False)


def provided(plan: Plan, done: Iterable[str]) -> list[tuple[str, str]]:
    """Name what the steps recorded as done (NODE/STEP) provide, and where: APIs, the dashboard, consoles."""
    known = set(done)
    checks = [check for check in plan.checks if f"{check.node}/{check.step}" in known]
    urls = {
        check.args["service"]: check.args["url"]
        for check in checks
        if check.kind == "endpoint" and check.args["interface"] == "public"
    }
    found = [
        (f"{check.args['type']} API", str(urls[check.args["name"]]))
        for check in checks
        if check.kind == "service" and check.args["name"] in urls
    ]
    found += [("dashboard", str(check.args["url"])) for check in checks if check.kind == "dashboard-login"]
    controller = plan.nodes[0]
    address = management_address(controller)
    found = [(what, url.replace(f"//{controller.name}", f"//{address}")) for what, url in found]
    consoles = {check.kind: check.command for check in reversed(checks) if check.kind in _CONSOLES}
    return found + [("console", command) for command in consoles.values()]


_CONSOLES = ("instance-vnc", "instance-spice", "instance-serial")


def print_summary(lab: Lab, timing: Table) -> None:
    """Print where everything is that the steps done so far have made."""
    from lab.nodes.state import StateFile

    console.print()
    console.print(timing)
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
        "A browser that takes the proxy finds every URL of the lab, consoles too:\n"
        f"  chromium --user-data-dir=$(mktemp -d) --proxy-server=socks5://{LOOPBACK}:{found.socks}"
        f" http://{plan.nodes[0].name}/\n"
        "Ctrl-C ends it.",
        soft_wrap=True,
        highlight=False,
    )


def require_step(plan: Plan, step: str) -> None:
    """Refuse a step that the plan does not have, and say which one may have been meant.

    Raises:
        UsageError: there is no such step.
    """
    ids = [s.id for s in plan.steps]
    if step in ids:
        return
    close = difflib.get_close_matches(step, ids, n=1, cutoff=0.4)
    raise UsageError(
        f"no step {step} in release {plan.release}",
        hint=f"did you mean {close[0]}?" if close else f"steps: {', '.join(ids)}",
    )
