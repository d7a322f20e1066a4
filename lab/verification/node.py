"""Runs on a node, as root, with nothing but Python's standard library: does commands, two of a kind at a time.

lab.verification.wire sends this file and tools.py as text; both keep to the Python of Debian 11 (3.9). Each line of
stdin is a round, a JSON list of commands; each line of stdout is the answer to one, as soon as it is there:

    {"id": 7, "command": "ss -ltn", "secrets": names, "limit": seconds, "lane": "cheap" | "slow"}
    {"id": 7, "rc": 0, "stdout": "…", "stderr": "…"}

`openstack …` goes to one process of the client, loaded once; `@NAME JSON` to a tool of tools.py. The values of secrets
come from /opt/lab/env on the node, and a command gets in its environment those that it names, no other. When stdin
ends, so does everything that runs.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import queue
import re
import shlex
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from typing import IO, Any, Callable  # noqa: UP035 - Python 3.9

from lab.verification.tools import TOOLS

LIMIT = 400_000
"""characters kept of an output, so that a runaway command cannot fill the reader's memory"""
SAID_LIMIT = 4000
"""characters kept of what a command says on stderr: the last"""
ENV = "/opt/lab/env"
WORKERS = {"cheap": 2, "slow": 2, "openstack": 1}
"""a kind of command does not wait for another kind"""
PLAIN = re.compile(r"[\w@%+:,./ -]+(=[\w@%+:,./ =-]*)?")
"""what a command holds, beside words in '', that needs no shell"""
OPENSTACK = """
import json, sys
sys.path.insert(0, "/opt/lab/lib")
from openstack_batch.client import Client
from openstack_batch.ensure import Ensure
from openstack_batch.language import BatchError, read_lines
from openstack_batch.run import OPENRC, load_openrc, run_line
client = Client()
ensure = Ensure(client)
for text in sys.stdin:
    try:
        load_openrc(OPENRC)
        answer = run_line(read_lines(json.loads(text))[0], client, ensure, {})
    except (BatchError, OSError) as error:
        answer = 1, "", str(error)
    print("@" + json.dumps(answer), flush=True)
"""
"""answers one command of the client a line; the client is loaded by the first"""

Answer = tuple[int, str, str]
"""exit code, stdout, stderr"""


def environment(path: str) -> dict[str, str]:
    """Give the process environment with the NAME=VALUE lines of a file added; a shell would take 100 ms to say so."""
    env = dict(os.environ, LC_ALL="C.UTF-8", PATH="/usr/sbin:/usr/bin:/sbin:/bin")
    if path and os.path.exists(path):
        with open(path, encoding="utf-8") as stream:
            words = shlex.split(stream.read(), comments=True)
        env.update((word.partition("=")[0], word.partition("=")[2]) for word in words if "=" in word)
    return env


def argv(command: str) -> list[str]:
    """Give the words of a command that needs no shell; bash with a script else."""
    if PLAIN.fullmatch(re.sub(r"'[^']*'", "", command)) and "=" not in command.split(" ")[0]:
        return shlex.split(command)
    return ["bash", "-c", command]


def last(said: IO[bytes]) -> str:
    """Give the end of what was written to a file."""
    said.seek(max(0, said.seek(0, os.SEEK_END) - SAID_LIMIT))
    return said.read().decode("utf-8", "replace")


def for_client(command: str) -> bool:
    """Tell whether a command is one of `openstack` alone, for which no shell has anything to do."""
    return command.startswith("openstack ") and not re.search(r"[|&;<>$`\\\n]", command)


def start(words: list[str], env: dict[str, str], stdin: int, stderr: Any) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own, which `end` ends as a whole."""
    return subprocess.Popen(words, env=env, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a program with all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def known(command: str) -> Answer | None:
    """Answer without a process what testinfra asks about files all the time; None for any other command."""
    words = shlex.split(command) if command.startswith(("test -", "stat -Lc %", "cat -- ")) else []
    if len(words) != 3 or (words[0] == "test" and words[1] not in ("-e", "-f", "-d")):
        return None
    path = words[2]
    try:
        if words[0] == "cat":
            with open(path, "rb") as stream:
                return 0, stream.read(LIMIT).decode("utf-8", "replace"), ""
        facts = os.stat(path)
    except OSError as error:
        return 1, "", "" if words[0] == "test" else f"{path}: {error.strerror}"
    if words[0] == "test":
        of_kind = {"-e": True, "-f": stat.S_ISREG(facts.st_mode), "-d": stat.S_ISDIR(facts.st_mode)}
        return int(not of_kind[words[1]]), "", ""
    shown: dict[str, Callable[[], str]] = {
        "%U": lambda: pwd.getpwuid(facts.st_uid).pw_name,
        "%G": lambda: grp.getgrgid(facts.st_gid).gr_name,
        "%a": lambda: f"{stat.S_IMODE(facts.st_mode):o}",
    }
    try:
        return (0, shown[words[1]]() + "\n", "")
    except KeyError:  # another form, or an id without a name: stat itself knows
        return None


def units(names: list[str], ran: Answer) -> list[Answer]:
    """Take `systemctl show NAME…` apart: a block a unit, in the order of the names."""
    blocks = ran[1].split("\n\n")
    return [(ran[0], block, ran[2]) for block in blocks] if len(blocks) == len(names) else [ran]


def packages(names: list[str], ran: Answer) -> list[Answer]:
    """Take dpkg-query's lines NAME<tab>STATUS apart; one that dpkg does not know has none."""
    found = dict(line.split("\t", 1) for line in ran[1].splitlines() if "\t" in line)
    missing = 1, "", "no packages found"
    return [(0, found[name], "") if name in found else missing for name in names] if ran[0] in (0, 1) else [ran]


def statements(queries: list[str], ran: Answer) -> list[Answer]:
    """Take apart what a client said to statements that each follow a line with its mark."""
    blocks = {mark: rows for mark, _, rows in (block.partition("\n") for block in f"\n{ran[1]}".split("\n@@")[1:])}
    errors = {int(m.group(1)) // 2 - 1: m.group(0) for m in re.finditer(r"^ERROR.* at line (\d+).*", ran[2], re.M)}
    answers = [
        (1, "", errors[n]) if n in errors else (0, blocks[str(n)], "") for n in range(len(queries)) if str(n) in blocks
    ]
    return answers if len(answers) == len(queries) else [ran]


MERGED: dict[str, tuple[str, Callable[[list[str]], str], Callable[[list[str], Answer], list[Answer]]]] = {
    "units": (r"systemctl show (\S+)", lambda names: shlex.join(["systemctl", "show", "--", *names]), units),
    "packages": (
        r"dpkg-query -f '\$\{Status\}' -W (\S+)",
        lambda names: shlex.join(["dpkg-query", "-f", r"${Package}\t${Status}\n", "-W", "--", *names]),
        packages,
    ),
    "statements": (
        r"mariadb -NBre (\S+|'.*')",
        lambda queries: "mariadb -NBr --force <<'EOF'\n{}\nEOF".format(
            "\n".join(f"SELECT '@@{number}';\n{query};" for number, query in enumerate(queries))
        ),
        statements,
    ),
}
"""commands that are asked for many things, in a process each: their form, one command for all, each one's answer"""


def form(command: str) -> str:
    """Name the form of a command that one process does for many, or nothing."""
    return next((name for name, (pattern, _, _) in MERGED.items() if re.fullmatch(pattern, command)), "")


class Node:
    """Everything that is asked of this node."""

    def __init__(self, secrets: list[str]) -> None:
        self.env = environment(ENV)
        self.hidden = set(secrets)
        self.running: set[subprocess.Popen[bytes]] = set()
        self.client: subprocess.Popen[bytes] | None = None
        self.said = tempfile.TemporaryFile()  # noqa: SIM115 - for as long as the node is asked
        self.lanes: dict[str, queue.Queue[list[dict[str, Any]]]] = {name: queue.Queue() for name in WORKERS}
        for name, count in WORKERS.items():
            for _ in range(count):
                threading.Thread(target=self.work, args=(self.lanes[name],), daemon=True).start()

    def work(self, lane: queue.Queue[list[dict[str, Any]]]) -> None:
        """Answer what comes into a lane, for ever."""
        while True:
            items = lane.get()
            try:
                answers = self.together(items) if len(items) > 1 else []
                answers = answers or [self.answer(item) for item in items]
            except Exception as error:  # one bad command must not take the others' answers with it
                answers = [(125, "", f"{type(error).__name__}: {error}")] * len(items)
            for item, answer in zip(items, answers):  # noqa: B905 - Python 3.9
                tell(item["id"], answer)

    def put(self, items: list[dict[str, Any]]) -> None:
        """Take a round into the lanes. @now is answered at once: it asks for this moment."""
        forms: dict[str, list[dict[str, Any]]] = {name: [] for name in MERGED}
        for item in items:
            command = item["command"]
            if command == "@now":
                tell(item["id"], (0, repr(time.time()), ""))
            elif form(command):
                forms[form(command)].append(item)
            elif for_client(command):
                self.lanes["openstack"].put([item])
            else:
                self.lanes["slow" if command.startswith("@") else item["lane"]].put([item])
        for group in forms.values():
            if group:
                self.lanes["cheap"].put(group)

    def together(self, items: list[dict[str, Any]]) -> list[Answer]:
        """Do commands of one form in one process; nothing where its answers cannot be told apart."""
        pattern, command, answers = MERGED[form(items[0]["command"])]
        words = [shlex.split(re.fullmatch(pattern, item["command"]).group(1))[0] for item in items]  # type: ignore
        found = answers(words, self.run(command(words), self.env_without(()), items[0]["limit"]))
        return found if len(found) == len(items) else []

    def env_without(self, named: Any) -> dict[str, str]:
        """Give the environment without the secrets that are not named."""
        hidden = self.hidden - set(named)
        return {name: value for name, value in self.env.items() if name not in hidden}

    def answer(self, item: dict[str, Any]) -> Answer:
        """Do one command."""
        command, limit = item["command"], item["limit"]
        if command.startswith("@"):
            name, _, arguments = command[1:].partition(" ")
            return 0, json.dumps(TOOLS[name](self.env, **json.loads(arguments))), ""
        if for_client(command):
            return self.openstack(command[len("openstack ") :], limit)
        return known(command) or self.run(command, self.env_without(item["secrets"]), limit)

    def run(self, command: str, env: dict[str, str], limit: float) -> Answer:
        """Run a command with a time limit and a limit of its output; the whole process group ends with it."""
        with tempfile.TemporaryFile() as said:
            words = argv(command)
            try:
                process = start(words, env, subprocess.DEVNULL, said)
            except OSError:  # a builtin, or no such program: the shell says so in the usual words
                process = start(["bash", "-c", command], env, subprocess.DEVNULL, said)
            late = threading.Event()

            def give_up() -> None:
                late.set()
                end(process)

            timer = threading.Timer(limit, give_up)
            timer.start()
            self.running.add(process)
            assert process.stdout is not None
            out = process.stdout.read(LIMIT)
            if len(out) == LIMIT:
                end(process)
            code = process.wait()
            timer.cancel()
            self.running.discard(process)
            process.stdout.close()
            err = last(said)
        if late.is_set():
            return 124, out.decode("utf-8", "replace"), f"{err}no answer in {limit:.0f} s"
        return code, out.decode("utf-8", "replace"), err

    def openstack(self, command: str, limit: float) -> Answer:
        """Have the loaded client do a command; one that does not answer is ended, and the next gets a new client."""
        if self.client is None:
            words = [sys.executable, "-c", OPENSTACK]
            self.said.truncate(0)
            self.client = start(words, self.env_without(()), subprocess.PIPE, self.said)
            self.running.add(self.client)
        client = self.client
        assert client.stdin is not None
        assert client.stdout is not None
        timer = threading.Timer(limit, end, [client])
        timer.start()
        began = time.monotonic()
        try:
            client.stdin.write(json.dumps(command).encode() + b"\n")
            client.stdin.flush()
            line = next((line for line in client.stdout if line.startswith(b"@")), b"")
        except BrokenPipeError:
            line = b""
        timer.cancel()
        if line:
            code, out, err = json.loads(line[1:])
            return code, out[:LIMIT], err[-SAID_LIMIT:]
        self.running.discard(client)
        self.client = None
        if time.monotonic() - began >= limit:
            return 124, "", f"no answer in {limit:.0f} s"
        return 1, "", f"the client ended with exit code {client.wait()}: {last(self.said)}"


OUT = threading.Lock()


def tell(number: int, answer: Answer) -> None:
    """Write one answer."""
    code, out, err = answer
    with OUT:
        sys.stdout.write(json.dumps({"id": number, "rc": code, "stdout": out, "stderr": err}) + "\n")
        sys.stdout.flush()


def main(secrets: list[str]) -> None:
    """Take rounds until stdin ends; then nothing of this run goes on."""
    node = Node(secrets)
    try:
        for line in sys.stdin:
            node.put(json.loads(line))
    finally:
        for process in list(node.running):
            end(process)
        os._exit(0)
