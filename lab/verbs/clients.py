"""How an OpenStack client outside the nodes finds the lab: variables and names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lab.base import durable
from lab.generator.clouds import CLOUDS
from lab.generator.render import hosts_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.planning.plan import Plan

MACHINES_HOSTS = Path("/etc/hosts")


def environment(plan: Plan, build_dir: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Give the variables that lead a client to this lab, and past a proxy that cannot know its addresses.

    What the user has set for clients stays. https://docs.openstack.org/python-openstackclient: OS_CLIENT_CONFIG_FILE.
    """
    names = [node.name for node in plan.nodes]
    places = [*names, *(str(n.address) for node in plan.nodes for n in node.nics if n.address)]
    places += [str(network.cidr) for network in plan.networks]
    found = {"OS_CLIENT_CONFIG_FILE": str(build_dir / CLOUDS), "OS_CLOUD": plan.name}
    found = {name: environ.get(name) or value for name, value in found.items()}
    for name in ("no_proxy", "NO_PROXY"):
        given = environ.get(name) or environ.get(name.swapcase()) or ""
        found[name] = ",".join([*filter(None, given.split(",")), *places])
    return found


def hosts_file_of(plan: Plan, build_dir: Path) -> Path:
    """Write the lab's names before those of the machine's own /etc/hosts: the first one counts (hosts(5))."""
    place = build_dir / "etc-hosts"
    durable.write_text(place, hosts_file(plan) + MACHINES_HOSTS.read_text(errors="replace"), mode=0o644)
    return place
