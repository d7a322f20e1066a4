from __future__ import annotations

from typing import TYPE_CHECKING

from lab.infra.collectors import Need
from lab.infra.outcome import expect
from lab.infra.registry import asserts

if TYPE_CHECKING:
    from lab.infra.facts import NodeFacts
    from lab.plan import Check


@asserts("package", args="name", needs=lambda check: [Need("packages", check.args["name"])])
def test_package(check: Check, node: NodeFacts) -> None:
    """Installed and configured, not merely unpacked."""
    name = check.args["name"]
    status, _ = node.package(name) or ("not installed", "")
    expect(status in ("ii", "hi"), f"package {name} installed", f"dpkg status {status}")
