"""Every package that a release names is in its suite, and they can be installed together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from archive.cases import Case, box_of, cases
from lab.box.definition import all_packages, load_definition
from lab.planning.resolve import ROLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.box.pool import Pool
    from lab.inputs.release import Release


@pytest.mark.parametrize("case", cases(lambda step: step.facts.packages))
def test_the_suite_has_the_packages_of_the_step(case: Case, pool: Callable[[Release], Pool]) -> None:
    found = {deb.package for deb in pool(case.release).resolve(case.step.facts.packages)}
    assert set(case.step.facts.packages) - found == set()


@pytest.mark.parametrize("case", cases(lambda step: step.id == "66-layer-2-agent"))  # which chapters change
def test_the_packages_of_a_box_go_together(case: Case, pool: Callable[[Release], Pool]) -> None:
    definition = load_definition(case.release.suite)
    for role in ROLES:
        wanted = all_packages(definition, box_of(case, role))
        found = {deb.package for deb in pool(case.release).resolve(wanted)}
        assert set(wanted) - found == set(), role
