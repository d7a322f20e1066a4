"""Vagrant and vagrant-libvirt accept the Vagrantfiles of all kinds of labs: options exist, with values of their kind.

Needs no libvirt: nothing of a machine is looked at.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from sample_plans import VAGRANT_PLANS

from lab.generator.render import vagrantfile

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = {name: vagrantfile(plan) for name, plan in VAGRANT_PLANS.items()}

pytestmark = pytest.mark.skipif(
    shutil.which("vagrant") is None, reason="vagrant is not installed (apt-get install vagrant vagrant-libvirt)"
)


def _validate(text: str, root: Path, home: Path) -> subprocess.CompletedProcess[str]:
    for name in ("controller", *(f"compute{n}" for n in range(1, 17))):
        (root / "nodes" / name).mkdir(parents=True)
    (root / "Vagrantfile").write_text(text)
    return subprocess.run(
        ["vagrant", "validate"],
        cwd=root,
        env={**os.environ, "VAGRANT_HOME": str(home), "VAGRANT_CHECKPOINT_DISABLE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def vagrant_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vagrant-home")


def test_all_validate(tmp_path: Path, vagrant_home: Path) -> None:
    # The first call makes the home; then two at a time, a second or two each.
    first, *others = TEXTS
    results = {first: _validate(TEXTS[first], tmp_path / first, vagrant_home)}
    with ThreadPoolExecutor(2) as pool:
        ran = pool.map(lambda name: _validate(TEXTS[name], tmp_path / name, vagrant_home), others)
        results |= dict(zip(others, ran, strict=True))
    refused = {name: result.stdout + result.stderr for name, result in results.items() if result.returncode != 0}
    assert refused == {}
    assert all("validated successfully" in result.stdout for result in results.values())


def test_an_option_that_does_not_exist_is_refused(tmp_path: Path, vagrant_home: Path) -> None:
    text = TEXTS["emulated"].replace("libvirt.memory = ", "libvirt.memmory = ")
    result = _validate(text, tmp_path / "broken", vagrant_home)
    assert result.returncode != 0
    assert "memmory" in result.stdout + result.stderr
