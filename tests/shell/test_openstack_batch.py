"""openstack-batch: its language, and what `ensure` mends, against a client that only remembers."""

from __future__ import annotations

import importlib.util
import io
import json
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

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


class FakeCollection:
    """A keystoneclient manager over a list of things."""

    def __init__(self, *things: Any) -> None:
        self.things = list(things)
        self.updated: list[dict[str, Any]] = []

    def list(self, **_filters: Any) -> list[Any]:
        return list(self.things)

    def update(self, thing: Any, **changes: Any) -> Any:
        self.updated.append(changes)
        return thing

    def delete(self, thing: Any) -> None:
        self.things.remove(thing)


class FakeCloud(FakeClient):
    """A client whose Identity service holds one user, one service and the given endpoints."""

    def __init__(self, *endpoints: Any, password: str = "right", enabled: bool = True) -> None:
        super().__init__()
        self._password = password
        self.identity = SimpleNamespace(
            users=FakeCollection(SimpleNamespace(id="u1", enabled=enabled)),
            services=FakeCollection(SimpleNamespace(id="s1")),
            endpoints=FakeCollection(*endpoints),
        )

    def parse(self, words: list[str]) -> Any:
        if words[0] == "user":
            return SimpleNamespace(name=words[-1], password=words[-2])
        return SimpleNamespace(service="compute", interface="public", region="RegionOne", url=words[-1])

    def logs_in(self, user_id: str, password: str) -> bool:
        return user_id == "u1" and password == self._password


@pytest.fixture
def ensure(batch: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run an `ensure` line; the client's exceptions are not installed here."""
    import sys

    for name in ("keystoneauth1", "openstack"):
        module = ModuleType(name)
        module.exceptions = SimpleNamespace(ClientException=KeyError, SDKException=KeyError)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
    return lambda client, text: batch.Ensure(client).run(text.split())


def endpoint(url: str, region: str = "RegionOne", enabled: bool = True) -> Any:
    return SimpleNamespace(url=url, region=region, enabled=enabled)


def test_a_user_whose_password_logs_in_is_left_alone(ensure: Any) -> None:
    client = FakeCloud()
    assert ensure(client, "user create --password right nova") == (0, "present", "")
    assert client.identity.users.updated == []


def test_a_drifted_password_is_set(ensure: Any) -> None:
    client = FakeCloud(password="drifted")
    assert ensure(client, "user create --password right nova") == (0, "set password", "")
    assert client.identity.users.updated == [{"password": "right"}]


def test_a_disabled_user_is_enabled(ensure: Any) -> None:
    client = FakeCloud(enabled=False)
    assert ensure(client, "user create --password right nova") == (0, "set enabled", "")
    assert client.identity.users.updated == [{"enabled": True}]


def test_a_missing_endpoint_is_created_by_the_command_itself(ensure: Any) -> None:
    client = FakeCloud(endpoint("http://other", region="RegionTwo"))
    assert ensure(client, "endpoint create compute public http://controller:8774/v2.1")[1] == "created"
    assert client.asked == ["endpoint create compute public http://controller:8774/v2.1"]


def test_a_changed_url_is_set(ensure: Any) -> None:
    client = FakeCloud(endpoint("http://wrong"))
    assert ensure(client, "endpoint create compute public http://right")[1] == "set url"
    assert client.identity.endpoints.updated == [{"url": "http://right", "enabled": True}]
    assert client.asked == []


def test_of_two_endpoints_one_stays(ensure: Any) -> None:
    client = FakeCloud(endpoint("http://right"), endpoint("http://right"))
    ensure(client, "endpoint create compute public http://right")
    assert len(client.identity.endpoints.things) == 1


def test_ensure_refuses_what_it_does_not_know(ensure: Any) -> None:
    code, _, said = ensure(FakeCloud(), "volume create x")
    assert code == 2
    assert "ensure knows only" in said
