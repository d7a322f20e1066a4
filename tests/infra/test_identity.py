from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lab.verification.collectors import Need
from lab.verification.facts import CONTROLLER
from lab.verification.outcome import expect
from lab.verification.registry import asserts
from lab.verification.values import secret_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.planning.plan import Check
    from lab.verification.facts import NodeFacts

ASSIGNMENTS = "role assignment list --names"
SERVICES = "service list"
ENDPOINTS = "endpoint list"
REGION = "RegionOne"
"""of the guide; other regions are not the lab's"""


def _login(check: Check) -> list[str]:
    return [check.args["name"], secret_name(check.args["password"])]


def _name(value: Any) -> str:
    """Drop the domain: nova@Default is nova."""
    return str(value or "").rpartition("@")[0] or str(value or "")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names))) or "none"


@asserts("identity-user", args="name password", needs=lambda check: [Need("tokens", json.dumps(_login(check)))])
def test_identity_user(check: Check, node: NodeFacts) -> None:
    """The user gets a token for this password, which also proves that it exists and is enabled."""
    name, secret = _login(check)
    answer = node.token(name, secret)
    found = f"HTTP {answer['status']}" if "status" in answer else str(answer.get("error"))
    expect(answer.get("status") == 201, f"user {name} gets a token with {secret}", found)


@asserts("identity-role", args="user role project", needs=lambda _: [Need("rows", ASSIGNMENTS, CONTROLLER)])
def test_identity_role(check: Check, cloud: NodeFacts) -> None:
    user, role, project = (check.args[key] for key in ("user", "role", "project"))
    rows = cloud.rows(ASSIGNMENTS)
    roles = [_name(r["Role"]) for r in rows if _name(r["User"]) == user and _name(r["Project"]) == project]
    expect(role in roles, f"role {role} of {user} in project {project}", f"roles {_listed(roles)}")


@asserts("service", args="name type", needs=lambda _: [Need("rows", SERVICES, CONTROLLER)])
def test_service(check: Check, cloud: NodeFacts) -> None:
    """The catalog has it; which other services it has, also of the same name, is their owner's affair."""
    name, kind = check.args["name"], check.args["type"]
    found = [f"{row['Name']} ({row['Type']})" for row in cloud.rows(SERVICES)]
    expect(f"{name} ({kind})" in found, f"a service {name} of type {kind}", _listed(found))


@asserts("endpoint", args="service type interface url", needs=lambda _: [Need("rows", ENDPOINTS, CONTROLLER)])
def test_endpoint(check: Check, cloud: NodeFacts) -> None:
    """Clients find this URL, and no other, under the type and interface in the lab's region."""
    service, kind, interface, url = (check.args[key] for key in ("service", "type", "interface", "url"))
    rows = [
        row
        for row in cloud.rows(ENDPOINTS)
        if (row["Service Type"], row["Interface"], row["Region"]) == (kind, interface, REGION)
    ]
    found = [
        f"{row['URL']}{'' if row.get('Enabled') is True else ' (disabled)'}"
        f"{'' if row['Service Name'] == service else ' of service ' + str(row['Service Name'])}"
        for row in rows
    ]
    shown = ", ".join(
        f"{text} (`openstack endpoint delete {row['ID']}`)" if text != url and len(rows) > 1 else text
        for text, row in zip(found, rows, strict=True)
    )
    good = bool(rows) and all(row["URL"] == url and row.get("Enabled") is True for row in rows)
    expect(good, f"the {interface} endpoint of {service} at {url}", shown or "none")
