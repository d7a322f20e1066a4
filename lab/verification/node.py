"""Runs on a node, as root, with nothing but Python's standard library: runs the commands that it gets.

lab.verification.wire sends this file, tools.py and console_tokens.py as text; they keep to the Python of Debian 11
(3.9). Each line of stdin is a round, a JSON list of commands; each line of stdout is the answer to one, as soon as it
is there:

    {"id": 7, "command": "ss -ltn", "secrets": names, "limit": seconds}
    {"id": 7, "rc": 0, "stdout": "…", "stderr": "…"}

All `openstack …` of a round go to one process of the client; `@NAME JSON` goes to a tool of these. The values of
secrets come from /opt/lab/env on the node, and a command gets in its environment those that it names, no other. When
stdin ends, so does everything that runs.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import re
import shlex
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable  # noqa: UP035 - Python 3.9

from lab.verification.console_tokens import console_token
from lab.verification.tools import TOOLS

_TOOLS = {**TOOLS, "console-token": console_token}
LIMIT = 400_000
"""characters kept of an output, so that a runaway command cannot fill the reader's memory"""
SAID_LIMIT = 4000
"""characters kept of what a command says on stderr: the last"""
ENV = "/opt/lab/env"
JOBS = 4
"""commands at a time, beside the client: two that compute, on a small node, and two that wait for a service"""
FILES = ("test -", "stat -Lc %", "cat -- ")
"""how the commands begin that testinfra asks hundreds of times; they do not wait for slower ones"""
OPENSTACK = """
import json, sys
sys.path.insert(0, "/opt/lab/lib")
from openstack_batch.client import Client
from openstack_batch.ensure import Ensure
from openstack_batch.language import read_lines
from openstack_batch.run import OPENRC, load_openrc, run_line
client = Client()
ensure = Ensure(client)
answers = []
for text in json.load(sys.stdin):
    try:
        load_openrc(OPENRC)
        answers.append(run_line(read_lines(text)[0], client, ensure, {}))
    except (Exception, SystemExit) as error:
        answers.append((1, "", f"{type(error).__name__}: {error}"))
print(json.dumps(answers))
"""
"""does a list of the client's commands; the client is loaded once for all of them"""

Answer = tuple[int, str, str]
"""exit code, stdout, stderr"""


def environment(path: str) -> dict[str, str]:
    """Give the process environment with the NAME=VALUE lines of a file added; a shell would take 100 ms to say so."""
    env = dict(os.environ, LC_ALL="C.UTF-8", PATH="/usr/sbin:/usr/bin:/sbin:/bin")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as stream:
            words = shlex.split(stream.read(), comments=True)
        env.update((word.partition("=")[0], word.partition("=")[2]) for word in words if "=" in word)
    return env


def for_client(command: str) -> bool:
    """Tell whether a command is one of `openstack` alone, for which no shell has anything to do."""
    return command.startswith("openstack ") and not re.search(r"[|&;<>$`\\\n]", command)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a program with all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def known(command: str) -> Answer | None:
    """Answer without a process what testinfra asks about files, hundreds of times; None for any other command."""
    words = shlex.split(command) if command.startswith(FILES) else []
    if len(words) != 3:
        return None
    program, what, path = words
    try:
        if program == "cat":
            with open(path, "rb") as stream:
                return 0, stream.read(LIMIT).decode("utf-8", "replace"), ""
        found = os.stat(path)
        told: dict[str, Callable[[], object]] = {
            "-e": lambda: True,
            "-f": lambda: stat.S_ISREG(found.st_mode),
            "-d": lambda: stat.S_ISDIR(found.st_mode),
            "%U": lambda: pwd.getpwuid(found.st_uid).pw_name,
            "%G": lambda: grp.getgrgid(found.st_gid).gr_name,
            "%a": lambda: f"{stat.S_IMODE(found.st_mode):o}",
        }
        answer = told[what]()
    except OSError as error:
        return 1, "", "" if program == "test" else f"{path}: {error.strerror}"
    except KeyError:  # another form, or an id without a name: the program itself knows
        return None
    return (int(not answer), "", "") if program == "test" else (0, f"{answer}\n", "")


class Node:
    """Everything that is asked of this node."""

    def __init__(self, secrets: list[str]) -> None:
        self.env = environment(ENV)
        self.hidden = set(secrets)
        self.running: set[subprocess.Popen[bytes]] = set()
        self.jobs, self.files, self.client = ThreadPoolExecutor(JOBS), ThreadPoolExecutor(1), ThreadPoolExecutor(1)

    def take(self, items: list[dict[str, Any]]) -> None:
        """Take a round. @now is answered at once: it asks for this moment."""
        if ours := [item for item in items if for_client(item["command"])]:
            self.client.submit(self.tell, ours, self.openstack)
        for item in items:
            command = item["command"]
            if command == "@now":
                write(item["id"], (0, repr(time.time()), ""))
            elif not for_client(command):
                (self.files if command.startswith(FILES) else self.jobs).submit(self.tell, [item], self.answer)

    def tell(self, items: list[dict[str, Any]], do: Callable[[list[dict[str, Any]]], list[Answer]]) -> None:
        """Run commands and write their answers; a bad one must not lose the answers of the others."""
        try:
            answers = do(items)
        except Exception as error:
            answers = [(125, "", f"{type(error).__name__}: {error}")] * len(items)
        for item, answer in zip(items, answers):  # noqa: B905 - Python 3.9
            write(item["id"], answer)

    def answer(self, items: list[dict[str, Any]]) -> list[Answer]:
        """Run one command."""
        (item,) = items
        command = item["command"]
        if command.startswith("@"):
            name, _, arguments = command[1:].partition(" ")
            return [(0, json.dumps(_TOOLS[name](self.env, **json.loads(arguments))), "")]
        return [known(command) or self.run(["bash", "-c", command], item["limit"], item["secrets"])]

    def openstack(self, items: list[dict[str, Any]]) -> list[Answer]:
        """Run commands in one process of the client."""
        commands = json.dumps([item["command"][len("openstack ") :] for item in items])
        limit = items[0]["limit"] * (6 + len(items)) / 12  # half of it to load the client
        code, out, said = self.run([sys.executable, "-c", OPENSTACK], limit, given=commands, most=-1)
        if code:
            return [(code, "", said or f"the client ended with exit code {code}")] * len(items)
        return [(rc, text[:LIMIT], err[-SAID_LIMIT:]) for rc, text, err in json.loads(out.splitlines()[-1])]

    def run(self, words: list[str], limit: float, secrets: Any = (), given: str = "", most: int = LIMIT) -> Answer:
        """Run a command with a time limit and a limit of its output; the whole process group ends with it."""
        hidden = self.hidden - set(secrets)
        env = {name: value for name, value in self.env.items() if name not in hidden}
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as said:
            stdin.write(given.encode())
            stdin.seek(0)
            process = subprocess.Popen(
                words, env=env, stdin=stdin, stdout=subprocess.PIPE, stderr=said, start_new_session=True
            )
            self.running.add(process)
            timer = threading.Timer(limit, end, [process])
            timer.start()
            with process, process.stdout:  # type: ignore[union-attr] # it is a pipe
                out = process.stdout.read(most)  # type: ignore[union-attr]
                if len(out) == most:
                    end(process)
                code = process.wait()
            late = timer.finished.is_set()
            timer.cancel()
            self.running.discard(process)
            said.seek(max(0, said.seek(0, os.SEEK_END) - SAID_LIMIT))
            err = said.read().decode("utf-8", "replace")
        if late:
            code, err = 124, f"{err}no answer in {limit:.0f} s"
        return code, out.decode("utf-8", "replace"), err


OUT = threading.Lock()


def write(number: int, answer: Answer) -> None:
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
            node.take(json.loads(line))
    finally:
        for process in list(node.running):
            end(process)
        os._exit(0)
