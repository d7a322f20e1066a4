from __future__ import annotations

from typing import TYPE_CHECKING

from lab.verification.collectors import Need
from lab.verification.outcome import expect
from lab.verification.registry import asserts

if TYPE_CHECKING:
    from lab.planning.plan import Check
    from lab.verification.facts import NodeFacts


@asserts("package", args="name", needs=lambda check: [Need("packages", check.args["name"])])
def test_package(check: Check, node: NodeFacts) -> None:
    """Installed and configured, not merely unpacked."""
    name = check.args["name"]
    status, _ = node.package(name) or ("not installed", "")
    expect(status in ("ii", "hi"), f"package {name} installed", f"dpkg status {status}")
