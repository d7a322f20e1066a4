"""The spec, lab.yaml: what a user may wish for. Units are IEC only; every field says what it is for the JSON Schema."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, Strict, WithJsonSchema

from lab.base.models import Frozen
from lab.inputs.release import canonical
from lab.inputs.values import (
    BOX_DISK_GIB,
    NAME_PATTERN,
    BoxUrl,
    Checksum,
    Cidr,
    ComputeMemoryMib,
    ControllerMemoryMib,
    Cpus,
    DiskGib,
    Mirror,
    Name,
    Password,
    Pool,
    size_text,
)


def _default(text: str) -> dict[str, Any]:
    """State a default in the spec's own words for the schema."""
    return {"default": text}


def _memory(mib: int, description: str) -> Any:
    """Give the field of the key `memory`, with its default."""
    return Field(mib, alias="memory", description=description, json_schema_extra=_default(size_text(mib)))


def _disk(description: str) -> Any:
    """Give the field of the key `disk`: by default as large as the boxes' disks."""
    default = _default(size_text(BOX_DISK_GIB * 1024))
    return Field(BOX_DISK_GIB, alias="disk", description=description, json_schema_extra=default)


def _network(cidr: str, description: str) -> Any:
    """Give the field of a network, with its default."""
    return Field(IPv4Network(cidr), description=description, json_schema_extra=_default(cidr))


class ControllerSpec(Frozen):
    """The controller node."""

    cpus: Cpus = Field(2, description="Virtual CPUs.")
    memory_mib: ControllerMemoryMib = _memory(3584, "Memory.")
    disk_gib: DiskGib = _disk("Size of the disk, as the node sees it.")


class ComputeSpec(Frozen):
    """The compute nodes, all alike: compute1, compute2 …"""

    count: Annotated[int, Strict(), Field(ge=1, le=16)] = Field(1, description="How many compute nodes.")
    cpus: Cpus = Field(1, description="Virtual CPUs of each.")
    memory_mib: ComputeMemoryMib = _memory(1536, "Memory of each.")
    disk_gib: DiskGib = _disk("Size of each disk.")
    nested: Literal["auto", "required", "off"] = Field(
        "auto",
        description="Hardware virtualization inside the compute nodes, so that instances run under KVM. "
        "auto: where the host can; required: refuse a host that cannot; off: instances are always emulated.",
    )


class NodesSpec(Frozen):
    """The virtual machines."""

    controller: ControllerSpec = Field(ControllerSpec(), description="The controller node.")
    compute: ComputeSpec = Field(ComputeSpec(), description="The compute nodes, all alike.")


class NetworksSpec(Frozen):
    """The lab's networks: isolated, none of them routed anywhere."""

    access: Cidr = _network("192.168.121.0/24", "Vagrant's own network (eth0, DHCP).")
    management: Cidr = _network(
        "10.0.0.0/24", "The services' network (eth1): controller .11, compute1 .31, compute2 .32 …"
    )
    provider: Cidr = _network("203.0.113.0/24", "The instances' network (eth2, without an address on the nodes).")
    provider_pool: Pool | None = Field(
        None,
        description="First and last address for instances (default: .101 to .250; upper half of a small network).",
    )


class BoxSpec(Frozen):
    """The disk images that the nodes start from."""

    flavour: Literal["installed", "preloaded"] = Field(
        "installed",
        description="installed: the packages are in the box; preloaded: their files are, and each step installs them.",
    )
    url: BoxUrl | None = Field(
        None, description="A ready-made box for all nodes, instead of building: its address or its file."
    )
    sha256: Checksum | None = Field(None, description="Checksum of the box at `url`, which needs one.")
    mirror: Mirror | None = Field(
        None, description="Debian mirror for building boxes (default: the one of the host's own apt sources)."
    )


def _release_name(value: object) -> object:
    """Take a version too: YAML reads 2025.1 as a number."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return canonical(str(value)) if number or isinstance(value, str) else value


ReleaseWord = Annotated[str, BeforeValidator(_release_name), WithJsonSchema({"type": ["string", "number"]})]


class Spec(Frozen):
    """A lab, as its user wishes it: lab.yaml."""

    model_config = ConfigDict(hide_input_in_errors=True, title="lab.yaml")

    name: Name = Field(
        description="Name of the lab, part of the names of its machines and networks.",
        json_schema_extra={"pattern": NAME_PATTERN},
    )
    release: ReleaseWord = Field(description="Release of OpenStack, by its name or version, as zed or 2022.2.")
    nodes: NodesSpec = Field(NodesSpec(), description="The virtual machines.")
    accelerator: Literal["auto", "kvm", "qemu"] = Field(
        "auto", description="What runs the nodes. auto: KVM where a booted guest proves it, else emulation."
    )
    networks: NetworksSpec = Field(NetworksSpec(), description="The lab's networks.")
    box: BoxSpec = Field(BoxSpec(), description="The disk images.")
    chapters: tuple[str, ...] = Field((), description="Optional chapters of the release, on top of the core.")
    golden: Literal["auto", "off"] = Field(
        "off",
        description="Keep the lab as a golden one, from which `lab up` makes the same lab without a step. auto: after "
        "the first `lab up` whose checks all pass, where the disk has room; off: only when `lab golden save` asks for "
        "it.",
    )
    rotate: Literal["off", "access", "all"] = Field(
        "off",
        description="Passwords that a lab made from a golden lab changes at once, so that no other lab has them. "
        "access: ADMIN_PASS, with which one gets in from outside; all: every password; off: none, the fastest.",
    )
    passwords: dict[str, Password] = Field(
        {},
        repr=False,
        description="Passwords that are not derived from the lab's seed, by the guide's name, as ADMIN_PASS.",
    )


def json_schema() -> dict[str, Any]:
    """Give the JSON Schema of lab.yaml."""
    schema = Spec.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
