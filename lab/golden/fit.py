"""Which golden lab a lab of today can start from, and why the others are not used."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import libvirt

from lab.base import resources
from lab.base.errors import LabError
from lab.base.process import run
from lab.box.definition import load_definition
from lab.box.manifest import SCRIPTS
from lab.box.store import list_boxes
from lab.golden.digest import Machine, Parts, box_part, differences, parts_of
from lab.host.kvm import QEMU
from lab.machines.boxes import wanted_boxes
from lab.nodes.state import digest
from lab.planning import rotated
from lab.planning.secrets import Secrets, load_seed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.generator.render import RenderedFile
    from lab.golden.store import Golden
    from lab.planning.plan import Plan

_VERSION = ": version"
"""of a box: ends the name of a part which a machine without that box does not have"""


@dataclass(frozen=True)
class Fit:
    """How a golden lab serves for a lab of today."""

    golden: Golden
    other: tuple[str, ...]
    """parts in which it is another lab, a line each: if there are any, it is not used"""
    no_memory: tuple[str, ...] = ()
    """why its memory cannot be restored here, a line each: if there are any, the machines boot"""

    @property
    def serves(self) -> bool:
        """Whether a lab can be made from it."""
        return not self.other


def today(plan: Plan, files: Mapping[str, RenderedFile], mode: str, versions: Mapping[str, str] | None = None) -> Parts:
    """Gather what a lab of this plan would be made from now, on a host of this mode.

    `versions` are those of the boxes that it was made from; without them, of those in the cache.
    """
    boxes: dict[str, str] = {}
    if plan.box_sha256:
        boxes = {node.box: plan.box_sha256 for node in plan.nodes}
    else:
        definition = load_definition(plan.suite)
        scripts = {name: (resources.BOXES / name).read_bytes() for name in SCRIPTS}
        boxes = {spec.name: f"#{box_part(definition, spec, scripts)}" for spec in wanted_boxes(plan)}
        newest = versions or {box.name: box.version for box in reversed(list_boxes())}
        boxes |= {f"{name}{_VERSION}": newest[name] for name in boxes if name in newest}
    return parts_of(plan, files, boxes, machine(plan, mode))


def machine(plan: Plan, mode: str) -> Machine:
    """Describe this machine, as far as a memory image depends on it."""
    said = run([QEMU, "--version"], timeout_s=60).stdout
    version = re.search(r"version (\S+)", said)
    return Machine(
        mode=mode,
        qemu=version[1] if version else "unknown",
        libvirt=_dotted(libvirt.getVersion()),
        cpu=processor() if plan.accelerator == "kvm" else "emulated",
    )


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Name this machine's processor, with a digest of its features: those of a machine under KVM are the same."""
    text = cpuinfo.read_text(errors="replace")
    model = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    flags = re.search(r"^flags\s*: (.+)$", text, re.MULTILINE)
    features = digest({"flags": " ".join(sorted(flags[1].split())) if flags else ""})
    return f"{model[1].strip() if model else 'unknown'} ({features})"


def fit(golden: Golden, now: Parts, passwords: str = "") -> Fit:
    """Compare a golden lab with what would be made today; `passwords` as of `why_other_passwords`."""
    kept = golden.manifest.parts
    absent = {name: value for name, value in kept.disks.items() if name.endswith(_VERSION) and name not in now.disks}
    other = differences(kept.disks, {**now.disks, **absent})
    if damage := golden.damage():
        other.append(f"damaged: {damage}")
    if passwords:
        other.append(f"passwords: {passwords}")
    no_memory = differences(kept.memory, now.memory)
    if not golden.manifest.files:
        no_memory.append("it was saved without memory")
    return Fit(golden, tuple(other), tuple(no_memory))


def order(one: Fit) -> tuple[int, bool, float]:
    """Order by how well they serve: fewest differences first, then those with memory, then the newest."""
    return len(one.other), bool(one.no_memory), -one.golden.manifest.created


def passwords_digest(seed: str, secrets: Mapping[str, str]) -> str:
    """Digest of all passwords under the seed; without the seed nobody can try passwords with it."""
    text = json.dumps(dict(sorted(secrets.items())))
    return hmac.digest(bytes.fromhex(seed), text.encode(), hashlib.sha256).hex()


def why_other_passwords(golden: Golden, plan: Plan, overrides: Mapping[str, str], own_seed: Path) -> str:
    """Tell why a lab would have other passwords than the golden lab; empty if it has the same.

    A build directory without a seed takes the golden lab's. What `lab rotate` has changed is no reason: the steps that
    use these passwords run again.
    """
    try:
        seed, known = load_seed(golden.directory / "seed"), rotated.load(golden.directory)
    except FileNotFoundError:
        return "its seed is missing"
    except LabError as error:
        return error.message
    if own_seed.exists() and load_seed(own_seed) != seed:
        return f"{own_seed} is another seed"
    secrets = Secrets.derive(seed, plan.secrets, overrides, known)
    if passwords_digest(seed, secrets) != golden.manifest.passwords:
        return "the spec sets others"
    return ""


def _dotted(number: int) -> str:
    """Write libvirt's number of a version as its release: 11003000 is 11.3.0."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
