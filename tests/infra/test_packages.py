from __future__ import annotations

from typing import TYPE_CHECKING

from lab.verification.outcome import Mismatch
from lab.verification.registry import asserts

if TYPE_CHECKING:
    from testinfra.host import Host

    from lab.planning.plan import Check


@asserts("package", args="name")
def test_package(check: Check, host: Host) -> None:
    """Installed and configured, not merely unpacked."""
    name = check.args["name"]
    if not host.package(name).is_installed:
        status = host.run("dpkg-query -W -f '${db:Status-Abbrev}' -- %s", name).stdout.strip()
        raise Mismatch(f"package {name} installed", f"dpkg status {status or 'not installed'}")
