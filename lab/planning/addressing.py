"""A lab's networks, and its nodes' interfaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.base.addresses import NETWORK_KINDS, NetworkKind, bridge_name, mac, management_address
from lab.planning.plan import Network, Nic

if TYPE_CHECKING:
    from ipaddress import IPv4Network


def make_networks(lab: str, cidrs: dict[NetworkKind, IPv4Network]) -> tuple[Network, ...]:
    """Make the lab's networks."""
    return tuple(
        Network(
            kind=kind,
            name=f"{lab}-{kind}",
            bridge=bridge_name(lab, kind),
            cidr=cidrs[kind],
            host_address=cidrs[kind][1],
            dhcp=kind == "access",
        )
        for kind in NETWORK_KINDS
    )


def make_nics(lab: str, management: IPv4Network, compute: int) -> tuple[Nic, ...]:
    """Make a node's interfaces; compute 0 is the controller."""
    return tuple(
        Nic(
            device=f"eth{index}",
            network=kind,
            mac=mac(lab, compute, index),
            address=management_address(management, compute) if kind == "management" else None,
        )
        for index, kind in enumerate(NETWORK_KINDS)
    )
