"""The program of a node and the wire to it, with this machine as the node."""

from __future__ import annotations

import queue
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from infra_fakes import load_suite

from lab.base.resources import PROVISION
from lab.verification import node as program
from lab.verification import wire as wires
from lab.verification.outcome import CannotTell, Unreachable
from lab.verification.rounds import LabBackend, Rounds
from lab.verification.waiting import Waiting
from lab.verification.wire import Answer, Question, SshWire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lab.verification.wire import Arrived

    Ask = Callable[..., Answer | CannotTell]


class Asker:
    """One node; `python` takes the place of ssh."""

    def __init__(self, *argv: str, limit_s: float = 200.0) -> None:
        self.arrived: queue.SimpleQueue[Arrived] = queue.SimpleQueue()
        words = argv or (sys.executable, "-I", "-S", "-c", wires._LOADER)
        self.wire = SshWire("controller", words, ["NOVA_PASS", "GLANCE_PASS"], limit_s, self.arrived)

    def ask(self, *commands: str, secrets: tuple[str, ...] = ()) -> list[Answer | CannotTell]:
        """Ask a round, and give the answers in the order of the commands."""
        questions = [Question(command, secrets) for command in commands]
        self.wire.send(questions)
        found = {}
        for _ in commands:
            _, question, answer = self.arrived.get(timeout=300)
            found[question] = answer
        return [found[question] for question in questions]

    def one(self, command: str, **how: object) -> Answer:
        """Ask one thing."""
        answer = self.ask(command, **how)[0]  # type: ignore[arg-type]
        assert isinstance(answer, Answer)
        return answer


@pytest.fixture
def node() -> Iterator[Asker]:
    asker = Asker()
    yield asker
    asker.wire.close()


def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    """Put programs first on the PATH of a node's commands, and its environment into a file."""
    for name, script in scripts.items():
        path = tmp_path / name.replace("_", "-")
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)
    text = program_text().replace('PATH="/usr/sbin', f'PATH="{tmp_path}:/usr/sbin')
    text = text.replace('ENV = "/opt/lab/env"', f'ENV = "{tmp_path / "env"}"')
    here = tmp_path / "programs"
    here.mkdir()
    (here / "node.py").write_text(text)
    for name in ("tools.py", "console_tokens.py"):
        (here / name).write_text((wires._DIRECTORY / name).read_text())
    monkeypatch.setattr(wires, "_DIRECTORY", here)


def program_text() -> str:
    return (wires._DIRECTORY / "node.py").read_text()


def test_a_command_gets_the_secrets_that_it_names_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: Asker
) -> None:
    (tmp_path / "env").write_text("NOVA_PASS='a b'\nGLANCE_PASS=other\nMY_IP=10.0.0.11\n")
    programs(tmp_path, monkeypatch)
    script = 'echo "$NOVA_PASS|${GLANCE_PASS-unset}|$MY_IP"'
    assert node.one(script, secrets=("NOVA_PASS",)) == Answer(0, "a b|unset|10.0.0.11\n", "")


def test_a_command_that_hangs_is_ended_with_its_children() -> None:
    asker = Asker(limit_s=0.3)
    before = time.monotonic()
    answer = asker.one("sleep 600 & sleep 600; true")
    assert answer.rc == 124
    assert "no answer in" in answer.stderr
    assert time.monotonic() - before < 300
    asker.wire.close()


def test_one_bad_question_leaves_the_others_alone(node: Asker) -> None:
    bad, good, unknown = node.ask("@log {}", "test -d /", "no-such-program -x")
    assert isinstance(bad, Answer)
    assert bad.rc == 125
    assert "TypeError" in bad.stderr
    assert good == Answer(0, "", "")
    assert isinstance(unknown, Answer)
    assert unknown.rc == 127
    assert "not found" in unknown.stderr


def test_an_output_without_end_is_cut(node: Asker) -> None:
    assert len(node.one("yes; true").stdout) == program.LIMIT


def test_what_runs_ends_with_the_connection(tmp_path: Path) -> None:
    asker = Asker()
    mark = tmp_path / "pid"
    asker.wire.send([Question(f"echo $$ >{mark}; sleep 600; true")])
    until(lambda: mark.exists() and mark.read_text() != "")
    process = Path("/proc") / mark.read_text().strip()
    assert process.exists()
    asker.wire.close()
    until(lambda: not process.exists() or " Z " in (process / "stat").read_text())


def until(holds: Callable[[], bool]) -> None:
    """Wait, for a while, until something holds."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_some_slow_commands_do_not_hold_up_the_others(node: Asker) -> None:
    node.wire.send([Question(f"sleep 600; echo {number}") for number in range(program.JOBS - 1)])
    before = time.monotonic()
    assert node.one("echo cheap").stdout == "cheap\n"
    assert time.monotonic() - before < 300


def test_files_are_told_as_stat_cat_and_test_do(node: Asker, tmp_path: Path) -> None:
    path = tmp_path / "nova conf"
    path.write_text("[DEFAULT]\n")
    path.chmod(0o640)
    quoted = f"'{path}'"
    answers = node.ask(f"stat -Lc %a {quoted}", f"stat -Lc %U {quoted}", f"cat -- {quoted}", f"stat -Lc %s {quoted}")
    assert [answer.stdout for answer in answers if isinstance(answer, Answer)][::2] == ["640\n", "[DEFAULT]\n"]
    assert answers[3] == Answer(0, "10\n", "")
    missing, directory, no = node.ask("cat -- /no/such", "test -d /", "test -f /")
    assert isinstance(missing, Answer)
    assert (missing.rc, missing.stderr) == (1, "/no/such: No such file or directory")
    assert [answer.rc for answer in (directory, no) if isinstance(answer, Answer)] == [0, 1]


def test_the_client_is_loaded_once_for_a_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: Asker) -> None:
    fake = f"""\"\"\"
import json, sys
open({str(tmp_path / "loads")!r}, 'a').write('load ')
commands = json.load(sys.stdin)
if commands == ['die']:
    sys.exit(3)
print('noise')
print(json.dumps([[0, command, ''] for command in commands]))
\"\"\""""
    programs(tmp_path, monkeypatch)
    text = program_text()
    start, end = text.index('OPENSTACK = """'), text.index('"""\n"""does a list')
    (wires._DIRECTORY / "node.py").write_text(text[:start] + "OPENSTACK = " + fake + text[end + 3 :])
    one, two = node.ask("openstack server list -f json", "openstack image list -f json")
    assert (one, two) == (Answer(0, "server list -f json", ""), Answer(0, "image list -f json", ""))
    assert (tmp_path / "loads").read_text() == "load "
    assert node.one("openstack die") == Answer(3, "", "the client ended with exit code 3")
    assert node.one("openstack flavor list").stdout == "flavor list"
    assert node.one("openstack flavor list 2>&1 | cat").rc == 0  # bash, and whatever is there


def test_each_command_for_the_client_has_an_answer_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: Asker
) -> None:
    """With the lab's own library, on a machine without a service."""
    (tmp_path / "env").write_text("OS_AUTH_URL=http://127.0.0.1:1/v3\n")
    programs(tmp_path, monkeypatch)
    changed = program_text().replace("/opt/lab/lib", str(PROVISION / "lib"))
    (wires._DIRECTORY / "node.py").write_text(changed)
    one, two = node.ask("openstack server list -f json", "openstack 'image list")
    assert isinstance(one, Answer)
    assert isinstance(two, Answer)
    assert (one.rc, two.rc) == (1, 1)
    assert one.stderr
    assert "No closing quotation" in two.stderr


def test_the_grants_of_all_accounts_take_two_clients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: Asker
) -> None:
    load_suite()
    command = sys.modules["infra.test_databases"].GRANTS
    accounts = """echo "SHOW GRANTS FOR 'nova'@'%';\""""
    programs(tmp_path, monkeypatch, mariadb=f'case "$*" in *QUOTE*) {accounts};; *) echo "$*: $(cat)";; esac')
    assert node.one(command) == Answer(0, "-NBr --force: SHOW GRANTS FOR 'nova'@'%';\n")
    (tmp_path / "mariadb").write_text("#!/bin/sh\ncat; case $* in *QUOTE*) echo gone >&2; exit 1;; esac\n")
    assert node.one(command + " ") == Answer(1, "", "gone\n")


def test_the_clock_is_told_within_bounds(node: Asker) -> None:
    low, high = map(float, node.one("@now").stdout.strip("[]").split(","))
    assert low <= 0 <= high
    assert node.one("@now") != node.one("@now")


def test_a_node_that_is_away_is_told_in_the_words_of_ssh() -> None:
    away = Asker("sh", "-c", "echo 'ssh: connect to host 10.0.0.31 port 22: No route to host' >&2; exit 255")
    first = away.ask("true")[0]
    assert isinstance(first, Unreachable)
    assert str(first) == "ssh: connect to host 10.0.0.31 port 22: No route to host"
    assert isinstance(away.ask("uptime")[0], Unreachable)
    away.wire.close()
    broken = Asker("sh", "-c", "echo 'sudo: python3: command not found' >&2; exit 1")
    said = broken.ask("true")[0]
    assert isinstance(said, CannotTell)
    assert not isinstance(said, Unreachable)
    broken.wire.close()
    assert "exit code 1: sudo: python3: command not found" in str(said)


def test_testinfra_asks_in_rounds(node: Asker) -> None:
    rounds = Rounds({"controller": node.wire}, node.arrived)
    machine = LabBackend("controller", rounds).host
    seen: list[str] = []

    def look() -> bool:
        seen.append(f"{machine.file('/etc/passwd').user} {machine.file('/etc/passwd').mode:o}")
        assert machine.check_output("echo %s", "it's") == "it's"
        return False

    Waiting(rounds, {"look": look}).wait_for(["look"])
    assert seen[-1] == "root 644"
    assert rounds.count == 4  # the system, the user, the mode, the echo
    look()


def test_an_answer_that_nobody_waits_for_is_no_silence() -> None:
    arrived: queue.SimpleQueue[Arrived] = queue.SimpleQueue()

    class Slow:
        def send(self, questions: Sequence[Question]) -> None:
            """Answer the first at once, and the others after a while."""
            first, *others = [("controller", question, Answer(0, question.command, "")) for question in questions]
            arrived.put(first)
            for answer in others:
                threading.Timer(0.3, arrived.put, [answer]).start()

        def close(self) -> None:
            """Nothing to do."""

    rounds = Rounds({"controller": Slow()}, arrived)
    machine = LabBackend("controller", rounds).host

    def look() -> bool:
        machine.backend.run("begun", hurry=False)
        return bool(machine.run("waited for").stdout != "waited for")

    Waiting(rounds, {"look": look}).wait_for(["look"])
    assert not look()


def test_a_node_that_is_away_is_told_to_each_test_by_an_exception_of_its_own() -> None:
    away = Asker("sh", "-c", "echo no route >&2; exit 255")
    rounds = Rounds({"controller": away.wire}, away.arrived)
    machine, met = LabBackend("controller", rounds).host, []
    for _ in range(2):
        with pytest.raises(Unreachable, match="no route") as caught:
            machine.run("true")
        met.append(caught.value)
    assert met[0] is not met[1]
    rounds.close()
