from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab.verification.collectors import Need
from lab.verification.outcome import expect
from lab.verification.registry import asserts
from lab.verification.values import secret_name

if TYPE_CHECKING:
    from lab.planning.plan import Check
    from lab.verification.facts import NodeFacts


def _login(check: Check) -> list[str]:
    return [check.args["name"], secret_name(check.args["password"])]


@asserts("queue-user", args="name password", needs=lambda check: [Need("queue-logins", json.dumps(_login(check)))])
def test_queue_user(check: Check, node: NodeFacts) -> None:
    """The password opens the virtual host /, over TCP as the services do."""
    name, secret = _login(check)
    answer = node.queue_login(name, secret)
    expect(answer.get("open") is True, f"RabbitMQ takes user {name} with {secret}", str(answer.get("error")))


@asserts("queue-permissions", args="name", needs=lambda _: [Need("queue-permissions")])
def test_queue_permissions(check: Check, node: NodeFacts) -> None:
    """Configure, write and read everything on the virtual host /."""
    name = check.args["name"]
    mine = [row for row in node.queue_permissions() if row.get("user") == name]
    found = [f"{row.get('configure')} {row.get('write')} {row.get('read')}" for row in mine]
    expect(found == [".* .* .*"], f"permissions .* .* .* for {name} on /", ", ".join(found) or "none")
