from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.verification.cloud import rows, status, tool
from lab.verification.outcome import expect
from lab.verification.registry import asserts
from lab.verification.values import secret_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testinfra.host import Host

    from lab.planning.plan import Check
    from lab.verification.suite import Suite

REGION = "RegionOne"
"""of the guide; other regions are not the lab's"""
TOKENS = "http://controller:5000/v3/auth/tokens"


def _name(value: Any) -> str:
    """Drop the domain: nova@Default is nova."""
    return str(value or "").rpartition("@")[0] or str(value or "")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names))) or "none"


@asserts("identity-user", args="name password")
def test_identity_user(check: Check, host: Host, suite: Suite) -> None:
    """The user gets a token for this password, which also proves that it exists and is enabled."""
    name, secret = check.args["name"], secret_name(check.args["password"])
    user = {"name": name, "domain": {"id": "default"}, "password": f"${{{secret}}}"}
    identity = {"methods": ["password"], "password": {"user": user}}
    body = {"auth": {"identity": identity, "scope": "unscoped"}}
    answer = tool(host, "http", url=TOKENS, body=body, timeout=20 * suite.scale)
    expect(answer.get("status") == 201, f"user {name} gets a token with {secret}", status(answer))


@asserts("identity-role", args="user role project")
def test_identity_role(check: Check, controller: Host) -> None:
    user, role, project = (check.args[key] for key in ("user", "role", "project"))
    assigned = rows(controller, "role assignment list --names")
    roles = [_name(row["Role"]) for row in assigned if (_name(row["User"]), _name(row["Project"])) == (user, project)]
    expect(role in roles, f"role {role} of {user} in project {project}", f"roles {_listed(roles)}")


@asserts("service", args="name type")
def test_service(check: Check, controller: Host) -> None:
    """The catalog has it; which other services it has, also of the same name, is their owner's affair."""
    name, kind = check.args["name"], check.args["type"]
    found = [f"{row['Name']} ({row['Type']})" for row in rows(controller, "service list")]
    expect(f"{name} ({kind})" in found, f"a service {name} of type {kind}", _listed(found))


@asserts("endpoint", args="service type interface url")
def test_endpoint(check: Check, controller: Host) -> None:
    """Clients find this URL, and no other, under the type and interface in the lab's region."""
    service, kind, interface, url = (check.args[key] for key in ("service", "type", "interface", "url"))
    place = (kind, interface, REGION)
    listed = rows(controller, "endpoint list")
    mine = [row for row in listed if (row["Service Type"], row["Interface"], row["Region"]) == place]
    shown = []
    for row in mine:
        text = row["URL"] + ("" if row.get("Enabled") is True else " (disabled)")
        text += "" if row["Service Name"] == service else f" of service {row['Service Name']}"
        also = f" (`openstack endpoint delete {row['ID']}`)" if text != url and len(mine) > 1 else ""
        shown.append(text + also)
    good = bool(mine) and all(row["URL"] == url and row.get("Enabled") is True for row in mine)
    expect(good, f"the {interface} endpoint of {service} at {url}", ", ".join(shown) or "none")
