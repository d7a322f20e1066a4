"""What a lab is made from, part by part, and in which of the parts two labs differ. Pure.

A lab can start from a golden lab of the same parts. These are the complete plan and all that the nodes get, except what
is named here: a part that is added to the plan later counts from its first day.

Left out are the lab's name and place (domains, networks, MAC addresses, how slow the host is), what only readers see
(titles, addresses of the guide), the checks, which run again if they are others, and the passwords.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.base.models import Frozen
from lab.nodes.state import digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lab.box.definition import BoxDefinition, BoxSpec
    from lab.generator.render import RenderedFile
    from lab.planning.plan import Plan

_OF_THE_PLAN = frozenset({"name", "wait_factor", "checks", "secrets", "box_url", "networks", "nodes", "steps"})
_OF_A_NETWORK = frozenset({"name", "bridge"})
_OF_A_NODE = frozenset({"domain", "env", "nics"})
_OF_A_STEP = frozenset({"title", "guide", "url", "seconds"})
_OF_THE_ENVIRONMENT = frozenset({"LAB_NAME", "LAB_WAIT_FACTOR"})
_PAYLOAD = re.compile(r"nodes/(?P<node>[^/]+)/(?P<file>(?!(?:env|hosts)$).+)")
"""all that a node gets but its values: they are in the plan, or are passwords"""
_READABLE = 40
"""characters; a longer value is shown as its digest"""


class Parts(Frozen):
    """What a lab is made from, by the names that a user is shown."""

    disks: dict[str, str]
    """if one of these differs, its disks are not those that would be made today"""
    memory: dict[str, str]
    """if one of these differs, its memory cannot be restored here: the machines boot from the disks instead"""

    @property
    def digest(self) -> str:
        """Give 16 hexadecimal digits of all of it that decides the disks."""
        return digest(self.disks)


@dataclass(frozen=True)
class Machine:
    """What a memory image depends on in addition to the lab: how this machine runs virtual machines."""

    mode: str
    """system or private: a machine's own libvirt may have other machines of the same names"""
    qemu: str
    """version"""
    libvirt: str
    """version"""
    cpu: str
    """the processor's model and features under KVM; `emulated` otherwise"""


def parts_of(plan: Plan, files: Mapping[str, RenderedFile], boxes: Mapping[str, str], machine: Machine) -> Parts:
    """Gather the parts of a lab.

    Args:
        plan: the lab's.
        files: of its build directory, by path.
        boxes: what its boxes are made of, by their names; as of `box_part`.
        machine: where it runs.
    """
    disks = dict(_plan_parts(plan))
    scripts = {match["file"]: file.text for path, file in files.items() if (match := _PAYLOAD.fullmatch(path))}
    disks |= {_name_of(file): _shown(text) for file, text in scripts.items()}
    disks |= {f"box {name}": value for name, value in boxes.items()}
    memory = {
        "the lab's name": plan.name,
        "host": machine.mode,
        "QEMU": machine.qemu,
        "libvirt": machine.libvirt,
        "processor": machine.cpu,
    }
    return Parts(disks=dict(sorted(disks.items())), memory=memory)


def box_part(definition: BoxDefinition, spec: BoxSpec, scripts: Mapping[str, bytes]) -> str:
    """Digest of what a built box is made of, the archive's day aside."""
    texts = {name: hashlib.sha256(data).hexdigest() for name, data in scripts.items()}
    texts["definition"] = definition.model_dump_json()
    texts["packages"] = " ".join(spec.packages)
    return digest({**texts, "role": spec.role, "flavour": spec.flavour})


def differences(kept: Mapping[str, str], today: Mapping[str, str]) -> list[str]:
    """Tell in which parts a golden lab (`kept`) differs from the lab of today, a line each."""
    lines = []
    for name in sorted({*kept, *today}, key=lambda name: (name.startswith("script"), name)):
        old, new = kept.get(name), today.get(name)
        if old is None:
            lines.append(f"{name}: new")
        elif new is None:
            lines.append(f"{name}: gone")
        elif old != new:
            readable = not (_is_digest(old) or _is_digest(new))
            lines.append(f"{name}: {old} -> {new}" if readable else f"{name}: changed")
    return lines


def _plan_parts(plan: Plan) -> Iterator[tuple[str, str]]:
    data: dict[str, Any] = plan.model_dump(mode="json")
    for key, value in data.items():
        if key not in _OF_THE_PLAN:
            yield key.replace("_", " "), _shown(value)
    for network in data["networks"]:
        yield from _named(f"network {network['kind']}", network, _OF_A_NETWORK | {"kind"})
    for node in data["nodes"]:
        yield from _named(node["name"], node, _OF_A_NODE | {"name"})
        for nic in node["nics"]:
            yield from _named(f"{node['name']} {nic['device']}", nic, frozenset({"mac", "device"}))
        for name, value in node["env"].items():
            if name not in _OF_THE_ENVIRONMENT:
                yield f"{node['name']} {name}", _shown(value)
    for step in data["steps"]:
        yield from _named(f"step {step['id']}", step, _OF_A_STEP | {"id"})
    yield "passwords", _shown(sorted(data["secrets"]))


def _named(what: str, values: Mapping[str, Any], left_out: frozenset[str]) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if key not in left_out:
            yield f"{what}: {key.replace('_', ' ')}", _shown(value)


def _shown(value: str | float | bool | Sequence[Any] | Mapping[str, Any] | None) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= _READABLE and text.isprintable() else f"#{digest({'': text})}"


def _is_digest(value: str) -> bool:
    return value.startswith("#")


def _name_of(file: str) -> str:
    """Name a file of the payload as a user knows it."""
    kind, _, name = file.partition("/")
    return {"steps": f"script {name}", "lib": f"script lib/{name}"}.get(kind, f"script {file}")
