from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from cpu_time import NOISE, spent
from spec_samples import EMULATED, KVM, KVM_NOT_NESTED, STEPS, plan, release, spec, steps

from lab.base import resources
from lab.base.errors import HostError, UsageError
from lab.generator.render import step_environment
from lab.inputs.catalog import LoadedStep, load_steps
from lab.inputs.release import Chapter, load_release, release_names
from lab.inputs.steps import ExtraCheck, StepFacts
from lab.machines.boxes import wanted_boxes
from lab.planning.plan import SLOW_WHEN_EMULATED, HostFacts, Plan
from lab.planning.resolve import resolve


def test_same_input_same_plan() -> None:
    assert plan().model_dump_json() == plan().model_dump_json()


def test_plan_survives_its_file() -> None:
    decided = plan(nodes={"compute": {"count": 3}})
    assert Plan.model_validate_json(decided.model_dump_json()) == decided


def test_nodes() -> None:
    decided = plan(nodes={"compute": {"count": 2, "memory": "4 GiB", "disk": "30 GiB"}})
    assert [node.name for node in decided.nodes] == ["controller", "compute1", "compute2"]
    second = decided.node("compute2")
    assert second.domain == "demo-compute2"
    assert (second.memory_mib, second.disk_gib, second.cpus) == (4096, 30, 1)
    assert second.box == "compute-lab/sample-compute"
    assert second.steps == ("10-base", "30-compute")
    assert decided.node("controller").steps == ("10-base", "20-api")
    assert second.env["MY_IP"] == second.env["MANAGEMENT_INTERFACE_IP_ADDRESS"] == "10.0.0.32"


def test_preloaded_boxes() -> None:
    decided = plan(box={"flavour": "preloaded"})
    assert [node.box for node in decided.nodes] == [
        "compute-lab/sample-controller-preloaded",
        "compute-lab/sample-compute-preloaded",
    ]
    assert decided.node("compute1").env["LAB_FLAVOUR"] == "preloaded"


@pytest.mark.parametrize(
    ("wish", "host", "virt_type", "nested"),
    [
        ("auto", EMULATED, "kvm", True),
        ("required", EMULATED, "kvm", True),
        ("off", EMULATED, "qemu", False),
        ("auto", KVM, "kvm", True),
        ("required", KVM, "kvm", True),
        ("off", KVM, "qemu", False),
        ("auto", KVM_NOT_NESTED, "qemu", False),
        ("off", KVM_NOT_NESTED, "qemu", False),
    ],
)
def test_virt_type(wish: str, host: HostFacts, virt_type: str, nested: bool) -> None:
    decided = plan(host, nodes={"compute": {"nested": wish}})
    compute, controller = decided.node("compute1"), decided.node("controller")
    assert (compute.virt_type, compute.nested) == (virt_type, nested)
    assert compute.env["LAB_VIRT_TYPE"] == controller.env["LAB_VIRT_TYPE"] == virt_type
    assert (controller.virt_type, controller.nested) == ("", False)


SLOW = SLOW_WHEN_EMULATED
WITHOUT_PKU = tuple(name for name in SLOW if name != "pku")


@pytest.mark.parametrize(
    ("host", "nested", "controller", "compute"),
    [
        (EMULATED, "auto", SLOW, ("avx", "pku", *WITHOUT_PKU)),
        (EMULATED, "off", SLOW, ("svm", "vmx", *SLOW)),
        (KVM, "auto", (), ()),
        (KVM, "off", (), ("svm", "vmx")),
    ],
)
def test_features_that_a_node_must_not_have_or_is_faster_without(
    host: HostFacts, nested: str, controller: tuple[str, ...], compute: tuple[str, ...]
) -> None:
    wish = spec(nodes={"compute": {"nested": nested}})
    decided = resolve(wish, release(emulated_cpu_without=["avx", "pku"]), steps(), host)
    assert [node.cpu_without for node in decided.nodes] == [controller, compute]


def test_emulation_by_wish_offers_svm_even_where_kvm_does_not_nest() -> None:
    decided = plan(KVM_NOT_NESTED, accelerator="qemu", nodes={"compute": {"nested": "required"}})
    assert decided.accelerator == "qemu"
    assert decided.node("compute1").virt_type == "kvm"


def test_kvm_asked_for_where_the_proof_fails() -> None:
    with pytest.raises(HostError) as caught:
        resolve(spec(accelerator="kvm"), release(), steps(), EMULATED, reason="no guest got past its firmware")
    assert caught.value.exit_code == 3
    assert "no guest got past its firmware" in str(caught.value)


def test_nested_required_where_it_is_off() -> None:
    with pytest.raises(HostError) as caught:
        plan(KVM_NOT_NESTED, nodes={"compute": {"nested": "required"}})
    assert caught.value.exit_code == 3


def test_no_secret_in_the_plan() -> None:
    decided = plan(passwords={"NOVA_PASS": "hunter2hunter2"})
    assert "hunter2" not in decided.model_dump_json()
    assert decided.overridden_secrets == ("NOVA_PASS",)


def test_chapters_add_steps_in_the_order_of_their_numbers() -> None:
    assert [step.id for step in plan().steps] == ["10-base", "20-api", "30-compute"]
    assert [step.id for step in plan(chapters=["cells"]).steps] == ["10-base", "20-api", "30-compute", "40-cell0"]


def with_chapter(**chapter: Any) -> Plan:
    """A lab with one chapter whose step, by its own facts, is 25-proxy."""
    facts = StepFacts(title="P", guide="G", on=("controller",), seconds=1, **chapter.pop("facts", {}))
    proxy = LoadedStep("25-proxy", facts, STEPS / "20-api.sh", ())
    sample = release(chapters={"proxy": Chapter(title="P", steps=("25-proxy",), **chapter)})
    loaded = load_steps(sample.model_copy(update={"chapters": {}}), STEPS)
    return resolve(spec(chapters=["proxy"]), sample, {**loaded, "25-proxy": proxy}, EMULATED)


def test_what_a_chapter_starts_no_other_step_switches_off() -> None:
    closed = "controller-20-api-port-closed-6083"
    assert plan().step("20-api").units_off == ("nova-serialproxy",)
    assert closed in {check.id for check in plan().checks}
    decided = with_chapter(facts={"units": ("nova-serialproxy",), "sockets": ("tcp://0.0.0.0:6083",)})
    assert decided.step("20-api").units_off == ()
    assert not {closed, "controller-20-api-unit-off-nova-serialproxy"} & {check.id for check in decided.checks}


def test_a_chapter_brings_capabilities() -> None:
    assert plan().nodes[0].env["LAB_HAS_CONSOLEAUTH"] == "0"
    checks = [
        ExtraCheck(kind="command", name="with", args={"run": "true"}, when="CONSOLEAUTH"),
        ExtraCheck(kind="command", name="without", args={"run": "true"}, unless="CONSOLEAUTH"),
    ]
    decided = with_chapter(capabilities=("CONSOLEAUTH",), facts={"checks": checks})
    assert decided.nodes[1].env["LAB_HAS_CONSOLEAUTH"] == "1"
    assert [check.id for check in decided.checks if check.step == "25-proxy"] == ["controller-25-proxy-command-with"]


def test_a_chapter_takes_the_place_of_steps() -> None:
    assert [step.id for step in with_chapter(without=("20-api",)).steps] == ["10-base", "25-proxy", "30-compute"]


def test_a_chapter_with_packages_has_a_box_of_its_own_where_they_are() -> None:
    def boxes(decided: Plan) -> list[str]:
        return [node.box for node in decided.nodes]

    core = ["compute-lab/sample-controller", "compute-lab/sample-compute"]
    assert boxes(plan()) == boxes(with_chapter()) == boxes(with_chapter(facts={"packages": ("nova-api",)})) == core
    proxy = with_chapter(facts={"packages": ("nova-serialproxy",)})
    assert boxes(proxy) == ["compute-lab/sample-controller-proxy", "compute-lab/sample-compute"]
    assert [(box.name, box.packages) for box in wanted_boxes(proxy)] == [
        ("compute-lab/sample-controller-proxy", ("chrony", "nova-api", "nova-conductor", "nova-serialproxy")),
        ("compute-lab/sample-compute", ("chrony", "nova-compute")),
    ]


def test_steps() -> None:
    decided = plan(nodes={"compute": {"count": 2}})
    api = decided.step("20-api")
    assert api.nodes == ("controller",)
    assert api.needs == ("10-base",)
    assert api.packages == api.units == ("nova-api", "nova-conductor")
    assert api.units_off == ("nova-serialproxy",)
    assert decided.step("10-base").nodes == ("controller", "compute1", "compute2")


def test_expected_time_follows_the_host() -> None:
    assert plan(EMULATED).step("20-api").seconds == 90
    assert plan(KVM).step("20-api").seconds == 10


def test_capabilities_and_networks_in_the_environment() -> None:
    env = plan(networks={"provider": "198.51.100.0/24", "provider_pool": "198.51.100.20-198.51.100.40"}).nodes[0].env
    assert (env["LAB_HAS_CELLS_V2"], env["LAB_HAS_CONSOLEAUTH"]) == ("1", "0")
    assert (env["PROVIDER_POOL_START"], env["PROVIDER_POOL_END"]) == ("198.51.100.20", "198.51.100.40")
    assert env["PROVIDER_GATEWAY"] == "198.51.100.1"


def test_every_variable_and_capability_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "environment.md").read_text(encoding="utf-8")
    zed = load_release("zed")
    decided = resolve(spec(release="zed"), zed, load_steps(zed, resources.PROVISION), EMULATED)
    names = {name for node in decided.nodes for name in node.env if not name.startswith("LAB_HAS_")}
    names |= {name for step in decided.steps for name in step_environment(step)} | set(zed.capabilities)
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


COMPUTES_SECRETS = {"RABBIT_PASS", "NOVA_PASS", "NEUTRON_PASS", "PLACEMENT_PASS", "METADATA_SECRET"}


@pytest.mark.parametrize("name", release_names())
def test_a_node_gets_only_the_passwords_of_its_own_steps(name: str) -> None:
    known = load_release(name)
    for chapters in ((), *((chapter,) for chapter in known.chapters)):
        loaded = load_steps(known, resources.PROVISION)
        decided = resolve(spec(release=name, chapters=chapters), known, loaded, EMULATED)
        for node in decided.nodes:
            code = "\n".join(loaded[step].script.read_text(encoding="utf-8") for step in node.steps)
            used = {secret for secret in known.secrets if f"${secret}" in code or f"${{{secret}" in code}
            assert used <= set(node.secrets), (chapters, node.name)
        computes = set(decided.node("compute1").secrets)
        assert {"RABBIT_PASS", "NOVA_PASS"} <= computes <= COMPUTES_SECRETS, chapters
        assert "ADMIN_PASS" in decided.node("controller").secrets


def test_the_passwords_of_a_node_come_from_scripts_and_accounts() -> None:
    decided = plan()
    # of 20-api: the script uses one, its accounts have the others; of 30-compute and 10-base: none
    assert decided.node("controller").secrets == ("NOVA_DBPASS", "NOVA_PASS", "RABBIT_PASS")
    assert decided.node("compute1").secrets == ()


def test_a_library_that_uses_a_password_needs_it_on_every_node(tmp_path: Path) -> None:
    shutil.copytree(STEPS, tmp_path / "provision")
    (tmp_path / "provision" / "lib").mkdir()
    library = tmp_path / "provision" / "lib" / "login.sh"
    library.write_text('# as $RABBIT_PASS\nlogin() { curl --user "admin:${ADMIN_PASS:-}" "$1"; }\n')
    decided = resolve(spec(), release(), load_steps(release(), tmp_path / "provision"), EMULATED)
    assert decided.node("compute1").secrets == ("ADMIN_PASS",)


def needing(*needs: str) -> dict[str, LoadedStep]:
    loaded = steps()
    base = loaded["10-base"]
    facts = base.facts.model_copy(update={"needs": needs})
    return {**loaded, "10-base": LoadedStep(base.id, facts, base.script, base.options)}


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        (("20-api",), "10-base needs 20-api, which does not come before it"),
        (("10-base",), "10-base needs 10-base, which does not come before it"),
        (("99-gone",), "10-base needs 99-gone, which the release does not have"),
    ],
)
def test_impossible_order(needs: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(spec(), release(), needing(*needs), EMULATED)


def test_need_of_a_chapter_that_is_not_chosen() -> None:
    loaded = steps()
    compute = loaded["30-compute"]
    facts = compute.facts.model_copy(update={"needs": ("40-cell0",)})
    loaded["30-compute"] = LoadedStep(compute.id, facts, compute.script, compute.options)
    with pytest.raises(UsageError, match="30-compute needs 40-cell0"):
        resolve(spec(), release(), loaded, EMULATED)


def test_sixteen_computes_of_the_real_release_in_a_moment() -> None:
    zed = load_release("zed")
    asked = spec(release="zed", nodes={"compute": {"count": 16}})
    decided = resolve(asked, zed, load_steps(zed, resources.PROVISION), EMULATED)
    assert len(decided.nodes) == 17
    assert len({check.id for check in decided.checks}) == len(decided.checks) > 1000
    # `lab check` is to take less than 1 s in all.
    assert spent(lambda: resolve(asked, zed, load_steps(zed, resources.PROVISION), EMULATED)) < 0.8 * NOISE
