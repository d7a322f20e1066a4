from __future__ import annotations

from dataclasses import replace

from spec_samples import KVM, plan

from lab.planning.hostfit import HostNumbers, disk_need_gib, fit, memory_need_mib

ROOMY = HostNumbers(cpus=8, memory_total_mib=65536, memory_available_mib=60000, disk_free_gib=500.0)


def test_roomy_host() -> None:
    result = fit(plan(), ROOMY)
    assert (result.problems, result.warnings) == ([], [])


def test_memory_to_the_mib() -> None:
    decided = plan()
    need = memory_need_mib(decided) + 512
    assert not fit(decided, replace(ROOMY, memory_available_mib=need)).problems
    (problem,) = fit(decided, replace(ROOMY, memory_available_mib=need - 1)).problems
    assert problem.startswith("memory: found ")
    assert "controller 3.5 GiB, compute1 1.5 GiB" in problem


def test_emulation_takes_more() -> None:
    assert memory_need_mib(plan()) > memory_need_mib(plan(KVM)) > 5 * 1024


def test_running_nodes_are_counted_once() -> None:
    tight = replace(ROOMY, memory_available_mib=3000, disk_free_gib=1.0)
    assert len(fit(plan(), tight).problems) == 2
    assert not fit(plan(), replace(tight, running=frozenset({"controller", "compute1"}))).problems


def test_what_the_disks_hold_is_not_needed_again() -> None:
    decided = plan()
    tight = replace(ROOMY, disk_free_gib=1.0)
    assert fit(decided, tight).problems
    halted = replace(tight, written_gib={"controller": 4.0, "compute1": 1.0})
    assert disk_need_gib(decided, written_gib=halted.written_gib) == 0.5  # of the compute node, and no box
    assert fit(decided, halted).problems == []
    # it grows: the new node needs its own share, and no box
    grown = plan(nodes={"compute": {"count": 2}})
    assert disk_need_gib(grown, written_gib=halted.written_gib) == 2.0
    assert disk_need_gib(grown, written_gib={"controller": 4.0}) == 2 * 1.5 + 1.6
    assert fit(grown, halted).problems
    (warning,) = fit(decided, replace(halted, disk_free_gib=30.0)).warnings
    assert "not the full size of its disks (35 GiB)" in warning


def test_disk() -> None:
    decided = plan()
    (problem,) = fit(decided, replace(ROOMY, disk_free_gib=4.0, disk_path="/srv")).problems
    assert problem.startswith("disk: found 4.0 GiB free in /srv")
    result = fit(decided, replace(ROOMY, disk_free_gib=30.0))
    assert not result.problems
    assert "not the full size" in result.warnings[0]
    assert disk_need_gib(plan(box={"flavour": "preloaded"})) > disk_need_gib(decided)
    assert disk_need_gib(decided, boxes_present=True) < disk_need_gib(decided)


def test_cpus_are_a_warning() -> None:
    result = fit(plan(nodes={"compute": {"count": 4, "cpus": 4}}), replace(ROOMY, cpus=2))
    assert not result.problems
    assert len(result.warnings) == 3


def test_many_cpus_on_an_emulated_compute_node_are_a_warning() -> None:
    two = {"compute": {"cpus": 2}}
    (warning,) = fit(plan(nodes=two), ROOMY).warnings
    assert "may hang" in warning
    assert not fit(plan(KVM, nodes=two), ROOMY).warnings
    assert not fit(plan(nodes={"compute": {"cpus": 2, "nested": "off"}}), ROOMY).warnings
