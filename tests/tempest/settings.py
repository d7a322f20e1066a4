"""tempest.conf of a lab: what the plan decides, and what the running cloud answers.

https://docs.openstack.org/tempest/latest/configuration.html
"""

from __future__ import annotations

import configparser
import io
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from lab.openstack import identity_url

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lab.planning.plan import Plan
    from tempest.cloud import Cloud

IMAGE, FLAVOR, NETWORK = "tiny", "m1.nano", "provider"
"""the names that provision/80-first-network.sh gives them"""
PREFIX = "tempest-"
"""of the names of all that Tempest makes; those of its projects and users cannot be chosen"""
SERVICES = ("identity", "image", "compute", "network")
_WAIT_S = 60
"""of a lab's step for an instance, on a KVM host (provision/90-first-instance.sh)"""
_DEFAULT_WAIT_S = 300
"""Tempest's own"""
_REQUEST_S = 60
_POLL_S = 1.0
_FAST = 2.0
"""times a KVM host: a slower lab has no network and router for each class of tests, which took most of the time"""
_PROJECTS_NETWORKS = ("10.100.0.0/16", "172.30.0.0/16", "192.168.0.0/16")
"""one that does not meet the provider network serves the networks of Tempest's projects"""


def has(plan: Plan, capability: str) -> bool:
    """Tell whether the release, with the chapters of this lab, has a capability: SELF_SERVICE."""
    return plan.nodes[0].env.get(f"LAB_HAS_{capability}") == "1"


def services_of(plan: Plan) -> tuple[str, ...]:
    """Name the services whose smoke tests this lab supports: networks of the users' own come with a chapter."""
    return SERVICES if has(plan, "SELF_SERVICE") else tuple(s for s in SERVICES if s != "network")


def wait_s(plan: Plan) -> int:
    """Seconds to wait for an instance, an image or a network, at the pace of this lab."""
    return round(max(_DEFAULT_WAIT_S, _WAIT_S * plan.wait_factor))


def settings(plan: Plan, cloud: Cloud, password: str, work: Path) -> Mapping[str, Mapping[str, object]]:
    """Decide the options, by section."""
    own_networks = has(plan, "SELF_SERVICE")
    isolated = own_networks and plan.wait_factor <= _FAST
    waits = {"build_timeout": wait_s(plan), "build_interval": round(max(_POLL_S, plan.wait_factor / 4))}
    region = {"region": "RegionOne"}
    return {
        "DEFAULT": {"log_dir": work, "log_file": "tempest.log"},
        "auth": {
            "use_dynamic_credentials": True,
            "create_isolated_networks": isolated,
            "admin_username": "admin",
            "admin_project_name": "admin",
            "admin_password": password,
            "admin_domain_name": "Default",
        },
        "compute": {
            **waits,
            **region,
            "image_ref": cloud.image,
            "image_ref_alt": cloud.image,
            "flavor_ref": cloud.flavor,
            "flavor_ref_alt": cloud.flavor,
            "min_compute_nodes": len(plan.nodes) - 1,
            # Without networks of their own, instances are on the shared one.
            **({} if isolated else {"fixed_network_name": NETWORK}),
        },
        "compute-feature-enabled": {
            "resize": False,  # there is no second flavor
            "live_migration": False,  # the nodes share no storage
            "vnc_console": not has(plan, "SPICE"),
            "spice_console": has(plan, "SPICE"),
            "serial_console": has(plan, "SERIAL"),
        },
        "identity": {**region, "uri_v3": identity_url(plan)},
        "image": {**waits, **region},
        "network": {
            **waits,
            **region,
            "public_network_id": cloud.network,
            "floating_network_name": NETWORK,
            "project_network_cidr": _projects_network(plan),
        },
        "network-feature-enabled": {
            "api_extensions": ",".join(cloud.extensions),
            "floating_ips": own_networks,
        },
        "oslo_concurrency": {"lock_path": work / "locks"},
        "service-clients": {"http_timeout": round(_REQUEST_S * max(1.0, plan.wait_factor))},
        "service_available": {
            **dict.fromkeys(("nova", "glance", "neutron"), True),
            **dict.fromkeys(("cinder", "swift", "horizon"), False),
        },
        # The image has no ssh server.
        "validation": {"run_validation": False},
    }


def as_text(sections: Mapping[str, Mapping[str, object]]) -> str:
    """Write the options as oslo.config reads them: `$` and `%` in a value mean themselves."""
    file = configparser.RawConfigParser(default_section="")
    file.optionxform = str  # type: ignore[assignment, method-assign]
    for section, options in sections.items():
        file[section] = {name: str(value).replace("$", "$$") for name, value in options.items()}
    written = io.StringIO()
    file.write(written)
    return written.getvalue()


def _projects_network(plan: Plan) -> str:
    (provider,) = (network.cidr for network in plan.networks if network.kind == "provider")
    return next(cidr for cidr in _PROJECTS_NETWORKS if not provider.overlaps(IPv4Network(cidr)))
