"""Plans made by hand, for the tests of what comes after `resolve`: no step file and no release enters them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from lab.base.addresses import NetworkKind, bridge_name, ready_made_box
from lab.planning.plan import Network, Nic, Node, Plan, Step

if TYPE_CHECKING:
    from lab.planning.plan import Accelerator

SECRETS = {"ADMIN_PASS": "adminAdmin0", "NOVA_PASS": "novaNova0000", "RABBIT_PASS": "rabbitRabbit"}

_STEPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("10-environment", "both", ()),
    ("20-database", "controller", ("10-environment",)),
    ("50-compute-controller", "controller", ("20-database",)),
    ("55-compute-node", "compute", ("10-environment",)),
    ("60-network-controller", "controller", ("50-compute-controller",)),
    ("65-network-compute", "compute", ("55-compute-node",)),
    ("70-discover-hosts", "controller", ("50-compute-controller", "55-compute-node")),
    ("80-first-network", "controller", ("60-network-controller",)),
    ("90-first-instance", "controller", ("70-discover-hosts", "80-first-network")),
)


def sample_plan(
    *,
    computes: int = 1,
    accelerator: Accelerator = "qemu",
    nested: bool = True,
    wait_factor: float = 4.0,
    disk_gib: int = 20,
) -> Plan:
    """A lab `demo` with a controller and computes, and steps like the real ones."""
    names = ["controller", *(f"compute{n}" for n in range(1, computes + 1))]
    steps = tuple(_step(step_id, on, needs, names) for step_id, on, needs in _STEPS)
    return Plan(
        name="demo",
        release="zed",
        distribution="Debian",
        suite="bookworm",
        flavour="installed",
        accelerator=accelerator,
        wait_factor=wait_factor,
        networks=(
            _network("access", "192.168.121.0/24", dhcp=True),
            _network("management", "10.0.0.0/24"),
            _network("provider", "203.0.113.0/24"),
        ),
        nodes=tuple(_node(index, name, nested, accelerator, disk_gib, steps) for index, name in enumerate(names)),
        steps=steps,
        secrets=tuple(sorted(SECRETS)),
        checks=(),
    )


def _network(kind: NetworkKind, cidr: str, *, dhcp: bool = False) -> Network:
    network = IPv4Network(cidr)
    return Network.model_validate(
        {
            "kind": kind,
            "name": f"demo-{kind}",
            "bridge": bridge_name("demo", kind),
            "cidr": network,
            "host_address": network[1],
            "dhcp": dhcp,
        }
    )


def _node(
    index: int, name: str, nested: bool, accelerator: Accelerator, disk_gib: int, steps: tuple[Step, ...]
) -> Node:
    controller = index == 0
    address = IPv4Address("10.0.0.11") if controller else IPv4Address("10.0.0.30") + index
    nested = nested and not controller
    mac = f"52:54:00:1a:{index:02x}:0"
    return Node(
        name=name,
        role="controller" if controller else "compute",
        domain=f"demo-{name}",
        cpus=2,
        memory_mib=5120 if controller else 3072,
        disk_gib=disk_gib,
        box=f"compute-lab/zed-{'controller' if controller else 'compute'}",
        nics=(
            Nic(device="eth0", network="access", mac=mac + "0", address=None),
            Nic(device="eth1", network="management", mac=mac + "1", address=address),
            Nic(device="eth2", network="provider", mac=mac + "2", address=None),
        ),
        nested=nested,
        cpu_without=() if nested or controller else ("svm", "vmx"),
        virt_type="" if controller else ("kvm" if nested else "qemu"),
        env={"LAB_NAME": "demo", "LAB_NODE": name, "MY_IP": str(address), "LAB_COMPUTES": "compute1 compute2"},
        secrets=tuple(sorted(SECRETS if controller else {"NOVA_PASS", "RABBIT_PASS"})),
        steps=tuple(step.id for step in steps if name in step.nodes),
    )


def _step(step_id: str, on: str, needs: tuple[str, ...], names: list[str]) -> Step:
    nodes = {"both": names, "controller": names[:1], "compute": names[1:]}[on]
    return Step(
        id=step_id,
        title=step_id[3:],
        guide=f"Guide: {step_id[3:]}",
        url="",
        nodes=tuple(nodes),
        needs=needs,
        seconds=60,
        packages=(step_id[3:], "extra"),
    )


def _ready_made(plan: Plan, sha256: str) -> Plan:
    nodes = tuple(node.model_copy(update={"box": ready_made_box(sha256)}) for node in plan.nodes)
    given = {"box_url": "file:///srv/boxes/ubuntu1604.box", "box_sha256": sha256, "nodes": nodes}
    return plan.model_copy(update=given)


VAGRANT_PLANS = {
    "emulated": sample_plan(),
    "kvm": sample_plan(accelerator="kvm", wait_factor=1.0),
    "two-computes": sample_plan(computes=2),
    "sixteen-computes": sample_plan(computes=16),
    "nested-off": sample_plan(nested=False),
    "kvm-nested-off": sample_plan(accelerator="kvm", nested=False, wait_factor=1.0),
    "large-disk": sample_plan(disk_gib=40),
    "ready-made-box": _ready_made(sample_plan(), "ab" * 32),
}
"""labs whose Vagrantfiles differ in something"""
