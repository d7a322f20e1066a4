"""What a lab is made from: the same under another name, and another for each change, which is named."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sample_plans import SECRETS, sample_plan

from lab.base.addresses import bridge_name, domain_name
from lab.generator.render import RenderedFile, render
from lab.golden.digest import Machine, Parts, differences, parts_of

if TYPE_CHECKING:
    from lab.planning.plan import Plan

MACHINE = Machine(mode="private", qemu="7.2.17", libvirt="9.0.0", cpu="emulated")
BOXES = {"compute-lab/zed-controller": "#abc", "compute-lab/zed-controller: version": "2026.1122.5"}
PLAN = sample_plan()


def parts(plan: Plan = PLAN, machine: Machine = MACHINE, files: dict[str, RenderedFile] | None = None) -> Parts:
    return parts_of(plan, files or render(plan, SECRETS), BOXES, machine)


def named(plan: Plan, name: str) -> Plan:
    """The same lab under another name."""
    networks = tuple(
        each.model_copy(update={"name": f"{name}-{each.kind}", "bridge": bridge_name(name, each.kind)})
        for each in plan.networks
    )
    nodes = tuple(
        node.model_copy(
            update={
                "domain": domain_name(name, node.name),
                "env": {**node.env, "LAB_NAME": name},
                "nics": tuple(nic.model_copy(update={"mac": nic.mac.replace("1a", "2b")}) for nic in node.nics),
            }
        )
        for node in plan.nodes
    )
    return plan.model_copy(update={"name": name, "networks": networks, "nodes": nodes})


def test_the_name_and_the_place_are_not_of_the_disks() -> None:
    other = named(PLAN, "other").model_copy(update={"wait_factor": 17.0})
    assert parts(other).disks == parts().disks
    assert parts(other).digest == parts().digest
    assert differences(parts().memory, parts(other).memory) == ["the lab's name: demo -> other"]


def test_other_passwords_and_checks_are_not_of_the_disks() -> None:
    files = render(PLAN, dict.fromkeys(SECRETS, "another"))
    assert parts(files=files) == parts()


def changed_node(**update: Any) -> Plan:
    nodes = (PLAN.nodes[0].model_copy(update=update), *PLAN.nodes[1:])
    return PLAN.model_copy(update={"nodes": nodes})


@pytest.mark.parametrize(
    ("plan", "line"),
    [
        (PLAN.model_copy(update={"release": "epoxy"}), "release: zed -> epoxy"),
        (PLAN.model_copy(update={"accelerator": "kvm"}), "accelerator: qemu -> kvm"),
        (changed_node(memory_mib=6144), "controller: memory mib: 5120 -> 6144"),
        (changed_node(cpu_without=("svm",)), 'controller: cpu without: [] -> ["svm"]'),
        (changed_node(env={**PLAN.nodes[0].env, "LAB_HAS_X": "1"}), "controller LAB_HAS_X: new"),
    ],
)
def test_a_change_of_the_plan_is_named(plan: Plan, line: str) -> None:
    assert line in differences(parts().disks, parts(plan).disks)
    assert parts(plan).digest != parts().digest


def test_every_field_of_the_plan_counts_but_those_that_are_named() -> None:
    """One that is added to the plan later is not forgotten: a golden lab without it is another lab."""

    class Later(type(PLAN)):  # type: ignore[misc]
        kernel: str = "6.1"

    later = Later.model_validate({**PLAN.model_dump(), "kernel": "6.12"})
    assert differences(parts().disks, parts(later).disks) == ["kernel: new"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("nodes/controller/steps/20-database.sh", "script 20-database.sh"),
        ("nodes/controller/lib/units.sh", "script lib/units.sh"),
        ("nodes/controller/run-step", "script run-step"),
    ],
)
def test_a_changed_script_is_named(path: str, name: str) -> None:
    files = render(PLAN, SECRETS)
    files[path] = replace(files[path], text=f"{files[path].text}# changed\n")
    for node in PLAN.nodes[1:]:
        path = path.replace("controller", node.name)
        if path in files:
            files[path] = replace(files[path], text=f"{files[path].text}# changed\n")
    assert differences(parts().disks, parts(files=files).disks) == [f"{name}: changed"]


def test_all_that_the_nodes_get_counts_but_values_that_are_in_the_plan() -> None:
    """Shared blocks, as any folder that the nodes get later, are not forgotten."""
    scripts = {path.split("/", 2)[2] for path in render(PLAN, SECRETS) if path.startswith("nodes/")} - {"env", "hosts"}
    assert any(path.startswith("blocks/") for path in scripts)
    for script in sorted(scripts):
        files = render(PLAN, SECRETS)
        changed = {path: replace(file, text=f"{file.text}#") for path, file in files.items() if path.endswith(script)}
        named = f"script {script.removeprefix('steps/')}: changed"
        assert differences(parts().disks, parts(files=files | changed).disks) == [named]


def test_scripts_come_after_what_says_more() -> None:
    kept = {"script a": "#1", "release": "zed", "script b": "#1", "box x": "#1"}
    today = {"script a": "#2", "release": "epoxy", "box x": "#2", "step y: needs": "[]"}
    assert differences(kept, today) == [
        "box x: changed",
        "release: zed -> epoxy",
        "step y: needs: new",
        "script a: changed",
        "script b: gone",
    ]


@pytest.mark.parametrize("field", ["mode", "qemu", "libvirt", "cpu"])
def test_another_machine_keeps_the_disks_and_not_the_memory(field: str) -> None:
    machine = replace(MACHINE, **{field: "another"})
    assert parts(machine=machine).disks == parts().disks
    assert len(differences(parts().memory, parts(machine=machine).memory)) == 1


def test_no_password_is_in_the_parts() -> None:
    told = parts().model_dump_json()
    assert not [value for value in SECRETS.values() if value in told]
