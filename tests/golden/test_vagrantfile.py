"""The Vagrantfile for several labs, as a person reads it; tests/host/test_vagrant_validate.py asks Vagrant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sample_plans import sample_plan

from lab.generator.render import vagrantfile

if TYPE_CHECKING:
    from collections.abc import Callable


HERE = Path(__file__).parent

PLANS = {
    "emulated": sample_plan(),
    "kvm": sample_plan(accelerator="kvm", wait_factor=1.0),
    "two-computes": sample_plan(computes=2),
    "sixteen-computes": sample_plan(computes=16),
    "nested-off": sample_plan(nested=False),
    "kvm-nested-off": sample_plan(accelerator="kvm", nested=False, wait_factor=1.0),
    "large-disk": sample_plan(disk_gib=40),
    "ready-made-box": sample_plan().model_copy(
        update={"box_url": "file:///srv/boxes/ubuntu1604.box", "box_sha256": "ab" * 32}
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_vagrantfile(name: str, golden: Callable[[Path, str], None]) -> None:
    golden(HERE / "vagrantfile" / f"{name}.rb", vagrantfile(PLANS[name]))


def test_every_golden_file_belongs_to_a_plan() -> None:
    assert {path.stem for path in (HERE / "vagrantfile").iterdir()} == set(PLANS)
