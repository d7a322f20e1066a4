"""The plan: everything that is decided about a lab, frozen, without a secret in it.

`resolve()` makes it from the spec, the release, the steps' facts and what is known of the host; no
later code reads those again. plan.json is this model as JSON.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Literal

from lab.base.addresses import NetworkKind  # noqa: TC001 - pydantic reads annotations
from lab.base.models import Frozen
from lab.inputs.steps import Comes, Role

SLOW_WHEN_EMULATED = ("erms", "fsrm", "smap", "smep", "pku", "umip")
"""processor features, by QEMU's names, without which an emulated node is faster: docs/measured.md.

With `erms` and `fsrm` the kernel copies and clears memory with one instruction, which QEMU carries out byte by byte.
The others protect the kernel, at a price for each system call and each switch between processes.
"""

PLAN_VERSION: Literal[2] = 2

Accelerator = Literal["kvm", "qemu"]


class HostFacts(Frozen):
    """What `resolve` needs to know of the host; lab.host.kvm measures it."""

    accelerator: Accelerator = "qemu"
    """what a booted guest proved"""
    nested: bool = True
    """a compute VM gets a usable svm/vmx: always under emulation; under KVM when the kernel module's nesting is on"""
    wait_factor: float = 1.0
    """time of the proof's guest boot here, over that on a KVM host; all waits of the steps are multiplied by it"""


@dataclass(frozen=True)
class HostProof:
    """What was proven of a host: the facts for `resolve`, and the reasons for the user."""

    facts: HostFacts
    accelerator_reason: str
    nested_reason: str


class Network(Frozen):
    """A libvirt network of the lab, isolated: no route out."""

    kind: NetworkKind
    name: str
    """libvirt's name for it, as compute-101-management"""
    bridge: str
    """host interface, at most 15 characters"""
    cidr: IPv4Network
    host_address: IPv4Address
    """the host's own address in it (.1)"""
    dhcp: bool
    """libvirt serves DHCP: only on the access network, which Vagrant uses"""


class Nic(Frozen):
    """A node's interface: eth0 access (DHCP, Vagrant's), eth1 management (static), eth2 provider (no address)."""

    device: str
    network: NetworkKind
    mac: str
    address: IPv4Address | None
    """None: by DHCP (access) or without address (provider)"""


class Node(Frozen):
    """A virtual machine."""

    name: str
    """host name, exactly `controller`, `compute1` …"""
    role: Role
    domain: str
    """libvirt's name for it, as compute-101-controller"""
    cpus: int
    memory_mib: int
    disk_gib: int
    box: str
    nics: tuple[Nic, ...]
    nested: bool
    """the VM's CPU offers svm or vmx"""
    cpu_without: tuple[str, ...] = ()
    """features, by QEMU's names, that it does not offer; some of them only because they are SLOW_WHEN_EMULATED"""
    virt_type: Literal["kvm", "qemu", ""]
    """of nova-compute's instances; empty on a controller"""
    env: dict[str, str]
    """the scripts' environment on this node, without the secrets"""
    secrets: tuple[str, ...] = ()
    """names of those that it gets beside: what its own steps use"""
    steps: tuple[str, ...]
    """ids, in order"""

    def nic(self, network: NetworkKind) -> Nic:
        """Give the node's interface on a network."""
        return next(nic for nic in self.nics if nic.network == network)


class Step(Frozen):
    """A provisioning step as it will run."""

    id: str
    """NN-slug"""
    title: str
    guide: str
    url: str
    nodes: tuple[str, ...]
    needs: tuple[str, ...]
    awaits: tuple[str, ...] = ()
    seconds: int
    """expected on this host"""
    packages: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    """that run when it has ended"""
    units_off: tuple[str, ...] = ()
    """that its packages bring, and that must not run"""


class Check(Frozen):
    """One assertion of the suite about one node. Values may hold ${SECRET} for a secret's name."""

    id: str
    """compute1-55-compute-node-unit-nova-compute"""
    node: str
    step: str
    kind: str
    """names the test function: kind `unit` is asserted by test_unit"""
    guide: str
    command: str
    """what should have made it true"""
    quick: bool
    """part of the drift check of every `lab up`"""
    args: dict[str, Any]
    comes: Comes | None = None
    """which units make it true in their own time, and in how much of it"""


class Plan(Frozen):
    """A lab, decided."""

    version: Literal[2] = PLAN_VERSION
    name: str
    release: str
    edition: str = ""
    """of the guide, which has its steps in a folder of provision/; empty: the steps beside these folders"""
    ended: str = ""
    """the year since which nobody repairs the release's security: the lab meets no network but its own"""
    virtualenvs: str = ""
    """folder of boxes/ that says how the release's packages are made; empty: they are Debian's"""
    distribution: str
    """its name, as Debian"""
    suite: str
    """the distribution's, as bookworm"""
    flavour: Literal["installed", "preloaded"]
    box_url: str | None = None
    """of a ready-made box for all nodes; None where boxes are built"""
    box_sha256: str | None = None
    """its checksum"""
    accelerator: Accelerator
    wait_factor: float
    networks: tuple[Network, ...]
    nodes: tuple[Node, ...]
    """controller first, then compute1 … computeN"""
    steps: tuple[Step, ...]
    """in teaching order; `needs` gives the order that must hold"""
    secrets: tuple[str, ...]
    """names, as NOVA_DBPASS"""
    overridden_secrets: tuple[str, ...] = ()
    """names of those that the spec sets itself"""
    checks: tuple[Check, ...]

    @cached_property
    def digest(self) -> str:
        """Twelve digits that are another plan's with high probability; how fast the host is does not count."""
        what = self.model_dump(mode="json", exclude={"wait_factor": True, "steps": {"__all__": {"seconds"}}})
        for node in what["nodes"]:
            node["env"].pop("LAB_WAIT_FACTOR", None)
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]

    def node(self, name: str) -> Node:
        """Find a node by its name; KeyError where there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def step(self, step_id: str) -> Step:
        """Find a step by its id; KeyError where there is none."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)


def management_address(node: Node) -> str:
    """Give the node's address on the management network."""
    return str(node.nic("management").address)
