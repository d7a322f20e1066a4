from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab.verification.cloud import output, tool
from lab.verification.outcome import expect
from lab.verification.registry import asserts
from lab.verification.values import secret_name

if TYPE_CHECKING:
    from testinfra.host import Host


@asserts("queue-user")
def test_queue_user(host: Host, name: str, password: str) -> None:
    """The password opens the virtual host /, over TCP as the services do."""
    secret = secret_name(password)
    answer = tool(host, "amqp", user=name, secret=secret, host="controller", port=5672, seconds=20)
    expect(answer.get("open") is True, f"RabbitMQ takes user {name} with {secret}", str(answer.get("error")))


@asserts("queue-permissions")
def test_queue_permissions(host: Host, name: str) -> None:
    """Configure, write and read everything on the virtual host /."""
    listed = json.loads(output(host, "rabbitmqctl", "rabbitmqctl -q --formatter json list_permissions -p /"))
    mine = [row for row in listed if row.get("user") == name]
    found = [f"{row.get('configure')} {row.get('write')} {row.get('read')}" for row in mine]
    expect(found == [".* .* .*"], f"permissions .* .* .* for {name} on /", ", ".join(found) or "none")
