"""What passes between a lab and the machine that it shares a system libvirt with: a table of nftables per lab.

On a system libvirt the lab's bridges are interfaces of the machine itself. Without this table the nodes, and the
instances in them, reach every service of the machine that listens on all addresses; and every user of the machine
reaches what listens in the lab without a password (memcached, the instances' consoles).

    inet lab-NAME-HASH
        input     from the lab's bridges: DHCP, DNS, ICMP and answers
        output    to the lab's bridges: root, and who runs `lab`; others only what answers

The table names interfaces only by their names, so it may be there before the bridges are. It is the lab's alone:
nobody else's rules are read or changed, and `nft` replaces it in one step. A reboot of the machine removes it; every
verb that starts machines installs it again. A private host has a network namespace of its own and needs none.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lab.base import safe
from lab.base.environment import which
from lab.base.errors import LabError
from lab.base.process import run
from lab.host.records import lab_key

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lab.host.host import Host
    from lab.planning.plan import Plan

_LIMIT_S = 30.0


def close(host: Host, plan: Plan, build_dir: Path) -> str:
    """Install the lab's table; gives the reason if that is not possible, else an empty text."""
    if host.mode != "system":
        return ""
    return why_open() or _load(
        ruleset(lab_key(plan.name, build_dir), [network.bridge for network in plan.networks], safe.trusted())
    )


def remove(key: str) -> None:
    """Remove the table of a lab; no error if there is none, or this user could not have made one."""
    if not why_open():
        _load(_absent(key))


def why_open() -> str:
    """Tell why this process cannot install a table; empty where it can."""
    if os.geteuid() != 0:
        return "only root may change the machine's packet filter"
    return "" if which("nft") else "nft is not installed (apt-get install nftables)"


def ruleset(key: str, bridges: Iterable[str], users: Iterable[int]) -> str:
    """Write the table for `nft -f`, in the place of an earlier one of its name."""
    names = ", ".join(f'"{bridge}"' for bridge in bridges)
    allowed = ", ".join(str(uid) for uid in sorted(set(users)))
    return f"""{_absent(key)}table inet lab-{key} {{
  chain input {{
    type filter hook input priority -10; policy accept;
    iifname != {{ {names} }} accept
    ct state established,related accept
    meta l4proto {{ icmp, ipv6-icmp }} accept
    udp dport {{ 53, 67 }} accept
    tcp dport 53 accept
    reject with icmpx admin-prohibited
  }}
  chain output {{
    type filter hook output priority -10; policy accept;
    oifname != {{ {names} }} accept
    ct state established,related accept
    udp sport {{ 53, 67 }} accept
    meta skuid != {{ {allowed} }} reject with icmpx admin-prohibited
  }}
}}
"""


def _absent(key: str) -> str:
    """Delete a table; the line before it makes one where there is none, which would be an error."""
    return f"table inet lab-{key}\ndelete table inet lab-{key}\n"


def _load(text: str) -> str:
    try:
        run(["nft", "-f", "-"], timeout_s=_LIMIT_S, input=text)
    except LabError as error:
        said = [line for line in error.detail.splitlines() if "Error" in line]
        return f"{error.message}{f': {said[0]}' if said else ''}"
    return ""
