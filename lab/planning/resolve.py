"""From a spec, a release, the steps and what is known of the host to the plan: pure, and without a secret."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, get_args

from lab.base import addresses
from lab.base.errors import HostError, UsageError
from lab.inputs.steps import Role
from lab.planning.addressing import make_networks, make_nics
from lab.planning.checks import derive_checks
from lab.planning.plan import SLOW_WHEN_EMULATED, Accelerator, HostFacts, Node, Plan, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lab.inputs.catalog import LoadedStep
    from lab.inputs.model import Spec
    from lab.inputs.release import Release

ROLES: tuple[Role, ...] = get_args(Role)
REFERENCE_WAIT_FACTOR = 9.0
"""the wait factor of the idle reference machine, on which the steps' `seconds` were taken (lab.host.kvm.SLOWDOWN)"""


def resolve(
    spec: Spec, release: Release, steps: Mapping[str, LoadedStep], host: HostFacts, *, reason: str = ""
) -> Plan:
    """Decide everything about a lab. The same arguments give the same plan.

    Args:
        steps: of the release, by id (lab.inputs.catalog.load_steps).
        host: what is known of the host.
        reason: why the host's accelerator is what it is, for the error where the spec asks for more.

    Raises:
        UsageError: the steps' order is impossible.
        HostError: the spec requires what the host cannot give.
    """
    accelerator = _accelerator(spec, host, reason)
    nested = _nested(spec, accelerator, host)
    selected = choose_steps(release, steps, spec.chapters)
    _require_order(selected)
    boxes = {role: _box(spec, release, steps, role) for role in ROLES}
    nodes = tuple(
        _node(spec, release, selected, compute, accelerator, boxes, nested=nested, wait_factor=host.wait_factor)
        for compute in range(spec.nodes.compute.count + 1)
    )
    planned = tuple(_step(step, nodes, host.wait_factor, release.series) for step in selected.values())
    return Plan(
        name=spec.name,
        release=release.name,
        edition=release.edition,
        ended=release.ended,
        virtualenvs=release.virtualenvs,
        distribution=release.distribution,
        suite=release.suite,
        flavour=spec.box.flavour,
        box_url=spec.box.url,
        box_sha256=spec.box.sha256,
        accelerator=accelerator,
        wait_factor=host.wait_factor,
        networks=make_networks(
            spec.name,
            {
                "access": spec.networks.access,
                "management": spec.networks.management,
                "provider": spec.networks.provider,
            },
        ),
        nodes=nodes,
        steps=planned,
        secrets=release.secrets,
        overridden_secrets=tuple(name for name in release.secrets if name in spec.passwords),
        checks=derive_checks(nodes, selected, release.secrets),
    )


def choose_steps(release: Release, steps: Mapping[str, LoadedStep], chapters: tuple[str, ...]) -> dict[str, LoadedStep]:
    """Choose the steps of a lab with these chapters, as its capabilities make them, in order.

    What one step starts or opens on a node, no other one switches off or finds closed there: a chapter may start what
    the core leaves off. What needs a step whose place a chapter takes needs the chapter's steps instead.
    """
    capabilities = release.capabilities_with(chapters)
    taken = {step: release.chapters[name].steps for name in chapters for step in release.chapters[name].without}

    def in_its_place(step: LoadedStep) -> LoadedStep:
        needs = [now for need in step.facts.needs for now in taken.get(need, (need,))]
        return replace(step, facts=step.facts.model_copy(update={"needs": tuple(dict.fromkeys(needs))}))

    chosen = {step_id: steps[step_id].of(capabilities) for step_id in release.steps_with(chapters)}
    selected = {step_id: in_its_place(step) for step_id, step in chosen.items()}

    def without_contradiction(step: LoadedStep) -> LoadedStep:
        near = [other.facts for other in selected.values() if set(other.facts.on) & set(step.facts.on)]
        started = {unit for facts in near for unit in facts.units}
        opened = {int(socket.rpartition(":")[2]) for facts in near for socket in facts.sockets}
        off = {
            "units_off": tuple(unit for unit in step.facts.units_off if unit not in started),
            "closed": tuple(port for port in step.facts.closed if port not in opened),
        }
        return replace(step, facts=step.facts.model_copy(update=off))

    return {step_id: without_contradiction(step) for step_id, step in selected.items()}


def _box(spec: Spec, release: Release, steps: Mapping[str, LoadedStep], role: Role) -> str:
    """Name the box of a role: the one that the spec brings, else the release's, and the chapters that change it."""
    if spec.box.sha256:
        return addresses.ready_made_box(spec.box.sha256)

    def packages(chapters: tuple[str, ...]) -> set[str]:
        here = [step.facts for step in choose_steps(release, steps, chapters).values() if role in step.facts.on]
        return {package for facts in here for package in facts.packages}

    core = packages(()) if spec.chapters else set()
    own = [f"-{chapter}" for chapter in sorted(spec.chapters) if packages((chapter,)) != core]
    return f"{release.box}-{role}{''.join(own)}" + ("-preloaded" if spec.box.flavour == "preloaded" else "")


def _accelerator(spec: Spec, host: HostFacts, reason: str) -> Accelerator:
    if spec.accelerator == "kvm" and host.accelerator != "kvm":
        raise HostError(
            "the spec asks for accelerator kvm, but no guest boots under KVM here",
            detail=reason,
            hint="`accelerator: auto` emulates if KVM fails; `lab doctor` shows the reason",
        )
    return host.accelerator if spec.accelerator == "auto" else spec.accelerator


def _nested(spec: Spec, accelerator: Accelerator, host: HostFacts) -> bool:
    """Decide whether compute nodes get svm or vmx. QEMU's emulator always offers svm with nested paging."""
    wish = spec.nodes.compute.nested
    possible = accelerator == "qemu" or host.nested
    if wish == "required" and not possible:
        raise HostError(
            "the spec requires nested virtualization, but it is disabled in this host's KVM",
            detail="/sys/module/kvm_intel/parameters/nested or /sys/module/kvm_amd/parameters/nested is not 1",
            hint="load the module with nested=1 (`lab doctor` says how), or use `nested: auto`",
        )
    return possible and wish != "off"


def _require_order(steps: Mapping[str, LoadedStep]) -> None:
    """Refuse needs that no step meets: of unknown steps, or of steps that come later (so no circle is possible)."""
    before: set[str] = set()
    for step in steps.values():
        for need in (*step.facts.needs, *step.facts.awaits):
            if need not in steps:
                raise UsageError(f"step {step.id} needs {need}, which the release does not have")
            if need not in before:
                raise UsageError(f"step {step.id} needs {need}, which does not come before it")
        before.add(step.id)


def _node(
    spec: Spec,
    release: Release,
    steps: Mapping[str, LoadedStep],
    compute: int,
    accelerator: Accelerator,
    boxes: Mapping[Role, str],
    *,
    nested: bool,
    wait_factor: float,
) -> Node:
    role: Role = "compute" if compute else "controller"
    name = f"compute{compute}" if compute else "controller"
    size = spec.nodes.compute if compute else spec.nodes.controller
    virt_type: Literal["kvm", "qemu"] = "kvm" if nested else "qemu"
    return Node(
        name=name,
        role=role,
        domain=addresses.domain_name(spec.name, name),
        cpus=size.cpus,
        memory_mib=size.memory_mib,
        disk_gib=size.disk_gib,
        box=boxes[role],
        nics=make_nics(spec.name, spec.networks.management, compute),
        nested=nested and role == "compute",
        cpu_without=_cpu_without(release, accelerator, role, nested=nested),
        virt_type=virt_type if role == "compute" else "",
        env={
            **_environment(spec, release, name, role, compute),
            "LAB_ACCELERATOR": accelerator,
            "LAB_VIRT_TYPE": virt_type,
            "LAB_WAIT_FACTOR": f"{wait_factor:g}",
        },
        secrets=_secrets(release, steps, role),
        steps=tuple(step.id for step in steps.values() if role in step.facts.on),
    )


def _secrets(release: Release, steps: Mapping[str, LoadedStep], role: Role) -> tuple[str, ...]:
    """Name the passwords that a node gets: those alone that the scripts or the accounts of its own steps use."""
    here = [step for step in steps.values() if role in step.facts.on]
    used = {name for step in here for name in step.variables | step.facts.passwords}
    return tuple(name for name in release.secrets if name in used)


def _cpu_without(release: Release, accelerator: Accelerator, role: Role, *, nested: bool) -> tuple[str, ...]:
    """Name the features that a node's processor must not have, or is faster without."""
    found: list[str] = []
    if role == "compute" and not nested:
        found += ("svm", "vmx")
    elif role == "compute" and accelerator == "qemu":
        found += release.emulated_cpu_without
    if accelerator == "qemu":
        found += SLOW_WHEN_EMULATED
    return tuple(dict.fromkeys(found))


def _environment(spec: Spec, release: Release, name: str, role: Role, compute: int) -> dict[str, str]:
    """Make what the spec decides of the scripts' environment on a node; docs/environment.md describes each variable."""
    management, provider = spec.networks.management, spec.networks.provider
    address = str(addresses.management_address(management, compute))
    pool = spec.networks.provider_pool or addresses.provider_pool(provider)
    capabilities = release.capabilities_with(spec.chapters)
    return {
        "LAB_NAME": spec.name,
        "LAB_NODE": name,
        "LAB_ROLE": role,
        "LAB_COMPUTES": " ".join(f"compute{number + 1}" for number in range(spec.nodes.compute.count)),
        "LAB_COMPUTE_COUNT": str(spec.nodes.compute.count),
        "LAB_FLAVOUR": spec.box.flavour,
        "LAB_NESTED": spec.nodes.compute.nested,
        "CONTROLLER_IP": str(addresses.management_address(management, 0)),
        "MANAGEMENT_INTERFACE": "eth1",
        "MANAGEMENT_INTERFACE_IP_ADDRESS": address,
        "MANAGEMENT_NETMASK": str(management.netmask),
        "MANAGEMENT_CIDR": str(management),
        "MY_IP": address,
        "MECHANISM_DRIVER": "linuxbridge" if capabilities["LINUXBRIDGE"] else "openvswitch",
        "PROVIDER_INTERFACE": "eth2",
        "PROVIDER_CIDR": str(provider),
        "PROVIDER_GATEWAY": str(provider[1]),
        "PROVIDER_POOL_START": str(pool[0]),
        "PROVIDER_POOL_END": str(pool[1]),
        **({"LAB_ARCHIVE": release.archive} if release.archive else {}),
        **{f"LAB_HAS_{name}": str(int(has)) for name, has in capabilities.items()},
    }


def _step(step: LoadedStep, nodes: Iterable[Node], wait_factor: float, series: str) -> Step:
    facts = step.facts
    return Step(
        id=step.id,
        title=facts.title,
        guide=facts.guide,
        url=facts.url.replace("{series}", series),
        nodes=tuple(node.name for node in nodes if node.role in facts.on),
        needs=facts.needs,
        awaits=facts.awaits,
        seconds=max(1, round(facts.seconds * wait_factor / REFERENCE_WAIT_FACTOR)),
        packages=facts.packages,
        units=facts.units,
        units_off=facts.units_off,
    )
