from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from lab.base import addresses
from lab.planning.addressing import make_networks, make_nics

GUIDE = IPv4Network("10.0.0.0/24")


def test_the_guides_addresses() -> None:
    assert addresses.management_address(GUIDE, 0) == IPv4Address("10.0.0.11")
    assert addresses.management_address(GUIDE, 1) == IPv4Address("10.0.0.31")
    assert addresses.management_address(GUIDE, 16) == IPv4Address("10.0.0.46")


@pytest.mark.parametrize(
    ("network", "first", "last"),
    [
        ("203.0.113.0/24", "203.0.113.101", "203.0.113.250"),
        ("10.8.0.0/16", "10.8.0.101", "10.8.0.250"),
        ("203.0.113.128/25", "203.0.113.192", "203.0.113.254"),
        ("203.0.113.16/28", "203.0.113.24", "203.0.113.30"),
    ],
)
def test_pool(network: str, first: str, last: str) -> None:
    assert addresses.provider_pool(IPv4Network(network)) == (IPv4Address(first), IPv4Address(last))


def test_interface_names_fit_the_kernel() -> None:
    for kind in addresses.NETWORK_KINDS:
        assert len(addresses.bridge_name("a-name-of-20-letters", kind)) <= 15


def test_networks_of_two_labs_share_no_name() -> None:
    cidrs: dict[addresses.NetworkKind, IPv4Network] = {
        "access": IPv4Network("192.168.121.0/24"),
        "management": GUIDE,
        "provider": IPv4Network("203.0.113.0/24"),
    }
    one, other = (make_networks(name, cidrs) for name in ("one", "other"))
    names = [name for network in (*one, *other) for name in (network.name, network.bridge)]
    assert len(set(names)) == len(names) == 12
    assert [network.dhcp for network in one] == [True, False, False]
    assert one[1].host_address == IPv4Address("10.0.0.1")


def test_macs_are_unique_in_a_lab_and_always_the_same() -> None:
    macs = [nic.mac for compute in range(17) for nic in make_nics("demo", GUIDE, compute)]
    assert len(set(macs)) == 17 * 3
    assert macs == [nic.mac for compute in range(17) for nic in make_nics("demo", GUIDE, compute)]
    assert all(mac.startswith("52:54:00:") and len(mac) == 17 for mac in macs)


def test_macs_of_many_labs_do_not_meet() -> None:
    macs = [
        addresses.mac(f"lab-{n}", compute, interface)
        for n in range(40)
        for compute in (0, 1, 16)
        for interface in (0, 1, 2)
    ]
    assert len(set(macs)) == len(macs)


def test_only_the_management_interface_has_an_address() -> None:
    nics = make_nics("demo", GUIDE, 2)
    assert [(nic.device, nic.network, nic.address) for nic in nics] == [
        ("eth0", "access", None),
        ("eth1", "management", IPv4Address("10.0.0.32")),
        ("eth2", "provider", None),
    ]
