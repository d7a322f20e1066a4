"""openstack-batch: its language, and what `ensure` mends, against a client that only remembers."""

from __future__ import annotations

import importlib.util
import io
import json
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType

PROGRAM = Path(__file__).resolve().parents[2] / "provision/lib/openstack-batch"


@pytest.fixture(scope="session")
def batch() -> ModuleType:
    loader = SourceFileLoader("openstack_batch", str(PROGRAM))
    spec = importlib.util.spec_from_loader("openstack_batch", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["openstack_batch"] = module
    loader.exec_module(module)
    return module


class FakeClient:
    """Answers from a table of command → (exit code, output, said), and remembers what was asked."""

    def __init__(self, answers: dict[str, tuple[int, str, str]] | None = None) -> None:
        self.answers = answers or {}
        self.asked: list[str] = []

    def run(self, words: list[str]) -> tuple[int, str, str]:
        command = " ".join(words)
        self.asked.append(command)
        return self.answers.get(command, (0, "", ""))


def run(batch: ModuleType, monkeypatch: pytest.MonkeyPatch, client: FakeClient, text: str) -> int:
    monkeypatch.setattr(batch, "Client", lambda: client)
    monkeypatch.setattr(batch, "POLL_S", 0)
    return int(batch.run_batch(batch.read_lines(text)))


def test_comments_and_blank_lines_are_skipped_and_numbers_stay(batch: ModuleType) -> None:
    lines = batch.read_lines("# one\n\n  token issue\n")
    assert [(line.number, line.command) for line in lines] == [(3, ["token", "issue"])]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ensure", "line 1: no command"),
        ("a || b || c", "line 1: expected GUARD || COMMAND"),
        ("|| b", "line 1: expected GUARD || COMMAND"),
        ("a ||", "line 1: no command"),
        ("let x y", "line 1: expected let NAME = COMMAND"),
        ("let 1x = y z", "line 1: expected let NAME = COMMAND"),
        ("await soon x y", "line 1: expected await SECONDS REGEX COMMAND"),
        ("user create 'open", "line 1: No closing quotation"),
    ],
)
def test_a_line_it_does_not_read_is_named(batch: ModuleType, text: str, expected: str) -> None:
    with pytest.raises(batch.BatchError, match=expected.replace("|", r"\|")):
        batch.read_lines(text)


@pytest.mark.parametrize("text", ["user create --password s3cret nova", "user create --password=s3cret nova"])
def test_a_password_is_shown_as_stars(batch: ModuleType, text: str) -> None:
    (line,) = batch.read_lines(f"ensure {text}")
    assert "s3cret" not in str(line)
    assert "****" in str(line)
    assert str(line).endswith(" nova")


def test_no_password_is_printed_when_a_line_fails(
    batch: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = FakeClient({"user set --password s3cret nova": (1, "", "not allowed")})
    assert run(batch, monkeypatch, client, "user set --password s3cret nova\n") == 1
    printed = capsys.readouterr()
    assert "s3cret" not in printed.out + printed.err
    assert "line 1: exit code 1: user set --password **** nova" in printed.err
    assert "not allowed" in printed.err


def test_the_first_failure_ends_the_run_with_its_code(batch: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient({"b": (4, "", "")})
    assert run(batch, monkeypatch, client, "a\nb\nc\n") == 4
    assert client.asked == ["a", "b"]


def test_a_guard_that_holds_spares_the_command(batch: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient({"absent": (1, "", "no such thing")})
    assert run(batch, monkeypatch, client, "there || make one\nabsent || make two\n") == 0
    assert client.asked == ["there", "absent", "make two"]


def test_let_puts_an_answer_into_later_lines(batch: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient({"image show k": (0, "1234\n", "")})
    assert run(batch, monkeypatch, client, "let kernel = image show k\ncreate --property kernel_id={kernel}\n") == 0
    assert client.asked[-1] == "create --property kernel_id=1234"


@pytest.mark.parametrize("answer", ["", "one\ntwo\n"])
def test_let_wants_one_line(batch: ModuleType, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    assert run(batch, monkeypatch, FakeClient({"show k": (0, answer, "")}), "let k = show k\nnext\n") == 1


def test_await_ends_at_its_limit_and_says_what_it_saw(
    batch: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = FakeClient({"server show x": (0, "BUILD\n", "")})
    assert run(batch, monkeypatch, client, "await 0 ACTIVE server show x\n") == 1
    assert "in vain; the last answer:\n    BUILD" in capsys.readouterr().err


def test_await_ends_at_once_on_error(batch: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient({"server show x": (0, "ERROR\n", "")})
    assert run(batch, monkeypatch, client, "await 3600 ACTIVE server show x\n") == 1
    assert client.asked == ["server show x"]


def test_json_keys_are_the_lines_and_a_failure_is_a_value(
    batch: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = FakeClient(
        {"flavor list -f json": (0, '[{"Name": "m1.nano"}]', ""), "image list -f json": (1, "", "503 from glance")}
    )
    monkeypatch.setattr(batch, "Client", lambda: client)
    assert batch.run_json(batch.read_lines("flavor list\nimage list\n")) == 1
    assert json.loads(capsys.readouterr().out) == {
        "flavor list": [{"Name": "m1.nano"}],
        "image list": {"error": "503 from glance", "exit_code": 1},
    }


def test_the_login_of_openrc_is_taken_only_when_there_is_none(
    batch: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import os

    openrc = tmp_path / "admin-openrc"
    openrc.write_text("export OS_AUTH_URL=http://controller:5000/v3\nexport OS_PASSWORD='a b'\n")
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OS_PASSWORD", "")
    batch.load_openrc(openrc)
    assert os.environ["OS_PASSWORD"] == "a b"
    monkeypatch.setenv("OS_PASSWORD", "mine")
    batch.load_openrc(openrc)
    assert os.environ["OS_PASSWORD"] == "mine"
    monkeypatch.delenv("OS_AUTH_URL")


def test_a_wrong_option_is_a_usage_error(batch: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert batch.main(["--yaml"]) == 2
    assert "openstack-batch" in capsys.readouterr().err


def test_text_it_does_not_read_runs_nothing(
    batch: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("token issue\nlet x\n"))
    assert batch.main([]) == 2
    assert "line 2" in capsys.readouterr().err


class FakeIdentity:
    """The Identity API as lists of things; remembers every request that changes something."""

    def __init__(self, **lists: list[dict[str, Any]]) -> None:
        self.lists = lists
        self.changes: list[tuple[str, str, Any]] = []
        self.password = "right"

    def find(self, kind: str, **_filters: str) -> list[dict[str, Any]]:
        return list(self.lists.get(kind, []))

    def named(self, kind: str, name: str, **filters: str) -> dict[str, Any]:
        found = self.find(kind, name=name, **filters)
        if not found:
            raise LookupError(f"no {kind} named {name}")
        return found[0]

    def ask(self, method: str, path: str, body: Any = None) -> None:
        self.changes.append((method, path, body))

    def logs_in(self, user_id: str, password: str) -> bool:
        return user_id == "u1" and password == self.password


def ensure(batch: ModuleType, identity: FakeIdentity, text: str) -> tuple[int, str, str]:
    form = batch.EnsureIdentity()
    form._identity = identity
    result: tuple[int, str, str] = form.run(text.split())
    return result


USER = "user create --domain default --password right nova"
ENDPOINT = "endpoint create --region RegionOne compute public http://right"


def test_a_missing_user_is_created(batch: ModuleType) -> None:
    identity = FakeIdentity()
    assert ensure(batch, identity, USER) == (0, "created", "")
    assert identity.changes == [
        ("POST", "users", {"user": {"name": "nova", "domain_id": "default", "password": "right"}})
    ]


def test_a_user_whose_password_logs_in_is_left_alone(batch: ModuleType) -> None:
    identity = FakeIdentity(users=[{"id": "u1", "enabled": True}])
    assert ensure(batch, identity, USER) == (0, "present", "")
    assert identity.changes == []


def test_a_drifted_password_is_set(batch: ModuleType) -> None:
    identity = FakeIdentity(users=[{"id": "u1", "enabled": True}])
    identity.password = "drifted"
    assert ensure(batch, identity, USER) == (0, "set password", "")
    assert identity.changes == [("PATCH", "users/u1", {"user": {"password": "right"}})]


def test_a_disabled_user_is_enabled(batch: ModuleType) -> None:
    identity = FakeIdentity(users=[{"id": "u1", "enabled": False}])
    assert ensure(batch, identity, USER) == (0, "set enabled", "")


def test_a_role_is_granted_once(batch: ModuleType) -> None:
    things = {"roles": [{"id": "r1"}], "users": [{"id": "u1"}], "projects": [{"id": "p1"}]}
    identity = FakeIdentity(**things)
    assert ensure(batch, identity, "role add --project service --user nova admin")[1] == "created"
    assert identity.changes == [("PUT", "projects/p1/users/u1/roles/r1", None)]
    identity = FakeIdentity(**things, role_assignments=[{}])
    assert ensure(batch, identity, "role add --project service --user nova admin")[1] == "present"
    assert identity.changes == []


def test_a_role_for_nobody_is_an_error(batch: ModuleType) -> None:
    code, _, said = ensure(batch, FakeIdentity(roles=[{"id": "r1"}]), "role add --project service --user nova admin")
    assert (code, "no users named nova" in said) == (1, True)


def test_a_service_with_another_description_is_mended(batch: ModuleType) -> None:
    service = {"id": "s1", "name": "nova", "type": "compute", "description": "x", "enabled": True}
    identity = FakeIdentity(services=[service])
    assert ensure(batch, identity, "service create --name nova --description y compute")[1] == "set"
    assert ensure(batch, identity, "service create --name nova --description x compute")[1] == "present"


def test_a_missing_endpoint_is_created(batch: ModuleType) -> None:
    identity = FakeIdentity(services=[{"id": "s1"}])
    assert ensure(batch, identity, ENDPOINT)[1] == "created"
    wanted = {
        "service_id": "s1",
        "interface": "public",
        "region_id": "RegionOne",
        "url": "http://right",
        "enabled": True,
    }
    assert identity.changes == [("POST", "endpoints", {"endpoint": wanted})]


def test_a_changed_url_is_set(batch: ModuleType) -> None:
    identity = FakeIdentity(services=[{"id": "s1"}], endpoints=[{"id": "e1", "url": "http://wrong", "enabled": True}])
    assert ensure(batch, identity, ENDPOINT)[1] == "set"
    assert identity.changes == [("PATCH", "endpoints/e1", {"endpoint": {"url": "http://right", "enabled": True}})]


def test_of_two_endpoints_one_stays(batch: ModuleType) -> None:
    two = [{"id": name, "url": "http://right", "enabled": True} for name in ("e1", "e2")]
    identity = FakeIdentity(services=[{"id": "s1"}], endpoints=two)
    assert ensure(batch, identity, ENDPOINT)[1] == "removed a second one"
    assert identity.changes == [("DELETE", "endpoints/e2", None)]


def test_arguments_that_the_guide_does_not_have_are_refused(batch: ModuleType) -> None:
    code, _, said = ensure(batch, FakeIdentity(), "user create --email x@y nova")
    assert code == 2
    assert "expected user create --domain --password name" in said


def test_ensure_refuses_what_it_does_not_know(batch: ModuleType) -> None:
    code, _, said = batch.Ensure(FakeClient()).run(["volume", "create", "x"])
    assert code == 2
    assert "ensure knows only" in said
