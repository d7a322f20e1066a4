"""What a lab could collide with on the machine's libvirt: subnets, and names, that others have."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv4Network
from typing import TYPE_CHECKING

from lab.base.errors import HostError
from lab.base.finding import Finding
from lab.base.process import run, shown
from lab.host import host as hosts
from lab.host.libvirt import POOL
from lab.host.ownership import in_the_way, own_of
from lab.host.removal import own_volumes

if TYPE_CHECKING:
    from pathlib import Path

    from lab.planning.plan import Plan


@dataclass(frozen=True)
class Neighbours:
    """What a lab could collide with on the machine's libvirt."""

    networks: dict[str, list[str]] = field(default_factory=dict)
    """subnets of libvirt's networks that are not this lab's"""
    routes: tuple[str, ...] = ()
    """networks that the host itself reaches otherwise than through this lab's bridges"""
    namesakes: dict[str, str] = field(default_factory=dict)
    """others' domains, volumes and networks that have this lab's names, with what they are"""


def neighbours(host: hosts.Host, plan: Plan, build_dir: Path) -> Neighbours:
    """Name what a lab could collide with. On a private host there is nobody else."""
    if host.mode != "system":
        return Neighbours()
    names = {network.name for network in plan.networks}
    own = own_of(plan.name, build_dir)
    domains = [node.domain for node in plan.nodes]
    with host.hypervisor() as hypervisor:
        subnets = hypervisor.subnets()
        foreign = dict.fromkeys(hypervisor.foreign_domains(domains, build_dir), "domain")
        ours = own_volumes(hypervisor, [domain for domain in domains if domain not in foreign], own)
        volumes = [v for domain in domains for v in in_the_way(domain, hypervisor.volumes()) if v not in ours]
        foreign |= dict.fromkeys(volumes, "volume")
        foreign |= {n: "network" for n in subnets if n in names and not hypervisor.owns_network(n, own)}
    networks = {name: cidrs for name, cidrs in subnets.items() if name not in names}
    return Neighbours(networks, _routes({network.bridge for network in plan.networks}), foreign)


def require_no_collision(plan: Plan, host: hosts.Host, build_dir: Path) -> None:
    """Refuse a lab whose subnets or domain names somebody else on this libvirt has.

    vagrant-libvirt looks for networks by subnet and would silently join the other's. HostError with all collisions.
    """
    problems = [f for f in collisions(neighbours(host, plan, build_dir), plan) if not f.ok]
    if problems:
        detail = "\n".join(f"{f.what}: {f.found} — {f.advice}" for f in problems)
        raise HostError("the lab conflicts with something on this host", detail=detail)


def collisions(seen: Neighbours, plan: Plan) -> list[Finding]:
    """Judge each of the lab's subnets, and each name that somebody else has. Pure."""
    findings = []
    for network in plan.networks:
        others = [f"libvirt network {n}" for n, cidrs in seen.networks.items() if _overlaps(network.cidr, cidrs)]
        others += [f"route to {route}" for route in seen.routes if _overlaps(network.cidr, [route])]
        found = ", ".join(others) if others else "free"
        why = f"the lab's {network.kind} network must not overlap another one"
        advice, what = f"another networks.{network.kind} in the spec", f"subnet {network.cidr}"
        findings.append(Finding(f"subnet-{network.kind}", what, not others, found, why, advice=advice))
    for name, kind in seen.namesakes.items():
        why, repair, advice = f"a {kind} of that name exists that is not of this lab", "", "another `name` in the spec"
        if kind == "volume":
            repair = shown(["virsh", "-c", hosts.SYSTEM_URI, "vol-delete", name, "--pool", POOL])
            advice += "; or, if nobody needs it, remove it"
        findings.append(
            Finding(f"{kind}-{name}", f"{kind} {name}", False, "not of this lab", why, repair, advice=advice)
        )
    return findings


def _overlaps(cidr: IPv4Network, others: list[str]) -> bool:
    return any(cidr.overlaps(IPv4Interface(other).network) for other in others)


def _routes(bridges: set[str]) -> tuple[str, ...]:
    """Name the IPv4 networks that the host reaches otherwise than by these bridges, without the default route."""
    routes = json.loads(run(["ip", "-json", "-4", "route"], timeout_s=30).stdout or "[]")
    return tuple(r["dst"] for r in routes if r["dst"] != "default" and r.get("dev") not in bridges)
