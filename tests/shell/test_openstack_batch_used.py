"""openstack-batch on a lab that people use: what `ensure` finds changed, twice, or made by somebody else."""

from __future__ import annotations

import hashlib
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from openstack_batch import limits
from openstack_batch.ensure import Ensure
from openstack_batch.made import Made

if TYPE_CHECKING:
    from pathlib import Path

OWN = "admin-project"
ACTIONS = {"os-start", "unpause", "resume", "unshelve", "unrescue", "revertResize", "restore", "rebuild", "reboot"}


class FakeApi:
    """The services as lists of things; an action of a server succeeds at once, unless it is named in `fails`."""

    project_id = OWN

    def __init__(self, **lists: list[dict[str, Any]]) -> None:
        self.lists: dict[str, list[dict[str, Any]]] = lists
        self.quota = {"instances": 10, "cores": 20, "ram": 51200}
        self.fails: set[str] = set()
        self.asked: list[tuple[str, str, Any]] = []

    def find(self, kind: str, **filters: str) -> list[dict[str, Any]]:
        shown = {key: value for key, value in filters.items() if key != "is_public"}
        return [one for one in self.lists.get(kind, []) if all(one.get(key) == value for key, value in shown.items())]

    def named(self, kind: str, name: str) -> list[dict[str, Any]]:
        return [one for one in self.find(kind) if one["name"] == name]

    def ask(self, _service: str, method: str, path: str, json: Any = None) -> Any:
        if path.startswith("/os-quota-sets/"):
            return {"quota_set": self.quota}
        kind, identifier = path.split("/")[1].removesuffix("s"), path.split("/")[2]
        (thing,) = [one for one in self.lists[kind] if one["id"] == identifier]
        if method == "GET":
            return {kind: thing}
        self.asked.append((method, path, json))
        if method == "DELETE":
            self.lists[kind].remove(thing)
        elif method == "PUT":
            thing.update(json[kind])
        elif path.endswith("/action"):
            (action,) = json
            assert action in ACTIONS
            if action not in self.fails:
                thing["status"] = "ACTIVE"
        else:
            thing["status"] = "active"
        return None


class FakeClient:
    """Understands commands by a table of what their own parser would say; creating adds to the lists."""

    refusals = (ConnectionError,)

    def __init__(self, api: FakeApi, **args: Any) -> None:
        self.api = api
        self.args = args
        self.ran: list[str] = []
        self.console = ["TINY: ip=203.0.113.5/24 instance-id=i-1"]

    def parse(self, words: list[str]) -> Any:
        return SimpleNamespace(**self.args, words=words)

    def run(self, words: list[str]) -> tuple[int, str, str]:
        self.ran.append(" ".join(words))
        if words[:3] == ["console", "log", "show"]:
            return 0, self.console.pop(0) if len(self.console) > 1 else self.console[0], ""
        if "create" in words:
            kind = words[0]
            self.api.lists.setdefault(kind, []).append({"id": "new", "name": words[-1], "status": "ACTIVE"})
        return 0, "", ""


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "POLL_S", 0)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path / "made.json")


def server(identifier: str = "s1", status: str = "ACTIVE", host: str = "compute1", **more: Any) -> dict[str, Any]:
    return {
        "id": identifier,
        "name": "instance-compute1",
        "status": status,
        "OS-EXT-SRV-ATTR:host": host,
        "image": {"id": "i1"},
        "updated": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **more,
    }


SERVER = ["server", "create", "--image", "i1", "--availability-zone", "nova:compute1", "instance-compute1"]
SERVER_ARGS = {"server_name": "instance-compute1", "availability_zone": "nova:compute1", "image": "i1"}


def ensure_server(api: FakeApi, made: Made) -> tuple[int, str, str]:
    return Ensure(FakeClient(api, **SERVER_ARGS), made, api).run(SERVER)


@pytest.mark.parametrize(
    ("status", "action"),
    [
        ("PAUSED", "unpause"),
        ("SUSPENDED", "resume"),
        ("SHELVED", "unshelve"),
        ("SHELVED_OFFLOADED", "unshelve"),
        ("SHUTOFF", "os-start"),
        ("RESCUE", "unrescue"),
        ("VERIFY_RESIZE", "revertResize"),
    ],
)
def test_an_instance_is_brought_back_by_the_action_for_its_state(status: str, action: str, made: Made) -> None:
    api = FakeApi(server=[server(status=status)])
    assert ensure_server(api, made) == (0, f"{status}: {action}", "")
    assert api.asked == [("POST", "/servers/s1/action", {action: None})]
    assert made.id_of("server", "instance-compute1") == "s1"


@pytest.mark.parametrize("status", ["PAUSED", "SHELVED_OFFLOADED"])
def test_one_that_cannot_be_brought_back_is_made_again(status: str, made: Made) -> None:
    api = FakeApi(server=[server(status=status)])
    api.fails = {"unpause", "unshelve"}
    assert ensure_server(api, made)[:2] == (0, "created")
    assert [method for method, *_ in api.asked] == ["POST", "DELETE"]
    assert made.id_of("server", "instance-compute1") == "new"


def test_one_in_error_is_made_again(made: Made) -> None:
    api = FakeApi(server=[server(status="ERROR")])
    assert ensure_server(api, made)[:2] == (0, "created")
    assert [method for method, *_ in api.asked] == ["DELETE"]


def test_one_that_moved_away_is_made_again(made: Made) -> None:
    made.keep("server", "instance-compute1", "s1")
    api = FakeApi(server=[server(host="compute2")])
    assert ensure_server(api, made)[:2] == (0, "created")


def test_one_rebuilt_from_another_image_is_rebuilt_from_the_labs(made: Made) -> None:
    images = [{"id": "i1", "name": "tiny", "checksum": "a"}, {"id": "i2", "name": "mine", "checksum": "b"}]
    api = FakeApi(server=[server(image={"id": "i2"})], image=images)
    api.fails = {"rebuild"}  # the fake does not change the image, and would be rebuilt for ever
    ensure_server(api, made)
    assert api.asked[0] == ("POST", "/servers/s1/action", {"rebuild": {"imageRef": "i1"}})


@pytest.mark.parametrize("other", [[], [{"id": "i2", "name": "tiny", "checksum": "a"}]])
def test_an_image_that_was_made_again_is_no_reason_to_rebuild(other: list[Any], made: Made) -> None:
    images = [{"id": "i1", "name": "tiny", "checksum": "a"}, *other]
    api = FakeApi(server=[server(image={"id": "i2"})], image=images)
    assert ensure_server(api, made) == (0, "present", "")


def test_a_users_instance_of_the_same_name_is_left_alone(made: Made) -> None:
    made.keep("server", "instance-compute1", "s2")
    api = FakeApi(server=[server("s1", "PAUSED"), server("s2", "SUSPENDED")])
    assert ensure_server(api, made)[1] == "SUSPENDED: resume"
    assert [path for _, path, _ in api.asked] == ["/servers/s2/action"]


def test_a_lost_record_is_made_again_from_the_oldest(made: Made, tmp_path: Path) -> None:
    (tmp_path / "made.json").write_text("damaged")
    again = Made(tmp_path / "made.json")
    api = FakeApi(server=[server("s1", host="compute2"), server("s2"), server("s3", "PAUSED")])
    assert ensure_server(api, again)[1] == "present"
    assert Made(tmp_path / "made.json").id_of("server", "instance-compute1") == "s2"


def test_a_guest_that_went_on_without_a_boot_is_rebooted_at_once(made: Made) -> None:
    api = FakeApi(server=[server(status="SUSPENDED")])
    client = FakeClient(api, **SERVER_ARGS)
    client.console = ["", "TINY: ip=1"]
    ensure = Ensure(client, made, api)
    ensure.run(SERVER)
    code, output, _ = ensure.servers.booted(client, 3600, "^TINY: ip=", "s1")
    assert (code, output.endswith(", rebooted")) == (0, True)
    assert api.asked[-1] == ("POST", "/servers/s1/action", {"reboot": {"type": "HARD"}})


def test_a_guest_that_boots_is_given_its_time(made: Made) -> None:
    api = FakeApi(server=[server()])
    client = FakeClient(api)
    client.console = ["", "", "TINY: ip=1"]
    assert Ensure(client, made, api).servers.booted(client, 3600, "^TINY: ip=", "s1")[0] == 0
    assert api.asked == []


def test_a_guest_that_boots_in_vain_is_rebooted_once(made: Made) -> None:
    api = FakeApi(server=[server(updated="2026-01-01T00:00:00Z")])
    client = FakeClient(api)
    client.console = ["panic"]
    code, _, said = Ensure(client, made, api).servers.booted(client, 60, "^TINY: ip=", "s1")
    assert (code, "in vain; the console:\npanic" in said, len(api.asked)) == (1, True, 1)


def test_nobody_waits_for_a_guest_that_is_at_rest(made: Made) -> None:
    api = FakeApi(server=[server(status="PAUSED")])
    client = FakeClient(api)
    client.console = [""]
    assert Ensure(client, made, api).servers.booted(client, 3600, "^TINY: ip=", "s1")[2] == (
        "the server is PAUSED, which shows nothing"
    )


IMAGE = ["image", "create", "--public", "--file", "F", "--property", "kernel_id=k1", "tiny"]


def image(identifier: str, content: bytes = b"x", **more: Any) -> dict[str, Any]:
    checksum = hashlib.md5(content, usedforsecurity=False).hexdigest()
    found = {"id": identifier, "name": "tiny", "status": "active", "checksum": checksum, "disk_format": "raw"}
    return {**found, "visibility": "public", "owner": OWN, "kernel_id": "k1", **more}


def ensure_image(api: FakeApi, made: Made, tmp_path: Path) -> tuple[FakeClient, str, str]:
    (tmp_path / "F").write_bytes(b"x")
    args = {"name": "tiny", "file": str(tmp_path / "F"), "disk_format": "raw", "properties": {"kernel_id": "k1"}}
    client = FakeClient(api, **args)
    ensure = Ensure(client, made, api)
    code, output, said = ensure.run(list(IMAGE))
    assert code == 0, said
    return client, output, ensure.id


def test_of_two_images_of_a_name_the_labs_is_that_of_its_content(made: Made, tmp_path: Path) -> None:
    api = FakeApi(image=[image("theirs", b"other"), image("ours")])
    client, output, found = ensure_image(api, made, tmp_path)
    assert (output, found, client.ran, api.asked) == ("present", "ours", [], [])


def test_an_image_that_was_made_again_with_other_content_stays_beside_the_labs(made: Made, tmp_path: Path) -> None:
    api = FakeApi(image=[image("theirs", b"other")])
    _, output, found = ensure_image(api, made, tmp_path)
    assert (output, found, len(api.lists["image"])) == ("created", "new", 2)


def test_an_image_of_another_kernel_or_switched_off_is_put_right(made: Made, tmp_path: Path) -> None:
    api = FakeApi(image=[image("ours", kernel_id="gone", visibility="private", status="deactivated")])
    client, output, found = ensure_image(api, made, tmp_path)
    assert client.ran == ["image set --property kernel_id=k1 --public ours"]
    assert (output.partition(",")[0], found) == ("reactivated", "ours")


def test_only_an_upload_of_ones_own_that_was_cut_short_is_deleted(made: Made, tmp_path: Path) -> None:
    api = FakeApi(image=[image("cut", status="queued"), image("theirs", status="queued", owner="x"), image("ours")])
    ensure_image(api, made, tmp_path)
    assert [path for _, path, _ in api.asked] == ["/images/cut"]


FLAVOR = ["flavor", "create", "--id", "0", "--vcpus", "1", "--ram", "128", "--disk", "1", "m1.nano"]
NANO = {"id": "0", "name": "m1.nano", "ram": 128, "vcpus": 1, "disk": 1}


@pytest.mark.parametrize(
    ("flavors", "said", "ran"),
    [
        ([NANO], "present", []),
        ([{**NANO, "id": "7"}], "present", []),
        ([{**NANO, "ram": 64}], "created", [" ".join(FLAVOR)]),
        ([{**NANO, "name": "mine"}], "created", ["flavor create --vcpus 1 --ram 128 --disk 1 m1.nano"]),
    ],
)
def test_a_flavor_of_other_content_is_replaced(flavors: list[Any], said: str, ran: list[str], made: Made) -> None:
    api = FakeApi(flavor=[dict(flavor) for flavor in flavors])
    client = FakeClient(api, name="m1.nano", id="0", ram=128, vcpus=1, disk=1)
    assert Ensure(client, made, api).run(list(FLAVOR))[1] == said
    assert client.ran == ran


@pytest.mark.parametrize(
    ("quota", "ran"),
    [
        ({}, ["quota set --instances 21 --cores 21 admin"]),
        ({"instances": 100}, ["quota set --cores 21 admin"]),
        ({"instances": -1, "cores": 21}, []),
    ],
)
def test_a_quota_is_raised_and_never_lowered(quota: dict[str, int], ran: list[str], made: Made) -> None:
    api = FakeApi()
    api.quota.update(quota)
    client = FakeClient(api, project="admin", instances=21, cores=21, ram=None)
    assert Ensure(client, made, api).run(["quota", "set", "--instances", "21", "--cores", "21", "admin"])[0] == 0
    assert client.ran == ran


NETWORK = {"id": "n1", "name": "provider", "provider:physical_network": "provider", "provider:network_type": "flat"}
NETWORK_ARGS = {
    "name": "provider",
    "share": True,
    "external": True,
    "physical_network": "provider",
    "provider_network_type": "flat",
}


def test_a_network_that_was_made_again_otherwise_is_put_right(made: Made) -> None:
    theirs = {"id": "n2", "name": "provider", "provider:network_type": "vxlan", "project_id": OWN}
    ours = {**NETWORK, "admin_state_up": False, "shared": False, "router:external": True}
    api = FakeApi(network=[theirs, ours])
    ensure = Ensure(FakeClient(api, **NETWORK_ARGS), made, api)
    assert ensure.run(["network", "create", "provider"])[1] == "set admin_state_up True, shared True"
    assert (ensure.id, theirs["name"], len(api.asked)) == ("n1", "provider", 1)


@pytest.mark.parametrize("kind", ["network", "router"])
def test_the_labs_own_under_another_name_gets_its_name_back(kind: str, made: Made) -> None:
    api = FakeApi(**{kind: [{**NETWORK, "name": "mine", "admin_state_up": True, "project_id": OWN}]})
    made.keep(kind, "provider", "n1")
    ensure = Ensure(FakeClient(api, **{**NETWORK_ARGS, "share": False, "external": False}), made, api)
    assert ensure.run([kind, "create", "provider"])[1] == "set name provider"
    assert ensure.id == "n1"


def test_somebodys_network_in_the_labs_place_is_named_with_what_to_do(made: Made) -> None:
    api = FakeApi(network=[{**NETWORK, "name": "public"}])
    code, _, said = Ensure(FakeClient(api, **NETWORK_ARGS), made, api).run(["network", "create", "provider"])
    assert code == 1
    assert "network public (n1) has the physical network provider: `openstack network set --name provider n1`" in said


def test_a_subnet_that_was_made_again_otherwise_is_put_right(made: Made) -> None:
    subnet = {"id": "x1", "name": "mine", "network_id": "n1", "cidr": "203.0.113.0/24", "gateway_ip": None}
    pool = [{"start": "203.0.113.101", "end": "203.0.113.250"}]
    api = FakeApi(subnet=[{**subnet, "id": "x2", "network_id": "n2"}, {**subnet, "enable_dhcp": False}])
    args = {"name": "provider", "network": "n1", "subnet_range": "203.0.113.0/24", "gateway": "203.0.113.1"}
    client = FakeClient(api, **args, allocation_pools=pool)
    assert Ensure(client, made, api).run(["subnet", "create", "provider"])[0] == 0
    wanted = {"name": "provider", "enable_dhcp": True, "gateway_ip": "203.0.113.1", "allocation_pools": pool}
    assert api.asked == [("PUT", "/subnets/x1", {"subnet": wanted})]


def test_a_second_router_of_the_name_is_not_made(made: Made) -> None:
    routers = [{"id": n, "name": "router", "project_id": OWN, "admin_state_up": True} for n in ("r1", "r2")]
    api = FakeApi(router=routers, port=[{"id": "p1", "device_id": "r1", "fixed_ips": [{"subnet_id": "x1"}]}])
    client = FakeClient(api, name="router", router="r1", subnet="x1")
    ensure = Ensure(client, made, api)
    assert ensure.run(["router", "create", "router"])[1] == "present"
    assert (ensure.id, ensure.own("router", "router")) == ("r1", "r1")
    assert ensure.run(["router", "add", "subnet", "r1", "x1"])[1] == "present"
    assert client.ran == []


def test_own_is_the_remembered_one_else_the_oldest_else_the_name(made: Made) -> None:
    api = FakeApi(image=[image("first"), image("second")])
    ensure = Ensure(FakeClient(api), made, api)
    assert ensure.own("image", "tiny") == "first"
    made.keep("image", "tiny", "second")
    assert ensure.own("image", "tiny") == "second"
    assert ensure.own("image", "absent") == "absent"


def test_a_refusal_is_told(made: Made) -> None:
    class Refusing(FakeApi):
        def named(self, kind: str, name: str) -> list[dict[str, Any]]:
            raise ConnectionError(f"no answer about {kind} {name}")

    api = Refusing()
    code, _, said = Ensure(FakeClient(api, **SERVER_ARGS), made, api).run(SERVER)
    assert (code, said) == (1, "ConnectionError: no answer about server instance-compute1")
