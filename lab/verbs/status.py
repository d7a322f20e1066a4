"""`lab status`: the nodes, their states, and how far the steps got."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.host import page_sharing
from lab.host.choice import own_host
from lab.host.libvirt_link import NoAnswerError
from lab.nodes.state import StateFile
from lab.planning.plan import management_address

if TYPE_CHECKING:
    from lab.planning.project import Lab

UNKNOWN = "unknown"
"""the state of a node whose libvirtd this user cannot ask"""


def status_of(lab: Lab) -> dict[str, Any]:
    """Look at the lab: domain states and how far the steps got; `libvirtd` says why that does not answer."""
    host = own_host(lab.plan, lab.build_dir, look=True)
    states, silent = {node.domain: UNKNOWN if host.is_closed() else "absent" for node in lab.plan.nodes}, ""
    try:
        if host.is_running():
            with host.hypervisor() as hypervisor:
                states = dict(hypervisor.states(states))
    except NoAnswerError as error:
        states, silent = dict.fromkeys(states, UNKNOWN), str(error)
    done = StateFile(lab.build_dir / "state.json").load().steps
    return {
        "name": lab.plan.name,
        "release": lab.plan.release,
        "build_dir": str(lab.build_dir),
        "host": str(host),
        "libvirtd": silent,
        "machine_shares_mib": page_sharing.saved_mib(),
        "nodes": [
            {
                "name": node.name,
                "role": node.role,
                "domain": node.domain,
                "state": states[node.domain],
                "management": management_address(node),
                "steps_done": [step for step in node.steps if f"{node.name}/{step}" in done],
                "steps_left": [step for step in node.steps if f"{node.name}/{step}" not in done],
            }
            for node in lab.plan.nodes
        ],
    }
