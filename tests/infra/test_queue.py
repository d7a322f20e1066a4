from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab.verification.cloud import output, tool
from lab.verification.outcome import expect
from lab.verification.registry import asserts
from lab.verification.values import secret_name

if TYPE_CHECKING:
    from testinfra.host import Host

    from lab.planning.plan import Check
    from lab.verification.suite import Suite


@asserts("queue-user", args="name password")
def test_queue_user(check: Check, host: Host, suite: Suite) -> None:
    """The password opens the virtual host /, over TCP as the services do."""
    name, secret = check.args["name"], secret_name(check.args["password"])
    broker = {"host": "controller", "port": 5672, "timeout": 20 * suite.scale}
    answer = tool(host, "amqp", user=name, secret=secret, **broker)
    expect(answer.get("open") is True, f"RabbitMQ takes user {name} with {secret}", str(answer.get("error")))


@asserts("queue-permissions", args="name")
def test_queue_permissions(check: Check, host: Host) -> None:
    """Configure, write and read everything on the virtual host /."""
    name = check.args["name"]
    listed = json.loads(output(host, "rabbitmqctl", "rabbitmqctl -q --formatter json list_permissions -p /"))
    mine = [row for row in listed if row.get("user") == name]
    found = [f"{row.get('configure')} {row.get('write')} {row.get('read')}" for row in mine]
    expect(found == [".* .* .*"], f"permissions .* .* .* for {name} on /", ", ".join(found) or "none")
