from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.verification.cloud import met, rows, tool
from lab.verification.outcome import expect
from lab.verification.registry import asserts
from lab.verification.values import secret_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testinfra.host import Host


REGION = "RegionOne"
"""of the guide; other regions are not the lab's"""
TOKENS = "http://controller:5000/v3/auth/tokens"


def _name(value: Any) -> str:
    """Drop the domain: nova@Default is nova."""
    return str(value or "").rpartition("@")[0] or str(value or "")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names))) or "none"


@asserts("identity-user")
def test_identity_user(host: Host, name: str, password: str) -> None:
    """The user gets a token for this password, which also proves that it exists and is enabled."""
    secret = secret_name(password)
    user = {"name": name, "domain": {"id": "default"}, "password": f"${{{secret}}}"}
    identity = {"methods": ["password"], "password": {"user": user}}
    body = {"auth": {"identity": identity, "scope": "unscoped"}}
    answer = tool(host, "http", url=TOKENS, body=body, seconds=20)
    expect(answer.get("status") == 201, f"user {name} gets a token with {secret}", met(answer))


@asserts("identity-role")
def test_identity_role(controller: Host, user: str, role: str, project: str) -> None:
    assigned = rows(controller, "role assignment list --names")
    roles = [_name(row["Role"]) for row in assigned if (_name(row["User"]), _name(row["Project"])) == (user, project)]
    expect(role in roles, f"role {role} of {user} in project {project}", f"roles {_listed(roles)}")


@asserts("service")
def test_service(controller: Host, name: str, type_: str) -> None:
    """The catalog has it; which other services it has, also of the same name, is their owner's affair."""
    found = [f"{row['Name']} ({row['Type']})" for row in rows(controller, "service list")]
    expect(f"{name} ({type_})" in found, f"a service {name} of type {type_}", _listed(found))


@asserts("endpoint")
def test_endpoint(controller: Host, service: str, type_: str, interface: str, url: str) -> None:
    """Clients find this URL, and no other, under the type and interface in the lab's region."""
    place = (type_, interface, REGION)
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
