"""A small release with its own steps (tests/unit/data/steps), and plans made from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.inputs.catalog import load_steps
from lab.inputs.model import Spec
from lab.inputs.release import Chapter, Release
from lab.planning.plan import HostFacts, Plan
from lab.planning.resolve import resolve

if TYPE_CHECKING:
    from lab.inputs.catalog import LoadedStep

STEPS = Path(__file__).parent / "data" / "steps"
EMULATED = HostFacts(accelerator="qemu", nested=True, wait_factor=9.0)
KVM = HostFacts(accelerator="kvm", nested=True, wait_factor=1.0)
KVM_NOT_NESTED = HostFacts(accelerator="kvm", nested=False, wait_factor=1.0)


def release(**changes: Any) -> Release:
    """The sample release with some fields changed."""
    values: dict[str, Any] = {
        "name": "sample",
        "title": "Sample (2022.2)",
        "series": "2022.2",
        "distribution": "Debian",
        "suite": "bookworm",
        "box": "compute-lab/sample",
        "steps": ("10-base", "20-api", "30-compute"),
        "chapters": {"cells": Chapter(title="Cells", steps=("40-cell0",))},
        "capabilities": {"CELLS_V2": True, "CONSOLEAUTH": False, "LINUXBRIDGE": False},
        "secrets": ("ADMIN_PASS", "NOVA_DBPASS", "NOVA_PASS", "RABBIT_PASS"),
    }
    return Release.model_validate({**values, **changes})


def steps() -> dict[str, LoadedStep]:
    return load_steps(release(), STEPS)


def spec(**changes: Any) -> Spec:
    return Spec.model_validate({"name": "demo", "release": "sample", **changes})


def plan(host: HostFacts = EMULATED, **changes: Any) -> Plan:
    return resolve(spec(**changes), release(), steps(), host)
