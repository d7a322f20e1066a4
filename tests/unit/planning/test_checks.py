from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from spec_samples import EMULATED, plan, release, spec, steps

from lab.base import resources
from lab.base.errors import UsageError
from lab.inputs.catalog import LoadedStep, load_steps
from lab.inputs.release import load_release
from lab.inputs.steps import Comes, ExtraCheck
from lab.planning.checks import QUICK
from lab.planning.resolve import resolve

if TYPE_CHECKING:
    from lab.planning.plan import Check, Plan

TWO = {"compute": {"count": 2}}


def by_id(decided: Plan) -> dict[str, Check]:
    assert len({check.id for check in decided.checks}) == len(decided.checks)
    return {check.id: check for check in decided.checks}


def args(decided: Plan, check_id: str) -> dict[str, Any]:
    return by_id(decided)[check_id].args


@pytest.mark.parametrize(
    ("check_id", "expected"),
    [
        ("controller-20-api-package-nova-api", {"name": "nova-api"}),
        ("controller-20-api-unit-nova-conductor", {"name": "nova-conductor"}),
        ("controller-20-api-unit-off-nova-serialproxy", {"name": "nova-serialproxy"}),
        ("controller-20-api-socket-0.0.0.0-8774", {"address": "tcp://0.0.0.0:8774"}),
        ("controller-20-api-socket-10.0.0.11-3306", {"address": "tcp://10.0.0.11:3306"}),
        ("controller-20-api-port-closed-6083", {"port": 6083}),
        ("controller-20-api-database-nova", {"name": "nova"}),
        (
            "controller-20-api-db-login-nova-nova_api",
            {"user": "nova", "password": "${NOVA_DBPASS}", "database": "nova_api"},
        ),
        ("controller-20-api-schema-head-nova", {"database": "nova", "command": "nova-manage db version"}),
        ("controller-20-api-queue-user-openstack", {"name": "openstack", "password": "${RABBIT_PASS}"}),
        ("controller-20-api-queue-permissions-openstack", {"name": "openstack"}),
        ("controller-20-api-identity-user-nova", {"name": "nova", "password": "${NOVA_PASS}"}),
        ("controller-20-api-identity-role-nova-service", {"user": "nova", "role": "service", "project": "service"}),
        ("controller-20-api-service-nova", {"name": "nova", "type": "compute"}),
        (
            "controller-20-api-endpoint-nova-internal",
            {"service": "nova", "type": "compute", "interface": "internal", "url": "http://controller:8774/v2.1"},
        ),
        ("controller-20-api-endpoint-answers-nova", {"url": "http://controller:8774/v2.1"}),
        (
            "controller-20-api-option-etc-nova-nova.conf-vnc-server_listen",
            {"path": "/etc/nova/nova.conf", "section": "vnc", "option": "server_listen", "value": "$my_ip"},
        ),
        (
            "controller-20-api-file-etc-nova-nova.conf",
            {"path": "/etc/nova/nova.conf", "owner": "root", "group": "nova", "mode": "0640"},
        ),
        ("controller-20-api-log-var-log-nova-nova-api.log", {"path": "/var/log/nova/nova-api.log"}),
        ("compute1-30-compute-virt-type-virt-type", {"expected": "kvm"}),
    ],
)
def test_args(check_id: str, expected: dict[str, Any]) -> None:
    assert args(plan(), check_id) == expected


def test_grants_are_exactly_those_of_all_steps() -> None:
    alone, with_cells = by_id(plan()), by_id(plan(chapters=["cells"]))
    for host in ("localhost", "any"):
        assert alone[f"controller-20-api-grants-nova-{host}"].args["grants"] == ["nova", "nova_api"]
        assert f"controller-20-api-grants-nova-{host}" not in with_cells
        assert with_cells[f"controller-40-cell0-grants-nova-{host}"].args["grants"] == [
            "nova",
            "nova_api",
            "nova_cell0",
        ]
    assert alone["controller-20-api-grants-nova-any"].args["host"] == "%"


def test_option_of_each_nodes_own_address() -> None:
    decided = plan(nodes=TWO)
    for node, address in (("compute1", "10.0.0.31"), ("compute2", "10.0.0.32")):
        assert args(decided, f"{node}-30-compute-option-etc-nova-nova.conf-default-my_ip")["value"] == address


def test_option_with_a_secret_keeps_its_name() -> None:
    check = by_id(plan())["controller-20-api-option-etc-nova-nova.conf-default-transport_url"]
    assert check.args["value"] == "rabbit://openstack:${RABBIT_PASS}@controller:5672/"
    assert check.command == (
        "/etc/nova/nova.conf: [DEFAULT] transport_url = rabbit://openstack:RABBIT_PASS@controller:5672/"
    )


def test_options_that_only_the_script_knows_are_not_asserted() -> None:
    options = {(c.args["section"], c.args["option"]) for c in plan().checks if c.kind == "option"}
    assert ("vnc", "server_listen") in options
    assert ("cell", "uuid") not in options  # a variable of the script
    assert ("service_user", "send_service_user_token") not in options  # in an `if`


def test_option_that_a_later_step_changes_is_asserted_there() -> None:
    decided = by_id(plan(chapters=["cells"]))
    name = "option-etc-nova-nova.conf-vnc-server_listen"
    assert f"controller-20-api-{name}" not in decided
    assert decided[f"controller-40-cell0-{name}"].args["value"] == "0.0.0.0"


def test_one_check_per_compute_where_a_step_asks_for_it() -> None:
    decided = by_id(plan(chapters=["cells"], nodes=TWO))
    second = decided["controller-40-cell0-hypervisor-hypervisor-compute2"]
    assert second.args == {"host": "compute2", "address": "10.0.0.32"}
    assert second.command == "openstack hypervisor show compute2 as NOVA_PASS"


def test_extra_check_of_another_role_is_left_out() -> None:
    assert not [c for c in plan(chapters=["cells"]).checks if "on-computes-only" in c.id]


def test_commands_are_the_guides() -> None:
    decided = by_id(plan())
    assert decided["controller-20-api-package-nova-api"].command == "apt-get install nova-api"
    assert decided["controller-20-api-unit-nova-api"].command == "systemctl enable --now nova-api"
    assert decided["controller-20-api-grants-nova-any"].command.splitlines() == [
        "GRANT ALL PRIVILEGES ON nova_api.* TO 'nova'@'%' IDENTIFIED BY 'NOVA_DBPASS';",
        "GRANT ALL PRIVILEGES ON nova.* TO 'nova'@'%' IDENTIFIED BY 'NOVA_DBPASS';",
    ]
    assert decided["controller-20-api-identity-user-nova"].command == (
        "openstack user create --domain default --password NOVA_PASS nova"
    )
    assert decided["controller-20-api-endpoint-nova-admin"].command == (
        "openstack endpoint create --region RegionOne compute admin http://controller:8774/v2.1"
    )


def test_quick() -> None:
    for check in plan().checks:
        expected = check.kind in QUICK or check.kind == "virt-type"
        assert check.quick == expected, check.id


def test_ports_come_with_the_start_of_the_steps_units() -> None:
    decided = by_id(plan())
    units = steps()["20-api"].facts.units
    assert decided["controller-20-api-socket-0.0.0.0-8774"].comes == Comes(by=units, within=40, at_start=True)
    assert {check.kind for check in plan().checks if check.comes} == {"socket", "endpoint-answers"}


def test_unknown_variable_is_refused() -> None:
    loaded = steps()
    base = loaded["10-base"]
    extra = ExtraCheck(kind="command", name="x", args={"run": "echo ${NO_SUCH_THING}"})
    facts = base.facts.model_copy(update={"checks": (extra,)})
    loaded["10-base"] = LoadedStep(base.id, facts, base.script, base.options)
    with pytest.raises(UsageError, match=r"step 10-base uses \$\{NO_SUCH_THING\}"):
        resolve(spec(), release(), loaded, EMULATED)


@pytest.mark.parametrize("given", ["${NOVA_PASS}", "NOVA_PASS", ["a", {"b": "x-${NOVA_PASS}"}]])
def test_a_check_of_a_password_that_its_node_does_not_get_is_refused(given: Any) -> None:
    loaded = steps()
    compute = loaded["30-compute"]
    extra = ExtraCheck(kind="identity-user", name="login", args={"password": given}, command="as ${NOVA_PASS}")
    loaded["30-compute"] = replace(compute, facts=compute.facts.model_copy(update={"checks": (extra,)}))
    with pytest.raises(UsageError, match=r"compute1-30-compute-identity-user-login needs NOVA_PASS, which compute1"):
        resolve(spec(), release(), loaded, EMULATED)
    loaded["30-compute"] = replace(loaded["30-compute"], variables=frozenset({"NOVA_PASS"}))
    assert resolve(spec(), release(), loaded, EMULATED).node("compute1").secrets == ("NOVA_PASS",)


def test_names_that_look_alike_get_different_ids() -> None:
    loaded = steps()
    base = loaded["10-base"]
    extras = tuple(ExtraCheck(kind="command", name=name) for name in ("a/b", "a-b"))
    facts = base.facts.model_copy(update={"checks": extras})
    loaded["10-base"] = LoadedStep(base.id, facts, base.script, base.options)
    ids = [c.id for c in resolve(spec(), release(), loaded, EMULATED).checks if "command-a" in c.id]
    assert ids[:2] == ["controller-10-base-command-a-b", "controller-10-base-command-a-b-2"]


def real_plan(computes: int = 1) -> Plan:
    zed = load_release("zed")
    asked = spec(release="zed", nodes={"compute": {"count": computes}})
    return resolve(asked, zed, load_steps(zed, resources.PROVISION), EMULATED)


def test_real_release_has_the_checks_that_the_suite_promises() -> None:
    checks = real_plan().checks
    assert len(checks) >= 150
    assert len({check.id for check in checks}) == len(checks)
    for check in checks:
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*", check.id), check.id
        assert check.id.startswith(f"{check.node}-{check.step}-{check.kind}-")
        assert check.guide
    kinds = {check.kind for check in checks}
    assert {"package", "unit", "socket", "database", "grants", "db-login", "option", "endpoint", "file", "log"} <= kinds


def test_real_release_asserts_both_nova_conf_files() -> None:
    options = {
        (c.node, c.args["section"], c.args["option"]): c.args["value"]
        for c in real_plan().checks
        if c.kind == "option" and c.args["path"] == "/etc/nova/nova.conf"
    }
    assert options["controller", "DEFAULT", "my_ip"] == "10.0.0.11"
    assert options["compute1", "DEFAULT", "my_ip"] == "10.0.0.31"
    assert options["compute1", "vnc", "server_listen"] == "$my_ip"
    assert options["controller", "database", "connection"] == "mysql+pymysql://nova:${NOVA_DBPASS}@controller/nova"
    assert ("compute1", "database", "connection") not in options


def test_real_release_grants_of_nova() -> None:
    grants = [c.args for c in real_plan().checks if c.kind == "grants" and c.args["user"] == "nova"]
    assert [(g["host"], g["grants"]) for g in grants] == [
        ("localhost", ["nova", "nova_api", "nova_cell0"]),
        ("%", ["nova", "nova_api", "nova_cell0"]),
    ]
