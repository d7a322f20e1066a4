"""What a plan of today changes about the existing lab."""

from __future__ import annotations

import pytest
from sample_plans import sample_plan

from lab.base.errors import UsageError
from lab.planning.changes import Change, compare
from lab.planning.plan import SLOW_WHEN_EMULATED


def test_no_lab_stands() -> None:
    assert compare(None, sample_plan()) == Change()


def test_the_same_plan_changes_nothing() -> None:
    assert compare(sample_plan(computes=2), sample_plan(computes=2)) == Change()


def test_computes_come_and_go_without_a_rebuild() -> None:
    grown = compare(sample_plan(computes=1), sample_plan(computes=3))
    shrunk = compare(sample_plan(computes=3), sample_plan(computes=1))
    assert (grown.added, grown.removed, grown.rebuild) == (("compute2", "compute3"), (), ())
    assert (shrunk.added, shrunk.removed, shrunk.rebuild) == ((), ("compute2", "compute3"), ())
    grown.refuse_rebuild()
    assert grown.lines() == ["node compute2: added", "node compute3: added"]


def test_a_lab_whose_processors_are_only_slower_goes_on() -> None:
    old = sample_plan()
    faster = old.nodes[0].model_copy(update={"cpu_without": SLOW_WHEN_EMULATED})
    other = old.nodes[0].model_copy(update={"cpu_without": ("svm", *SLOW_WHEN_EMULATED)})
    assert compare(old, old.model_copy(update={"nodes": (faster, *old.nodes[1:])})) == Change()
    found = compare(old, old.model_copy(update={"nodes": (other, *old.nodes[1:])}))
    assert found.rebuild == ("controller.cpu_without: () -> ('svm',)",)


def test_other_machines_are_refused_with_all_differences() -> None:
    old = sample_plan()
    network = old.networks[1].model_copy(update={"cidr": old.networks[2].cidr})
    node = old.nodes[0].model_copy(update={"memory_mib": 6144, "box": "other"})
    new = old.model_copy(
        update={
            "release": "epoxy",
            "networks": (old.networks[0], network, old.networks[2]),
            "nodes": (node, old.nodes[1]),
        }
    )
    with pytest.raises(UsageError) as caught:
        compare(old, new).refuse_rebuild()
    assert caught.value.detail.splitlines() == [
        "release: zed -> epoxy",
        "network management: 10.0.0.0/24 -> 203.0.113.0/24",
        "controller.memory_mib: 5120 -> 6144",
        "controller.box: compute-lab/zed-controller -> other",
    ]
    assert "lab up --recreate" in caught.value.hint
