"""What a running lab has that Tempest must be told: ids, extensions, versions. Asked by its own clients.

    PYTHON cloud.py IMAGE FLAVOR NETWORK     one JSON object: a `Cloud`
    PYTHON cloud.py --left PREFIX            one JSON list: what still has a name that begins so

PYTHON is that of Tempest's virtualenv, which has openstacksdk; OS_CLIENT_CONFIG_FILE and OS_CLOUD name the cloud.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Cloud:
    """A cloud as it answers."""

    image: str
    """id of an image that boots within seconds"""
    flavor: str
    """id of a flavor that is enough for it"""
    network: str
    """id of the network to the outside"""
    extensions: tuple[str, ...]
    """of the Networking API, by their short names, as `router`"""


def ask(connection: Any, image: str, flavor: str, network: str) -> Cloud:
    """Find the three by their names. openstack.exceptions.NotFoundException where one is missing."""
    return Cloud(
        image=connection.image.find_image(image, ignore_missing=False).id,
        flavor=connection.compute.find_flavor(flavor, ignore_missing=False).id,
        network=connection.network.find_network(network, ignore_missing=False).id,
        extensions=tuple(sorted(extension.alias for extension in connection.network.extensions())),
    )


def left(connection: Any, prefix: str) -> Iterator[str]:
    """Name what is there, in any project, with a name that begins so."""
    kinds = {
        "server": connection.compute.servers(all_projects=True),
        "image": connection.image.images(),
        "network": connection.network.networks(),
        "router": connection.network.routers() if connection.network.find_extension("router") else (),
        "project": connection.identity.projects(),
        "user": connection.identity.users(),
        "domain": connection.identity.domains(),
    }
    for kind, found in kinds.items():
        yield from (f"{kind} {one.name}" for one in found if str(one.name).startswith(prefix))


def main() -> None:
    """Ask, and print."""
    import openstack

    connection = openstack.connect()
    if sys.argv[1] == "--left":
        print(json.dumps(list(left(connection, sys.argv[2]))))
    else:
        print(json.dumps(asdict(ask(connection, *sys.argv[1:]))))


if __name__ == "__main__":
    main()
