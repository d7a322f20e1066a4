from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab.verification.cloud import run
from lab.verification.outcome import expect
from lab.verification.parse import addresses
from lab.verification.registry import asserts

if TYPE_CHECKING:
    from testinfra.host import Host

    from lab.planning.plan import Check
    from lab.verification.suite import Suite


@asserts("host-entry", args="name address")
def test_host_entry(check: Check, host: Host) -> None:
    """One address and no other: a 127.0.1.1 line before it would win."""
    name, address = check.args["name"], check.args["address"]
    found = addresses(host.file("/etc/hosts").content_string, name)
    expect(found == [address], f"{name} is {address} in /etc/hosts", ", ".join(found) or "no such name")


@asserts("kernel-module", args="name")
def test_kernel_module(check: Check, host: Host) -> None:
    name = check.args["name"]
    loaded = host.file(f"/sys/module/{name.replace('-', '_')}").is_directory
    expect(loaded, f"kernel module {name} loaded", "not loaded")


@asserts("clock", args="max_seconds")
def test_clock(check: Check, host: Host, suite: Suite) -> None:
    """In step with the controller, from which the nodes take their time; the controller with this machine."""
    limit, whom = float(check.args["max_seconds"]), "this machine"
    low, high = json.loads(host.run("@now").stdout)
    if host is not suite.controller:
        earliest, latest = json.loads(suite.controller.run("@now").stdout)
        low, high, whom = low - latest, high - earliest, "controller"
    offset = min(max(0.0, low), high)  # within the bounds, in favour of the node
    expect(abs(offset) <= limit, f"clock within {limit:g} s of {whom}'s", f"{offset:+.2f} s")


@asserts("command", args="run", optional="stdout_contains stdout_equals exit_code")
def test_command(check: Check, host: Host, suite: Suite) -> None:
    """A command of the step's own; without other arguments it must end with exit code 0."""
    command, args, values = check.args["run"], check.args, suite.values[check.node]
    ran = run(host, command)
    code = int(args.get("exit_code", 0))
    expect(ran.rc == code, f"exit code {code} of `{command}`", f"{ran.rc}: {ran.last_line}")
    if "stdout_equals" in args:
        wanted = values.fill(str(args["stdout_equals"]).strip())
        expect(ran.stdout.strip() == wanted, f"`{command}` prints {wanted!r}", repr(ran.stdout.strip()[:300]))
    if "stdout_contains" in args:
        wanted = values.fill(str(args["stdout_contains"]))
        expect(wanted in ran.stdout, f"`{command}` prints {wanted!r} among others", repr(ran.stdout.strip()[:300]))
