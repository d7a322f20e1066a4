"""Nodes that answer from recordings, and a judge that runs the suite's function for a check against them."""

from __future__ import annotations

import importlib
import json
import re
import sys
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from sample_plans import SECRETS, sample_plan

from lab.base.resources import INFRA_SUITE
from lab.planning.plan import Check, Plan
from lab.verification.outcome import Unreachable
from lab.verification.suite import Suite, summary
from lab.verification.waiting import Waiting
from lab.verification.wire import Answer, Question

if TYPE_CHECKING:
    import queue
    from collections.abc import Callable, Hashable, Mapping, Sequence
    from pathlib import Path

    from lab.verification.wire import Arrived

Recording = dict[str, Any]
"""what a node answers, by the key of KEYS: `ran(…)` for a command, what a tool returns for one; a list is given one by
one, the last one again and again"""

KEYS = (
    (r"systemctl show \S+", "units"),
    (r"cut .* /proc/uptime && systemctl show .*", "started"),
    (r"dpkg-query -f '\$\{Status\}' -W \S+", "packages"),
    (r"dpkg-query -W -f '\$\{db:Status-Abbrev\}' -- \S+", "abbreviation"),
    (r"ss --numeric --listening", "sockets"),
    (r"set -o pipefail\nmariadb -NBre .SELECT CONCAT..SHOW GRANTS.*", "sql"),
    (r"mariadb -NBre .*", "sql"),
    (r"test -d (/sys/module/\S+)", "modules:{}"),
    (r"cat -- (\S+)", "texts:{}"),
    (r"test -e (\S+)|stat -Lc %[UGa] (\S+)", "files:{}"),
    (r"grep -Ewq 'vmx.*", "cpu"),
    (r"ovs-vsctl --timeout=20 list-ports (\S+)", "bridges:{}"),
    (r"export MYSQL_PWD=.*", "login"),
    (r"openstack (console log show .*)", "openstack:{}"),
    (r"openstack (.*) -f json", "openstack:{}"),
    (r"for id in \$\(virsh .*", "domains"),
    (r"@http .*5000/v3/auth/tokens.*", "token"),
    (r"@http .*controller:8775.*", "metadata"),
    (r"@http \{\"url\": \"([^\"]+)\".*", "web:{}"),
    (r"@(amqp|broker|console|console-token|log|login-form) .*", "{}"),
    (r"(.*)", "commands:{}"),
)
OS_RELEASE = 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'


def load_suite() -> None:
    """Import the suite's modules, which registers their functions."""
    if str(INFRA_SUITE.parent) not in sys.path:
        sys.path.insert(0, str(INFRA_SUITE.parent))
    for module in sorted(INFRA_SUITE.glob("test_*.py")):
        importlib.import_module(f"{INFRA_SUITE.name}.{module.stem}")


@dataclass
class FakeNode:
    """Answers questions from a recording; keeps the rounds that it was asked."""

    recording: Recording
    clock_ahead_s: float = 0.0
    slow_s: float = 0.0
    """question and answer take so long to arrive, as far as the bounds of the clock show it"""
    away: bool = False
    rounds: list[list[str]] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)

    def answer(self, command: str) -> Answer:
        """Look a command up."""
        if command == "cat /etc/os-release":
            return Answer(0, OS_RELEASE, "")
        if command == "@now":
            return Answer(0, json.dumps([self.clock_ahead_s - self.slow_s, self.clock_ahead_s + self.slow_s]), "")
        pattern, key = next(pair for pair in KEYS if re.fullmatch(pair[0], command, re.DOTALL))
        match = re.fullmatch(pattern, command, re.DOTALL)
        assert match is not None
        key = key.format(next((word for word in reversed(match.groups()) if word), ""))
        found = self.recording.get(key, ran("", 127, "not in the recording"))
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        if command.startswith("@"):
            return Answer(0, json.dumps(found), "") if "rc" not in found else _answer(found)
        if "exists" in found:
            return _of_file(command, found)
        return _answer(found)


def _answer(found: dict[str, Any]) -> Answer:
    return Answer(found["rc"], found["stdout"], found["stderr"])


def _of_file(command: str, facts: dict[str, Any]) -> Answer:
    """What cat, stat and test say of a file."""
    if not facts["exists"]:
        return Answer(1, "", f"cannot open: {facts['error']}")
    shown = {"%U": "owner", "%G": "group", "%a": "mode"}
    word = command.split()[2]
    return Answer(
        0, facts.get("text", "") if command.startswith("cat") else str(facts.get(shown.get(word, ""), "")), ""
    )


class FakeWire:
    """The connection to a fake node: answers arrive at once."""

    def __init__(self, name: str, node: FakeNode, arrived: queue.SimpleQueue[Arrived]) -> None:
        self._name, self._node, self._arrived = name, node, arrived

    def send(self, questions: Sequence[Question]) -> None:
        """Answer."""
        self._node.rounds.append([question.command for question in questions])
        for question in questions:
            self._node.secrets |= set(question.secrets)
            gone = Unreachable("ssh: connect to host 10.0.0.31 port 22: No route to host")
            self._arrived.put((self._name, question, gone if self._node.away else self._node.answer(question.command)))

    def close(self) -> None:
        """Nothing to do."""


def ran(stdout: str = "", rc: int = 0, stderr: str = "") -> dict[str, Any]:
    """What a node answers for a command."""
    return {"rc": rc, "stdout": stdout, "stderr": stderr}


def text(content: str) -> dict[str, Any]:
    """What a node has as a file."""
    return {"exists": True, "owner": "root", "group": "nova", "mode": "0640", "text": content}


def a_check(kind: str, args: Mapping[str, Any], node: str = "controller", step: str = "50-compute-controller") -> Check:
    return Check(
        id=f"{node}-{step}-{kind}-x",
        node=node,
        step=step,
        kind=kind,
        guide="Compute service: Install and configure",
        command="systemctl restart it",
        quick=False,
        args=dict(args),
    )


def a_plan(*checks: Check, wait_factor: float = 4.0) -> Plan:
    return sample_plan(wait_factor=wait_factor).model_copy(update={"checks": checks})


def a_suite(build_dir: Path, nodes: Mapping[str, FakeNode], *checks: Check, wait_factor: float = 4.0) -> Suite:
    """A suite whose nodes have the sample's secrets in their env files, as in a build directory."""
    load_suite()
    for node in nodes:
        env = build_dir / "nodes" / node / "env"
        env.parent.mkdir(parents=True, exist_ok=True)
        env.write_text("".join(f"{name}={value}\n" for name, value in SECRETS.items()) + "MY_IP='10.0.0.11'\n")
    plan = a_plan(*checks, wait_factor=wait_factor)
    return Suite(plan, build_dir, lambda name, arrived, _: FakeWire(name, nodes[name], arrived), checks)


def settled(suite: Suite, *checks: Check) -> dict[str, str]:
    """Evaluate checks in rounds, as pytest does, then run each: {id: empty when it passes, else its one line}."""
    tests: dict[Hashable, Callable[[], bool]] = {check.id: partial(suite.still_to_come, check) for check in checks}
    Waiting(suite.rounds, tests, again_s=0.01).wait_for(tests)
    return {check.id: verdict(suite, check) for check in checks}


def verdict(suite: Suite, check: Check) -> str:
    """Run the function of the check's kind; empty when it passes, else its one line."""
    try:
        suite.judge(check)
    except Exception as error:
        return summary(*suite.explain(error))
    return ""


def judge(build_dir: Path, check: Check, nodes: Mapping[str, FakeNode]) -> str:
    """Evaluate one check and run it."""
    return settled(a_suite(build_dir, nodes, check), check)[check.id]
