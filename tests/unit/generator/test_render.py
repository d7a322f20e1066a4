"""What a build directory has, and where secrets may be."""

from __future__ import annotations

import configparser
import json
import subprocess
from typing import TYPE_CHECKING

import jinja2
import pytest
from sample_plans import SECRETS, sample_plan

from lab.base import resources
from lab.generator.render import RenderedFile, env_file, late_steps, render, ruby_string, vagrantfile
from lab.planning.plan import Plan

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, RenderedFile]:
    plan = sample_plan(computes=2)
    provision = tmp_path / "provision"
    (provision / "lib").mkdir(parents=True)
    for name in ("run-step", "remove-compute", "lib/common.sh", "lib/openstack-batch", "lib/notes.md"):
        (provision / name).write_text(f"# {name}\n")
    for step in plan.steps:
        (provision / f"{step.id}.sh").write_text(f"# {step.id}: $NOVA_PASS {{{{ not a template }}}}\n")
    suite = tmp_path / "infra"
    (suite / "deeper").mkdir(parents=True)
    (suite / "conftest.py").write_text("# suite\n")
    (suite / "deeper" / "kinds.py").write_text("# kinds\n")
    monkeypatch.setattr(resources, "PROVISION", provision)
    monkeypatch.setattr(resources, "INFRA_SUITE", suite)
    return render(plan, SECRETS)


def test_a_node_gets_its_own_steps_with_the_bytes_of_the_project(files: dict[str, RenderedFile]) -> None:
    steps = {path for path in files if path.startswith("nodes/compute2/steps/") and path.endswith(".sh")}
    assert steps == {
        f"nodes/compute2/steps/{s}.sh" for s in ("10-environment", "55-compute-node", "65-network-compute")
    }
    assert (
        files["nodes/compute2/steps/55-compute-node.sh"].text == "# 55-compute-node: $NOVA_PASS {{ not a template }}\n"
    )
    assert files["nodes/compute2/steps/55-compute-node.env"].text.splitlines() == [
        "LAB_PACKAGES='compute-node extra'",
        "LAB_UNITS=''",
        "LAB_UNITS_OFF=''",
    ]


def test_a_payload_has_the_runner_and_the_libraries(files: dict[str, RenderedFile]) -> None:
    here = {path.removeprefix("nodes/controller/") for path in files if path.startswith("nodes/controller/")}
    assert {"run-step", "lib/common.sh", "lib/openstack-batch", "env", "hosts"} <= here
    assert "lib/notes.md" not in here


def test_a_payload_has_all_of_the_library() -> None:
    root = resources.PROVISION / "lib"
    library = {path for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    prefix = "nodes/controller/lib/"
    here = {path.removeprefix(prefix) for path in render(sample_plan(), SECRETS) if path.startswith(prefix)}
    assert here == {path.relative_to(root).as_posix() for path in library}


def test_a_payload_has_the_blocks_that_its_steps_read() -> None:
    files = render(sample_plan(), SECRETS)
    assert {path for path in files if "/blocks/" in path} == {
        f"nodes/{node}/blocks/{name}"
        for node in ("controller", "compute1")
        for name in ("neutron-conf.sh", "nova-conf.sh")
    }
    text = (resources.PROVISION / "blocks" / "nova-conf.sh").read_text()
    assert files["nodes/compute1/blocks/nova-conf.sh"].text == text


def test_hosts_of_all_nodes_on_every_node(files: dict[str, RenderedFile]) -> None:
    expected = "10.0.0.11\tcontroller\n10.0.0.31\tcompute1\n10.0.0.32\tcompute2\n"
    assert files["hosts"].text == files["nodes/compute2/hosts"].text == expected


def test_secrets_are_in_the_env_files_and_the_clients_login_alone(files: dict[str, RenderedFile]) -> None:
    holders = {path for path, file in files.items() if any(value in file.text for value in SECRETS.values())}
    assert holders == {"clouds.yaml", *(f"nodes/{node}/env" for node in ("controller", "compute1", "compute2"))}
    admin = {path for path, file in files.items() if SECRETS["ADMIN_PASS"] in file.text}
    assert admin == {"nodes/controller/env", "clouds.yaml"}
    assert all(files[path].secrets == set(SECRETS) for path in holders - {"clouds.yaml"})
    assert [value for value in SECRETS.values() if value in files["clouds.yaml"].text] == [SECRETS["ADMIN_PASS"]]


def test_nothing_is_readable_by_others(files: dict[str, RenderedFile]) -> None:
    assert {file.mode & 0o077 for file in files.values()} == {0}
    executable = {path.rpartition("/")[2] for path, file in files.items() if file.mode & 0o100}
    assert {"run-step", "openstack-batch", "20-database.sh"} <= executable
    assert not executable & {"env", "common.sh", "20-database.env", "Vagrantfile"}


def test_a_secret_that_is_missing_is_an_error(files: dict[str, RenderedFile]) -> None:
    with pytest.raises(KeyError, match="RABBIT_PASS"):
        render(sample_plan(), {"ADMIN_PASS": "x", "NOVA_PASS": "y"})


def test_plan_json_is_the_plan(files: dict[str, RenderedFile]) -> None:
    assert Plan.model_validate_json(files["plan.json"].text) == sample_plan(computes=2)
    assert json.loads(files["plan.json"].text)["version"] == 2


def test_the_suite_is_there_and_pytest_ini_points_at_it(files: dict[str, RenderedFile]) -> None:
    ini = configparser.ConfigParser()
    ini.read_string(files["pytest.ini"].text)
    assert ini["pytest"]["testpaths"] == "tests ../../checks"  # and what the user has beside the spec
    assert "-p lab.verification.plugin" in ini["pytest"]["addopts"]
    assert {"tests/conftest.py", "tests/deeper/kinds.py"} <= set(files)


def test_render_is_deterministic(files: dict[str, RenderedFile]) -> None:
    assert render(sample_plan(computes=2), SECRETS) == files


@pytest.mark.parametrize("value", ["plain", "with space", "it's", 'say "hi"', "$HOME", "`id`", "a\\b", "%s&", "", "é"])
def test_env_file_survives_a_shell(value: str) -> None:
    script = env_file({"VALUE": value}) + 'printf %s "$VALUE"'
    assert subprocess.run(["bash", "-uc", script], capture_output=True, text=True, check=True).stdout == value


def test_late_steps_are_those_behind_a_compute_step() -> None:
    plan = sample_plan()
    assert late_steps(plan) == ("70-discover-hosts", "90-first-instance")
    steps = tuple(
        step.model_copy(update={"awaits": ("65-network-compute",)}) if step.id == "80-first-network" else step
        for step in plan.steps
    )
    awaiting = plan.model_copy(update={"steps": steps})
    assert late_steps(awaiting) == ("70-discover-hosts", "80-first-network", "90-first-instance")


def test_a_step_on_all_nodes_makes_nothing_late() -> None:
    plan = sample_plan()
    steps = tuple(step for step in plan.steps if step.id not in ("70-discover-hosts", "90-first-instance"))
    controller = plan.nodes[0].model_copy(update={"steps": tuple(s.id for s in steps if "controller" in s.nodes)})
    without = plan.model_copy(update={"steps": steps, "nodes": (controller, *plan.nodes[1:])})
    assert late_steps(without) == ()
    assert "trigger" not in vagrantfile(without)


def test_domains_must_end_in_their_nodes_name() -> None:
    plan = sample_plan()
    odd = plan.nodes[1].model_copy(update={"domain": "elsewhere-compute1"})
    with pytest.raises(ValueError, match="demo-controller, elsewhere-compute1"):
        vagrantfile(plan.model_copy(update={"nodes": (plan.nodes[0], odd)}))


def test_an_unknown_variable_of_the_template_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template = tmp_path / "Vagrantfile.j2"
    template.write_text("{{ plan.naem }}\n")
    monkeypatch.setattr(resources, "VAGRANTFILE_TEMPLATE", template)
    with pytest.raises(jinja2.UndefinedError):
        vagrantfile(sample_plan())


def test_ruby_strings_do_not_interpolate() -> None:
    assert ruby_string('a"b#{c}\\') == '"a\\"b\\#{c}\\\\"'


def test_a_node_without_some_features() -> None:
    plan = sample_plan(computes=2)
    poor = plan.nodes[2].model_copy(update={"cpu_without": ("avx", "xsave")})
    text = vagrantfile(plan.model_copy(update={"nodes": (*plan.nodes[:2], poor)}))
    before, after = text.split('config.vm.define "compute2"')
    assert "-cpu" not in before
    assert 'libvirt.qemuargs value: "-cpu"\n' in after
    assert 'libvirt.qemuargs value: "max,avx=off,xsave=off"\n' in after


def test_waits_grow_with_a_slow_host_and_never_shrink() -> None:
    assert "boot_timeout = 300\n" in vagrantfile(sample_plan(wait_factor=0.5))
    assert "boot_timeout = 750\n" in vagrantfile(sample_plan(wait_factor=2.5))
