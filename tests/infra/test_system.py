from __future__ import annotations

from typing import TYPE_CHECKING

from lab.verification.collectors import Need
from lab.verification.facts import CONTROLLER
from lab.verification.outcome import expect
from lab.verification.parse import hosts
from lab.verification.registry import asserts

if TYPE_CHECKING:
    from lab.planning.plan import Check
    from lab.verification.facts import NodeFacts
    from lab.verification.suite import Suite


@asserts("host-entry", args="name address", needs=lambda _: [Need("texts", "/etc/hosts")])
def test_host_entry(check: Check, node: NodeFacts) -> None:
    """One address and no other: a 127.0.1.1 line before it would win."""
    name, address = check.args["name"], check.args["address"]
    found = hosts(node.text("/etc/hosts")).get(name, [])
    expect(found == [address], f"{name} is {address} in /etc/hosts", ", ".join(found) or "no such name")


@asserts("kernel-module", args="name", needs=lambda _: [Need("modules")])
def test_kernel_module(check: Check, node: NodeFacts) -> None:
    name = check.args["name"]
    expect(name.replace("-", "_") in node.kernel_modules(), f"kernel module {name} loaded", "not loaded")


@asserts("clock", args="max_seconds", needs=lambda _: [Need("clock"), Need("clock", node=CONTROLLER)])
def test_clock(check: Check, node: NodeFacts, suite: Suite) -> None:
    """In step with the controller, from which the nodes take their time; the controller with this machine."""
    limit = float(check.args["max_seconds"])
    low, high = node.clock_offset()
    whom = "this machine"
    if check.node != CONTROLLER:
        earliest, latest = suite.facts.controller.clock_offset()
        low, high, whom = low - latest, high - earliest, CONTROLLER
    offset = min(max(0.0, low), high)  # within the bounds, in favour of the node
    expect(abs(offset) <= limit, f"clock within {limit:g} s of {whom}'s", f"{offset:+.2f} s")


@asserts(
    "command",
    args="run",
    optional="stdout_contains stdout_equals exit_code",
    needs=lambda check: [Need("commands", check.args["run"])],
)
def test_command(check: Check, node: NodeFacts) -> None:
    """A command of the step's own; without other arguments it must end with exit code 0."""
    command, args = check.args["run"], check.args
    ran = node.run(command)
    code = int(args.get("exit_code", 0))
    expect(ran.rc == code, f"exit code {code} of `{command}`", f"{ran.rc}: {ran.said}")
    if "stdout_equals" in args:
        wanted = node.values.fill(str(args["stdout_equals"]).strip())
        expect(ran.stdout.strip() == wanted, f"`{command}` prints {wanted!r}", repr(ran.stdout.strip()[:300]))
    if "stdout_contains" in args:
        wanted = node.values.fill(str(args["stdout_contains"]))
        expect(wanted in ran.stdout, f"`{command}` prints {wanted!r} among others", repr(ran.stdout.strip()[:300]))
