from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab.verification.cloud import output, run
from lab.verification.outcome import Mismatch, expect
from lab.verification.parse import unit_text
from lab.verification.registry import asserts

if TYPE_CHECKING:
    from testinfra.host import Host

    from lab.planning.plan import Check
    from lab.verification.suite import Suite

AT_BOOT = ("enabled", "alias", "generated", "linked")
"""what brings a unit back at a reboot: enabled itself, an alias of such a unit, or made by a generator"""


@asserts("package")
def test_package(host: Host, name: str) -> None:
    """Installed and configured, not merely unpacked."""
    if not host.package(name).is_installed:
        status = host.run("dpkg-query -W -f '${db:Status-Abbrev}' -- %s", name).stdout.strip()
        raise Mismatch(f"package {name} installed", f"dpkg status {status or 'not installed'}")


@asserts("unit")
def test_unit(host: Host, name: str) -> None:
    """Runs now, and after a reboot."""
    unit = host.service(name).systemd_properties
    good = unit["ActiveState"] == "active" and unit.get("UnitFileState") in AT_BOOT
    expect(good, f"unit {name} enabled and running", unit_text(unit))


@asserts("unit-off")
def test_unit_off(host: Host, name: str) -> None:
    """Neither runs nor starts at boot; no such unit at all is just as good."""
    unit = host.service(name).systemd_properties
    off = unit["ActiveState"] in ("inactive", "failed") and unit.get("UnitFileState") not in AT_BOOT
    expect(off or unit["LoadState"] == "not-found", f"unit {name} neither enabled nor running", unit_text(unit))


@asserts("host-entry")
def test_host_entry(host: Host, name: str, address: str) -> None:
    """One address and no other: a 127.0.1.1 line before it would win."""
    lines = [line.split("#")[0].split() for line in host.file("/etc/hosts").content_string.splitlines()]
    found = [words[0] for words in lines if name in words[1:]]
    expect(found == [address], f"{name} is {address} in /etc/hosts", ", ".join(found) or "no such name")


@asserts("kernel-module")
def test_kernel_module(host: Host, name: str) -> None:
    loaded = host.file(f"/sys/module/{name.replace('-', '_')}").is_directory
    expect(loaded, f"kernel module {name} loaded", "not loaded")


@asserts("ovs")
def test_ovs(host: Host, bridge: str, port: str) -> None:
    ports = output(host, "ovs-vsctl", "ovs-vsctl --timeout=20 list-ports %s", bridge).split()
    expect(port in ports, f"port {port} on bridge {bridge}", f"ports {', '.join(ports) or '(none)'}")


@asserts("clock")
def test_clock(host: Host, controller: Host, max_seconds: str) -> None:
    """In step with the controller, from which the nodes take their time; the controller with this machine."""
    limit, whom = float(max_seconds), "this machine"
    low, high = json.loads(host.run("@now").stdout)
    if host is not controller:
        earliest, latest = json.loads(controller.run("@now").stdout)
        low, high, whom = low - latest, high - earliest, "controller"
    offset = min(max(0.0, low), high)  # within the bounds, in favour of the node
    expect(abs(offset) <= limit, f"clock within {limit:g} s of {whom}'s", f"{offset:+.2f} s")


@asserts("command")
def test_command(
    check: Check,
    host: Host,
    suite: Suite,
    run_: str,
    stdout_contains: str | None,
    stdout_equals: str | None,
    exit_code: str | None,
) -> None:
    """A command of the step's own; without other arguments it must end with exit code 0."""
    ran, code, fill = run(host, run_), int(exit_code or 0), suite.values[check.node].fill
    found = repr(ran.stdout.strip()[:300])
    expect(ran.rc == code, f"exit code {code} of `{run_}`", f"{ran.rc}: {ran.last_line}")
    if stdout_equals is not None:
        wanted = fill(str(stdout_equals).strip())
        expect(ran.stdout.strip() == wanted, f"`{run_}` prints {wanted!r}", found)
    if stdout_contains is not None:
        wanted = fill(str(stdout_contains))
        expect(wanted in ran.stdout, f"`{run_}` prints {wanted!r} among others", found)
