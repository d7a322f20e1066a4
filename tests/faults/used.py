"""What people do with a lab beyond the guide, by OpenStack's own commands; and that it is still there afterwards."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

BESIDE = 5
"""uses in a round beside the one of instances"""
_OF_INSTANCES = ("70-discover-hosts", "90-first-instance")
BATCH = "/opt/lab/lib/openstack-batch"
LIMIT_S = 900.0
"""for the commands of one use, on an emulated controller"""


@dataclass(frozen=True)
class Use:
    """One use. Its lines are `openstack` commands; {me} is a name that no other round has."""

    name: str
    step: str
    """it needs what this step makes"""
    does: str
    still: str = ""
    """commands that succeed as long as the user's own things are there"""


def _state(action: str, status: str) -> Use:
    """The lab's own instance, put into another state.

    nova gives a guest 60 s to shut down by itself (shutdown_timeout), and an emulated node needs longer.
    """
    await_it = f"await 300 {status} server show --format value --column status {{server:instance-compute1}}"
    return Use(action, "90-first-instance", f"server {action} {{server:instance-compute1}}\n{await_it}")


USES = (
    Use(
        "a service of the next chapter",
        "30-identity",
        "service create --name {me} orchestration\n"
        "let id = service show --format value --column id {me}\n"
        "endpoint create --region RegionOne {id} public http://controller:8004\n",
        "service show {me}\nendpoint list --service {me}",
    ),
    Use(
        "another region",
        "30-identity",
        "region create {me}\nendpoint create --region {me} identity public http://elsewhere:5000/v3/",
        "region show {me}",
    ),
    Use(
        "a second service of the same name",
        "40-image",
        "service create --name glance --description {me} image",
    ),
    Use(
        "a provider of resources",
        "45-placement",
        "resource provider create {me}",
        "await 0 {me} resource provider list --format value --column name",
    ),
    Use(
        "an availability zone",  # newer releases refuse to change that of a host with instances
        "90-first-instance",
        "aggregate show rack || aggregate create --zone rack rack\n"
        "server delete --wait {server:instance-compute1}\n"
        "aggregate remove host rack compute1 || aggregate show rack\n"
        "aggregate add host rack compute1",
        "await 0 compute1 aggregate show --format value --column hosts rack",
    ),
    Use(
        "a node in maintenance",
        "70-discover-hosts",
        "compute service set --disable --disable-reason {me} compute1 nova-compute",
    ),
    Use(
        "a second image of the same name",
        "80-first-network",
        "image create --disk-format raw --container-format bare --property lab={me} --file /etc/hostname tiny",
        "await 0 . image list --property lab={me} --format value --column ID",
    ),
    Use(
        "another kernel",
        "80-first-network",
        "image delete {image:tiny-kernel}\n"
        "image create --disk-format aki --container-format aki --property lab={me} --file /etc/hostname tiny-kernel",
        "await 0 . image list --property lab={me} --format value --column ID",
    ),
    Use(
        "a smaller flavor",
        "80-first-network",
        "flavor delete m1.nano\nflavor create --id 0 --vcpus 1 --ram 64 --disk 1 m1.nano",
    ),
    Use("a network that is down", "80-first-network", "network set --disable --no-share {network:provider}"),
    Use("a subnet without DHCP", "80-first-network", "subnet set --no-dhcp --name {me} {subnet:provider}"),
    Use(
        "a DHCP agent that is switched off",
        "80-first-network",
        "let agent = network agent list --host controller --agent-type dhcp --format value --column ID\n"
        "network agent set --disable {agent}",
    ),
    Use(
        "an instance that fits nowhere",
        "90-first-instance",
        "flavor create --ram 900000 --vcpus 1 --disk 1 {me}\n"
        "server create --flavor {me} --image {image:tiny} --network {network:provider} {me}\n"
        "await 300 ERROR|. server show --format value --column status {me}",
        "server show {me}\nserver delete {me}",
    ),
    Use(
        "a paused instance of the same name",
        "90-first-instance",
        "let id = server create --flavor m1.nano --image {image:tiny} --network {network:provider} --property lab={me} "
        "--format value --column id instance-compute1\n"
        "await 300 ACTIVE server show --format value --column status {id}\n"
        "server pause {id}\n"
        "await 300 PAUSED server show --format value --column status {id}",
        "await 0 PAUSED server list --name instance-compute1 --status PAUSED --format value --column Status",
    ),
    _state("pause", "PAUSED"),
    _state("suspend", "SUSPENDED"),
    _state("shelve", "SHELVED"),
    _state("stop", "SHUTOFF"),
    _state("rescue", "RESCUE"),
    # Last: then no service can ask the Identity service who a user is, so each refuses what other uses want of it.
    Use("a disabled project", "30-identity", "project set --disable service"),
)
"""in the order in which a round does them"""


def drawn(number: int, fraction: float, done: Collection[str]) -> tuple[Use, ...]:
    """Choose what people do in a round with a lab that has these steps; nothing where it allows nothing.

    One use that needs or changes instances comes first, the next one in each round: two would stand in each other's
    way. What goes beside it is drawn by `fraction`.
    """
    able = [use for use in USES if use.step in done]
    alone = [use for use in able if use.step in _OF_INSTANCES]
    free = [use for use in able if use not in alone]
    beside = random.Random(fraction).sample(free, min(BESIDE, len(free)))
    return (*(alone[number % len(alone)] for _ in alone[:1]), *sorted(beside, key=USES.index))


def steps_done(build_dir: Path) -> list[str]:
    """Name the steps that `lab up` recorded as done."""
    state = json.loads((build_dir / "state.json").read_text())
    return list(dict.fromkeys(key.partition("/")[2] for key in state["steps"]))


def script(lines: str, number: int) -> str:
    """Write the command for the controller; NUMBER is the round's."""
    return f"{BATCH} <<'EOF'\n{lines.replace('{me}', f'user-{number}')}\nEOF"
