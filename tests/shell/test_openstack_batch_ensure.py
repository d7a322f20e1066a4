"""openstack-batch: what `ensure` repairs, against an Identity service that only remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from openstack_batch.ensure import Ensure
from openstack_batch.ensure_identity import EnsureIdentity

if TYPE_CHECKING:
    from openstack_batch.identity import Identity


class FakeIdentity:
    """The Identity API as lists of things; remembers every request that changes something."""

    def __init__(self, **lists: list[dict[str, Any]]) -> None:
        self.lists = lists
        self.changes: list[tuple[str, str, Any]] = []
        self.password = "right"

    def find(self, kind: str, **filters: str) -> list[dict[str, Any]]:
        """Those that match, as far as they tell; a thing of a test tells only what the test is about."""
        things = self.lists.get(kind, [])
        return [one for one in things if all(one.get(key, value) == value for key, value in filters.items())]

    def named(self, kind: str, name: str, **filters: str) -> dict[str, Any]:
        found = self.find(kind, name=name, **filters)
        if not found:
            raise LookupError(f"no {kind} named {name}")
        return found[0]

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        self.changes.append((method, path, body))
        return {"service": {"id": "new"}}

    def logs_in(self, user_id: str, password: str) -> bool:
        return user_id == "u1" and password == self.password


def ensure(identity: FakeIdentity, text: str) -> tuple[int, str, str]:
    form = EnsureIdentity()
    form._identity = cast("Identity", identity)
    return form.run(text.split())


USER = "user create --domain default --password right nova"
ENDPOINT = "endpoint create --region RegionOne compute public http://right"


def test_a_missing_user_is_created() -> None:
    identity = FakeIdentity()
    assert ensure(identity, USER) == (0, "created", "")
    assert identity.changes == [
        ("POST", "users", {"user": {"name": "nova", "domain_id": "default", "password": "right"}})
    ]


def test_a_user_whose_password_logs_in_is_left_alone() -> None:
    identity = FakeIdentity(users=[{"id": "u1", "enabled": True}])
    assert ensure(identity, USER) == (0, "present", "")
    assert identity.changes == []


def test_a_drifted_password_is_set() -> None:
    identity = FakeIdentity(users=[{"id": "u1", "enabled": True}])
    identity.password = "drifted"
    assert ensure(identity, USER) == (0, "set password", "")
    assert identity.changes == [("PATCH", "users/u1", {"user": {"password": "right"}})]


def test_a_disabled_user_is_enabled() -> None:
    identity = FakeIdentity(users=[{"id": "u1", "enabled": False}])
    assert ensure(identity, USER) == (0, "set enabled", "")


def test_a_role_is_granted_once() -> None:
    things = {"roles": [{"id": "r1"}], "users": [{"id": "u1"}], "projects": [{"id": "p1"}]}
    identity = FakeIdentity(**things)
    assert ensure(identity, "role add --project service --user nova admin")[1] == "created"
    assert identity.changes == [("PUT", "projects/p1/users/u1/roles/r1", None)]
    identity = FakeIdentity(**things, role_assignments=[{}])
    assert ensure(identity, "role add --project service --user nova admin")[1] == "present"
    assert identity.changes == []


def test_a_role_for_nobody_is_an_error() -> None:
    code, _, said = ensure(FakeIdentity(roles=[{"id": "r1"}]), "role add --project service --user nova admin")
    assert (code, "no users named nova" in said) == (1, True)


def test_a_service_with_another_description_is_mended() -> None:
    service = {"id": "s1", "name": "nova", "type": "compute", "description": "x", "enabled": True}
    identity = FakeIdentity(services=[service])
    assert ensure(identity, "service create --name nova --description y compute")[1] == "set"
    assert ensure(identity, "service create --name nova --description x compute")[1] == "present"


NOVA = {"name": "nova", "type": "compute", "description": "x", "enabled": True}


def test_of_two_services_of_a_name_the_one_with_endpoints_is_the_labs() -> None:
    two = [{"id": "theirs", **NOVA}, {"id": "ours", **NOVA}]
    identity = FakeIdentity(services=two, endpoints=[{"id": "e1", "service_id": "ours", "url": "http://wrong"}])
    form = EnsureIdentity()
    form._identity = cast("Identity", identity)
    assert form.run(["service", "create", "--name", "nova", "--description", "y", "compute"])[1] == "set"
    assert form.run(ENDPOINT.split())[1] == "set"
    assert [path for _, path, _ in identity.changes] == ["services/ours", "endpoints/e1"]


def test_a_service_of_the_type_under_another_name_is_left_alone() -> None:
    others = [{"id": n, **NOVA, "name": n} for n in ("mine", "yours")]
    identity = FakeIdentity(services=others)
    assert ensure(identity, "service create --name nova --description x compute")[1] == "created"
    assert [method for method, *_ in identity.changes] == ["POST"]


def test_a_service_that_was_renamed_gets_its_name_back() -> None:
    identity = FakeIdentity(services=[{"id": "s1", **NOVA, "name": "mynova"}])
    assert ensure(identity, "service create --name nova --description x compute")[1] == "set"


def test_endpoints_of_the_bootstrap_are_known_by_their_url() -> None:
    identity = FakeIdentity(
        services=[{"id": "theirs", "type": "compute"}, {"id": "ours", "type": "compute"}],
        endpoints=[{"id": "e1", "service_id": "ours", "url": "http://right", "enabled": True}],
    )
    assert ensure(identity, ENDPOINT) == (0, "present", "")


def test_a_disabled_project_is_enabled() -> None:
    identity = FakeIdentity(projects=[{"id": "p1", "enabled": False}])
    assert ensure(identity, "project create --domain default --description d service")[1] == "set enabled"


def test_a_missing_endpoint_is_created() -> None:
    identity = FakeIdentity(services=[{"id": "s1"}])
    assert ensure(identity, ENDPOINT)[1] == "created"
    wanted = {
        "service_id": "s1",
        "interface": "public",
        "region_id": "RegionOne",
        "url": "http://right",
        "enabled": True,
    }
    assert identity.changes == [("POST", "endpoints", {"endpoint": wanted})]


def test_a_changed_url_is_set() -> None:
    identity = FakeIdentity(services=[{"id": "s1"}], endpoints=[{"id": "e1", "url": "http://wrong", "enabled": True}])
    assert ensure(identity, ENDPOINT)[1] == "set"
    assert identity.changes == [("PATCH", "endpoints/e1", {"endpoint": {"url": "http://right", "enabled": True}})]


def test_of_two_endpoints_one_stays() -> None:
    two = [{"id": name, "url": "http://right", "enabled": True} for name in ("e1", "e2")]
    identity = FakeIdentity(services=[{"id": "s1"}], endpoints=two)
    assert ensure(identity, ENDPOINT)[1] == "removed a second one"
    assert identity.changes == [("DELETE", "endpoints/e2", None)]


def test_arguments_that_the_guide_does_not_have_are_refused() -> None:
    code, _, said = ensure(FakeIdentity(), "user create --email x@y nova")
    assert code == 2
    assert "expected user create --domain --password name" in said


def test_ensure_refuses_what_it_does_not_know() -> None:
    code, _, said = Ensure(None).run(["volume", "create", "x"])
    assert code == 2
    assert "ensure knows only" in said
