"""`lab forward`: the lab's services on ports of this machine's loopback, by OpenSSH's own forwarding.

The ssh that listens runs where the user is; on a private host its connection enters by a ProxyCommand. So a browser
on the desktop, or `ssh -L` from another machine, reaches a lab whose network nobody else can see.
"""

from __future__ import annotations

import shlex
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.base.environment import tool_environment
from lab.base.errors import MachineError, UsageError
from lab.openstack import HTTP_PORT, service_ports
from lab.planning.refusals import require_shut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from lab.host.host import Host
    from lab.planning.plan import Plan

LOOPBACK = "127.0.0.1"
_SSH_PORT = 22
_READY_S = 30.0
_UNPRIVILEGED = 8000
"""added to a port below 1024, which only root may open"""
_FIRST_SSH = 2201
_SOCKS = 1080


@dataclass(frozen=True)
class Forward:
    """One port of this machine, and what is reached through it."""

    local: int
    node: str
    port: int


@dataclass(frozen=True)
class Forwards:
    """All ports of one `lab forward`."""

    ports: tuple[Forward, ...]
    socks: int
    """of a SOCKS 5 proxy, through which the lab's own names and URLs work"""


def choose(plan: Plan, is_free: Callable[[int], bool]) -> Forwards:
    """Choose the local ports: a service's own number where it is free, else the next one that is."""
    taken: set[int] = set()

    def take(wanted: int) -> int:
        port = next((p for p in range(wanted, 65536) if p not in taken and is_free(p)), None)
        if port is None:
            raise UsageError(f"no port from {wanted} on is free on {LOOPBACK}")
        taken.add(port)
        return port

    controller = plan.nodes[0].name
    services = [
        Forward(take(port if port >= 1024 else port + _UNPRIVILEGED), controller, port) for port in service_ports(plan)
    ]
    shells = [Forward(take(_FIRST_SSH + number), node.name, _SSH_PORT) for number, node in enumerate(plan.nodes)]
    return Forwards((*services, *shells), take(_SOCKS))


def is_free(port: int) -> bool:
    """Tell whether nobody listens on a port of the loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def ssh_command(config: Path, entered: Iterable[str], controller: str, forwards: Forwards) -> list[str]:
    """Write the ssh that listens. `entered` is the same ssh to the controller's own port, run on the lab's host."""
    # The master of an open connection runs on the lab's host: it would listen there.
    options = ["ControlMaster=no", "ControlPath=none", "ExitOnForwardFailure=yes", "ServerAliveInterval=15"]
    proxy = shlex.join(word.replace("%", "%%") for word in entered)
    argv = ["ssh", "-F", str(config), "-N", "-D", f"{LOOPBACK}:{forwards.socks}", "-o", f"ProxyCommand={proxy}"]
    for option in options:
        argv += ["-o", option]
    for one in forwards.ports:
        argv += ["-L", f"{LOOPBACK}:{one.local}:{one.node}:{one.port}"]
    return [*argv, controller]


def forward(plan: Plan, config: Path, host: Host, ready: Callable[[Forwards], None]) -> None:
    """Forward until the user interrupts it; `ready` is called once everything can be reached.

    Raises:
        MachineError: the controller does not answer, or stopped answering.
        UsageError: the lab's release has no security updates any more.
    """
    require_shut(plan, "`lab forward` opens ports of this machine")
    forwards = choose(plan, is_free)
    controller = plan.nodes[0].name
    entered = host.command(["ssh", "-F", str(config), "-W", f"localhost:{_SSH_PORT}", controller])
    argv = ssh_command(config, entered, controller, forwards)
    # In the terminal's group: Ctrl-C ends it as it ends this process.
    with subprocess.Popen(
        argv, env=tool_environment(), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            _wait_ready(process, forwards.socks)
            ready(forwards)
            process.wait()
        finally:
            process.terminate()
        said = process.stderr.read().strip() if process.stderr else ""
    raise MachineError("the connection to the controller ended", detail=said, hint="`lab status`")


def _wait_ready(process: subprocess.Popen[str], port: int) -> None:
    deadline = time.monotonic() + _READY_S
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, port)) == 0:
                return
        if time.monotonic() > deadline:
            raise MachineError(
                f"the controller did not answer in {_READY_S:.0f} s", hint="`lab resume`, or `lab doctor`"
            )
        time.sleep(0.1)


def lines(forwards: Forwards, plan: Plan) -> list[tuple[str, str]]:
    """Say what is where: pairs of a name and an address."""
    controller = plan.nodes[0].name
    told = []
    for one in forwards.ports:
        if one.port == _SSH_PORT:
            told.append((f"ssh {one.node}", f"{LOOPBACK}:{one.local}"))
        else:
            named = controller if one.port == HTTP_PORT else f"{controller}:{one.port}"
            told.append((f"http://{named}", f"http://{LOOPBACK}:{one.local}"))
    return [*told, ("all of the lab's names", f"socks5h://{LOOPBACK}:{forwards.socks}")]
