"""Two Vagrantfiles as a person reads them, and the lines that other labs have otherwise; tests/host asks Vagrant."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sample_plans import VAGRANT_PLANS

from lab.generator.render import vagrantfile

if TYPE_CHECKING:
    from collections.abc import Callable


FILES = Path(__file__).parent / "vagrantfile"
WHOLE = {"emulated", "two-computes"}
OTHERWISE = VAGRANT_PLANS.keys() - WHOLE - {"sixteen-computes"}


def text(name: str) -> str:
    return vagrantfile(VAGRANT_PLANS[name])


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_vagrantfile(name: str, golden: Callable[[Path, str], None]) -> None:
    golden(FILES / f"{name}.rb", text(name))


@pytest.mark.parametrize("name", sorted(OTHERWISE))
def test_what_another_lab_has_otherwise(name: str, golden: Callable[[Path, str], None]) -> None:
    compared = difflib.unified_diff(text("emulated").splitlines(True), text(name).splitlines(True), n=0)
    golden(FILES / f"{name}.diff", "".join(line for line in compared if not line.startswith(("---", "+++", "@@"))))


def test_each_of_sixteen_computes_is_as_the_first_but_for_its_name_and_addresses() -> None:
    computes = re.findall(r'^  config.vm.define "compute.*?^  end$', text("sixteen-computes"), re.MULTILINE | re.DOTALL)
    assert len(computes) == 16
    for n, compute in enumerate(computes, start=1):
        as_first = compute.replace(f'compute{n}"', 'compute1"').replace(f"52:54:00:1a:{n:02x}:", "52:54:00:1a:01:")
        assert as_first.startswith(computes[0].removesuffix("  end"))
    assert ["trigger" in compute for compute in computes] == [False] * 15 + [True]


def test_every_golden_file_belongs_to_a_plan() -> None:
    files = {f"{name}.rb" for name in WHOLE} | {f"{name}.diff" for name in OTHERWISE}
    assert {path.name for path in FILES.iterdir()} == files
