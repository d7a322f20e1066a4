"""openstack-batch: its language and how it runs, against a client that only remembers."""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from openstack_batch import client, limits
from openstack_batch import run as program
from openstack_batch.client import Client
from openstack_batch.language import BatchError, read_lines

PROGRAM = Path(__file__).resolve().parents[2] / "provision/lib/openstack-batch"


class FakeClient:
    """Answers from a table of command → (exit code, output, said), and remembers what was asked."""

    refusals = (ConnectionError,)

    def __init__(self, answers: dict[str, tuple[int, str, str]] | None = None) -> None:
        self.answers = answers or {}
        self.asked: list[str] = []

    def run(self, words: list[str]) -> tuple[int, str, str]:
        command = " ".join(words)
        self.asked.append(command)
        return self.answers.get(command, (0, "", ""))


def run(monkeypatch: pytest.MonkeyPatch, client: FakeClient, text: str) -> int:
    monkeypatch.setattr(program, "Client", lambda **_: client)
    monkeypatch.setattr(limits, "POLL_S", 0)
    return program.run_batch(read_lines(text))


class FakeCommand:
    def __init__(self, *_: object, **__: object) -> None:
        pass

    def get_parser(self, _name: str) -> argparse.ArgumentParser:
        return argparse.ArgumentParser()


class FakeShell:
    """OpenStackShell, which knows the login only when it has prepared for a command."""

    command_manager = SimpleNamespace(find_command=lambda words: (FakeCommand, " ".join(words), []))
    parser = argparse.ArgumentParser()

    def __init__(self) -> None:
        self.client_manager = SimpleNamespace()

    def configure_logging(self) -> None: ...

    def initialize_app(self, _argv: list[str]) -> None: ...

    def prepare_to_run_command(self, _command: object) -> None:
        self.client_manager = SimpleNamespace(sdk_connection="sdk", auth_ref=SimpleNamespace(project_id="p1"))


def test_the_services_are_asked_before_any_command_was_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openstackclient", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "openstackclient.shell", SimpleNamespace(OpenStackShell=FakeShell))
    assert (Client().sdk, Client().project_id) == ("sdk", "p1")


def test_who_only_asks_gives_a_silent_service_up_once() -> None:
    asked: list[tuple[str, object]] = []

    def answer(_method: str, url: str, **how: object) -> str:
        asked.append((url, how.get("timeout")))
        if ":9696" in url:
            raise TimeoutError("read timed out")
        if ":8776" in url:
            raise ConnectionResetError("reset by peer")
        return "answer"

    session = SimpleNamespace(request=answer)
    client.give_up_silent(session, 20, TimeoutError)
    client.give_up_silent(session, 99, TimeoutError)  # once for all commands
    for path in ("networks", "subnets", "agents"):
        with pytest.raises(TimeoutError):
            session.request("GET", f"http://controller:9696/v2.0/{path}")
    assert session.request("GET", "http://controller:8774/v2.1/servers", timeout=5) == "answer"
    assert asked == [("http://controller:9696/v2.0/networks", 20), ("http://controller:8774/v2.1/servers", 5)]
    for _ in range(2):  # a connection that was lost says nothing about the next one
        with pytest.raises(ConnectionResetError):
            session.request("GET", "http://controller:8776/v3")
    assert len(asked) == 4


@pytest.mark.parametrize(("patient", "limits"), [(False, [20.0]), (True, [])])
def test_only_who_asks_does_not_wait_for_long(
    monkeypatch: pytest.MonkeyPatch, patient: bool, limits: list[float]
) -> None:
    class Shell(FakeShell):
        def prepare_to_run_command(self, _command: object) -> None:
            self.client_manager = SimpleNamespace(session=SimpleNamespace(session="http"), sdk_connection="sdk")

    seen: list[float] = []
    monkeypatch.setitem(sys.modules, "openstackclient", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "openstackclient.shell", SimpleNamespace(OpenStackShell=Shell))
    monkeypatch.setitem(sys.modules, "requests", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "requests.exceptions", SimpleNamespace(Timeout=TimeoutError))
    monkeypatch.setattr(client, "_wait_for_connections", lambda: None)
    monkeypatch.setattr(
        client, "give_up_silent", lambda http, limit_s, _: seen.append(limit_s) if http == "http" else None
    )
    monkeypatch.setattr(client, "ANSWER_S", 10)
    monkeypatch.setenv("LAB_WAIT_FACTOR", "2")
    assert Client(patient=patient).sdk == "sdk"
    assert seen == limits


@pytest.mark.parametrize("patient", [True, False])
def test_a_service_that_starts_again_is_waited_for_only_by_a_patient_client(
    monkeypatch: pytest.MonkeyPatch, patient: bool
) -> None:
    class Adapter(SimpleNamespace): ...

    session = SimpleNamespace(TCPKeepAliveAdapter=Adapter)
    monkeypatch.setitem(sys.modules, "openstackclient", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "openstackclient.shell", SimpleNamespace(OpenStackShell=FakeShell))
    monkeypatch.setitem(sys.modules, "keystoneauth1", SimpleNamespace(session=session))
    monkeypatch.setitem(sys.modules, "urllib3", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "urllib3.util", SimpleNamespace(Retry=SimpleNamespace))
    monkeypatch.setenv("LAB_WAIT_FACTOR", "4")
    assert Client(patient=patient).sdk == "sdk"
    adapter = session.TCPKeepAliveAdapter()
    if not patient:
        assert not hasattr(adapter, "max_retries")
        return
    retries = adapter.max_retries
    assert retries.connect * retries.get_backoff_time() == client.RESTART_S * 4
    # What was sent, and may be done already, is not sent again.
    assert retries.allowed_methods == {"GET", "HEAD"}


def test_comments_and_blank_lines_are_skipped_and_numbers_stay() -> None:
    lines = read_lines("# one\n\n  token issue\n")
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
        ("booted 60 x", "line 1: expected booted SECONDS REGEX SERVER"),
        ("let x = ensure", "line 1: no command"),
        ("user create 'open", "line 1: No closing quotation"),
    ],
)
def test_a_line_it_does_not_read_is_named(text: str, expected: str) -> None:
    with pytest.raises(BatchError, match=expected.replace("|", r"\|")):
        read_lines(text)


def test_repair_is_an_ensure_that_paper_leaves_out() -> None:
    ensured, repaired = (
        read_lines(f"{form} endpoint create identity public http://x")[0] for form in ("ensure", "repair")
    )
    assert repaired == ensured.__class__(**{**vars(ensured), "text": repaired.text})
    assert str(repaired) == str(ensured)


@pytest.mark.parametrize("text", ["user create --password s3cret nova", "user create --password=s3cret nova"])
def test_a_password_is_shown_as_stars(text: str) -> None:
    (line,) = read_lines(f"ensure {text}")
    assert "s3cret" not in str(line)
    assert "***" in str(line)
    assert str(line).endswith(" nova")


def test_no_password_is_printed_when_a_line_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = FakeClient({"user set --password s3cret nova": (1, "", "not allowed")})
    assert run(monkeypatch, client, "user set --password s3cret nova\n") == 1
    printed = capsys.readouterr()
    assert "s3cret" not in printed.out + printed.err
    assert "line 1: exit code 1: user set --password *** nova" in printed.err
    assert "not allowed" in printed.err


def test_the_first_failure_ends_the_run_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient({"b": (4, "", "")})
    assert run(monkeypatch, client, "a\nb\nc\n") == 4
    assert client.asked == ["a", "b"]


def test_a_guard_that_holds_spares_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient({"absent": (1, "", "no such thing")})
    assert run(monkeypatch, client, "there || make one\nabsent || make two\n") == 0
    assert client.asked == ["there", "absent", "make two"]


def test_let_puts_an_answer_into_later_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient({"image show k": (0, "1234\n", "")})
    assert run(monkeypatch, client, "let kernel = image show k\ncreate --property kernel_id={kernel}\n") == 0
    assert client.asked[-1] == "create --property kernel_id=1234"


class FakeEnsure:
    """Makes all true at once; knows the ids of servers, and of nothing else."""

    id = "77"

    def __init__(self, _client: object) -> None:
        self.servers = self
        self.asked: list[list[str]] = []

    def run(self, words: list[str]) -> tuple[int, str, str]:
        self.asked.append(words)
        return 0, "present", ""

    def own(self, kind: str, name: str) -> str:
        if kind != "server":
            raise ConnectionError(f"no answer about {kind} {name}")
        return f"id-of-{name}"

    def booted(self, _client: object, seconds: int, pattern: str, server: str) -> tuple[int, str, str]:
        return (0, "", "") if (seconds, pattern, server) == (60, "^OK", "id-of-vm1") else (1, "", "")


def test_let_takes_the_id_of_what_ensure_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "Ensure", FakeEnsure)
    client = FakeClient()
    assert run(monkeypatch, client, "let k = ensure image create tiny\nimage set --property kernel_id={k} x\n") == 0
    assert client.asked == ["image set --property kernel_id=77 x"]


def test_a_kind_and_a_name_in_braces_are_the_labs_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "Ensure", FakeEnsure)
    client = FakeClient()
    text = "console log show {server:vm1}\nbooted 60 ^OK {server:vm1}\nserver list --name {x}\n"
    assert run(monkeypatch, client, text) == 0
    assert client.asked == ["console log show id-of-vm1", "server list --name {x}"]
    assert "$ openstack console log show '{server:vm1}'\n" in capsys.readouterr().out
    assert run(monkeypatch, client, "image show {image:tiny}\n") == 1
    assert "no answer about image tiny" in capsys.readouterr().err


@pytest.mark.parametrize("answer", ["", "one\ntwo\n"])
def test_let_wants_one_line(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    assert run(monkeypatch, FakeClient({"show k": (0, answer, "")}), "let k = show k\nnext\n") == 1


def test_await_ends_at_its_limit_and_says_what_it_saw(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = FakeClient({"server show x": (0, "BUILD\n", "")})
    assert run(monkeypatch, client, "await 0 ACTIVE server show x\n") == 1
    assert "in vain; the last answer:\n    BUILD" in capsys.readouterr().err


def test_await_ends_at_once_on_error(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient({"server show x": (0, "ERROR\n", "")})
    assert run(monkeypatch, client, "await 3600 ACTIVE server show x\n") == 1
    assert client.asked == ["server show x"]


def test_json_keys_are_the_lines_and_a_failure_is_a_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = FakeClient(
        {"flavor list -f json": (0, '[{"Name": "m1.nano"}]', ""), "image list -f json": (1, "", "503 from glance")}
    )
    monkeypatch.setattr(program, "Client", lambda **_: client)
    assert program.run_json(read_lines("flavor list\nimage list\n")) == 1
    assert json.loads(capsys.readouterr().out) == {
        "flavor list": [{"Name": "m1.nano"}],
        "image list": {"error": "503 from glance", "exit_code": 1},
    }


def test_the_login_of_openrc_is_taken_only_when_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    openrc = tmp_path / "admin-openrc"
    openrc.write_text("export OS_AUTH_URL=http://controller:5000/v3\nexport OS_PASSWORD='a b'\n")
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OS_PASSWORD", "")
    program.load_openrc(openrc)
    assert os.environ["OS_PASSWORD"] == "a b"
    monkeypatch.setenv("OS_PASSWORD", "mine")
    program.load_openrc(openrc)
    assert os.environ["OS_PASSWORD"] == "mine"
    monkeypatch.delenv("OS_AUTH_URL")


def test_a_wrong_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--yaml"], usage="openstack-batch <<EOF") == 2
    assert "openstack-batch <<EOF" in capsys.readouterr().err


def test_text_it_does_not_read_runs_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("token issue\nlet x\n"))
    assert program.main([], usage="") == 2
    assert "line 2" in capsys.readouterr().err


def test_the_command_starts_from_anywhere_with_the_standard_library_alone(tmp_path: Path) -> None:
    asked = [sys.executable, "-S", str(PROGRAM), "--help"]
    done = subprocess.run(asked, cwd=tmp_path, input="", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "openstack-batch <<EOF" in done.stderr
