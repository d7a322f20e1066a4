from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.verification.cloud import tool
from lab.verification.outcome import CannotTell, expect
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
    found = " ".join(_broker(host)["permissions"].get(name, ["none"]))
    expect(found == ".* .* .*", f"permissions .* .* .* for {name} on /", found)


@asserts("queue-consumers")
def test_queue_consumers(host: Host, name: str) -> None:
    """Somebody takes what is put into the queue."""
    consumers = _broker(host)["consumers"]
    found = f"{consumers[name]} consumers" if name in consumers else "no such queue"
    expect(consumers.get(name, 0) > 0, f"a consumer of the queue {name}", found)


@asserts("queue-alarms")
def test_queue_alarms(host: Host) -> None:
    """RabbitMQ takes messages: it has room in memory and on the disk."""
    alarms = _broker(host)["alarms"]
    expect(not alarms, "no alarm of RabbitMQ", ", ".join(alarms))


def _broker(host: Host) -> dict[str, Any]:
    answer = tool(host, "broker", seconds=20)
    if "error" in answer:
        raise CannotTell(answer["error"])
    return answer
