"""Which things of a libvirt belong to a lab. A machine's libvirtd has other people's too, some of the same names.

- a domain is the lab's when its description, which vagrant-libvirt writes, names the build directory;
- a volume when such a domain has it for a disk, or when the lab has noted it before Vagrant was to make it;
- a network when its bridge has the name that only this lab gives, or when Vagrant has noted that it made it.

A private host (`Hypervisor.exclusive`) has nobody else's things.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lab.base.addresses import NETWORK_KINDS, bridge_name
from lab.base.builddir import canonical
from lab.host import records

_SOURCE = re.compile(r"Source: (?P<directory>/.*)/Vagrantfile")


def source_of(description: str) -> Path | None:
    """Read the build directory from a domain's description (vagrant-libvirt 0.11: action/create_domain.rb)."""
    found = filter(None, map(_SOURCE.fullmatch, description.splitlines()))
    return next((canonical(Path(match["directory"])) for match in found), None)


def is_from(description: str, build_dir: Path) -> bool:
    """Tell whether a domain's description names this very build directory, by whatever path."""
    return source_of(description) == canonical(build_dir)


def looks_like(domain: str, volume: str) -> bool:
    """Tell whether vagrant-libvirt could have named a volume so: DOMAIN.img, DOMAIN_1.img, DOMAIN-vdb.qcow2."""
    return volume.startswith((f"{domain}.", f"{domain}_", f"{domain}-vd"))


def in_the_way(domain: str, volumes: list[str]) -> list[str]:
    """Name those volumes that keep Vagrant from making a domain (action/create_domain_volume.rb)."""
    return [volume for volume in volumes if re.fullmatch(rf"{re.escape(domain)}(_\d+)?\.img", volume)]


@dataclass(frozen=True)
class Own:
    """What belongs to one lab on a libvirt, beside what its domains say."""

    build_dir: Path
    bridges: frozenset[str] = frozenset()
    volumes: frozenset[str] = frozenset()
    """noted when they did not exist, before Vagrant was to make them"""
    networks: frozenset[str] = frozenset()
    """UUIDs of those that Vagrant has noted, as of a `vagrant up` by hand"""
    recorded: bool = False
    """this machine remembers the lab: it has been made at some time"""


def own_of(name: str, build_dir: Path, key: str = "") -> Own:
    """Gather what this machine and the build directory remember of a lab; `key` where that directory may be gone."""
    record = records.load(key or records.lab_key(name, build_dir))
    noted = (build_dir / ".vagrant" / "machines").glob("*/libvirt/created_networks")
    return Own(
        build_dir=build_dir,
        bridges=frozenset(bridge_name(name, kind) for kind in NETWORK_KINDS),
        volumes=frozenset(record.volumes if record else ()),
        networks=frozenset(line.strip() for path in noted for line in path.read_text().splitlines() if line.strip()),
        recorded=record is not None,
    )
