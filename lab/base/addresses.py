"""Names and addresses of a lab, from its name, its networks and a node's number alone."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Network

NetworkKind = Literal["access", "management", "provider"]

NETWORK_KINDS: tuple[NetworkKind, ...] = ("access", "management", "provider")
"""in the order of the nodes' interfaces: eth0, eth1, eth2"""
CONTROLLER_OFFSET = 11
"""the guide's controller is 10.0.0.11"""
COMPUTE_OFFSET = 30
"""the guide's compute1 is 10.0.0.31"""
POOL_OFFSETS = (101, 250)
"""the guide's pool is 203.0.113.101 to .250"""


def node_offset(compute: int) -> int:
    """Give the host part of a node's management address; compute 0 is the controller."""
    return COMPUTE_OFFSET + compute if compute else CONTROLLER_OFFSET


def management_address(network: IPv4Network, compute: int) -> IPv4Address:
    """Give a node's management address; compute 0 is the controller."""
    return network[node_offset(compute)]


def provider_pool(network: IPv4Network) -> tuple[IPv4Address, IPv4Address]:
    """Give the guide's pool, .101 to .250; in a network smaller than /24 its upper half."""
    if network.prefixlen <= 24:
        return network[POOL_OFFSETS[0]], network[POOL_OFFSETS[1]]
    return network[network.num_addresses // 2], network[-2]


def ready_made_box(sha256: str) -> str:
    """Name the box that a spec brings: by its file's checksum, so that another file is another box."""
    return f"compute-lab/ready-made-{sha256}"


def domain_name(lab: str, node: str) -> str:
    """Give libvirt's name for a node, as compute-101-controller."""
    return f"{lab}-{node}"


def lab_number(name: str) -> int:
    """Give a number of 32 bits for a lab's name: the same name, the same number, on every host."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])


def bridge_name(lab: str, kind: NetworkKind) -> str:
    """Name the host's bridge, as lab5f3a9c01-m: an interface name has at most 15 characters (IFNAMSIZ)."""
    return f"lab{lab_number(lab):08x}-{kind[0]}"


def mac(lab: str, compute: int, interface: int) -> str:
    """Give the MAC 52:54:00:LL:LL:NI of lab, node and interface (52:54:00 is QEMU's); NI is 4 x node + interface."""
    number = lab_number(lab) >> 16
    return f"52:54:00:{number >> 8:02x}:{number & 0xFF:02x}:{4 * compute + interface:02x}"
