"""A node that answers from recordings, and a judge that runs the suite's function for a check against it."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sample_plans import SECRETS, sample_plan

from lab.base.resources import INFRA_SUITE
from lab.planning.plan import Check, Plan
from lab.verification.registry import KINDS
from lab.verification.remote import unpack
from lab.verification.suite import Suite, summary

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Recording = dict[str, dict[str, Any]]
"""answers of the agent, by the key of the operation"""


def load_suite() -> None:
    """Import the suite's modules, which registers their functions."""
    if str(INFRA_SUITE.parent) not in sys.path:
        sys.path.insert(0, str(INFRA_SUITE.parent))
    for module in sorted(INFRA_SUITE.glob("test_*.py")):
        importlib.import_module(f"{INFRA_SUITE.name}.{module.stem}")


@dataclass(frozen=True)
class Result:
    rc: int
    stdout: str
    stderr: str = ""


@dataclass
class FakeHost:
    """Answers the agent's requests from a recording; keeps the requests."""

    recording: Recording
    clock_ahead_s: float = 0.0
    slow_s: float = 0.0
    """question and answer take so long to arrive, as far as the bounds of the clock show it"""
    away: bool = False
    requests: list[dict[str, Any]] = field(default_factory=list)

    def run(self, command: str, *args: str) -> Result:
        assert command.startswith("python3 ")
        request = json.loads(unpack(args[2]))
        self.requests.append(request)
        if self.away:
            raise RuntimeError(Result(255, "", "ssh: connect to host 10.0.0.31 port 22: No route to host\n"))
        unknown = {"error": "not in the recording"}
        results = {key: self.recording.get(key, unknown) for key in request["operations"]}
        now = time.time() + self.clock_ahead_s
        answer = {"began": now + self.slow_s, "ended": now - self.slow_s, "results": results}
        return Result(0, f"banner\n{json.dumps(answer)}\n")

    @property
    def operations(self) -> dict[str, Any]:
        return {key: value for request in self.requests for key, value in request["operations"].items()}


def ran(stdout: str = "", rc: int = 0, stderr: str = "") -> dict[str, Any]:
    """What the agent answers for a command."""
    return {"rc": rc, "stdout": stdout, "stderr": stderr, "seconds": 0.1}


def text(content: str) -> dict[str, Any]:
    """What the agent answers for a file that is read."""
    return {"exists": True, "directory": False, "owner": "root", "group": "nova", "mode": "0640", "text": content}


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


def a_plan(*checks: Check) -> Plan:
    return sample_plan().model_copy(update={"checks": checks})


def a_suite(build_dir: Path, hosts: Mapping[str, FakeHost], *checks: Check) -> Suite:
    """A suite whose nodes have the sample's secrets in their env files, as in a build directory."""
    load_suite()
    for node in hosts:
        env = build_dir / "nodes" / node / "env"
        env.parent.mkdir(parents=True, exist_ok=True)
        env.write_text("".join(f"{name}={value}\n" for name, value in SECRETS.items()) + "MY_IP='10.0.0.11'\n")
    suite = Suite(a_plan(*checks), build_dir, lambda name: hosts[name], checks)
    suite.prefetch(checks)
    return suite


def judge(build_dir: Path, check: Check, hosts: Mapping[str, FakeHost]) -> str:
    """Run the function of the check's kind; empty when it passes, else its one line."""
    suite = a_suite(build_dir, hosts, check)
    try:
        suite.require(check)
        function = KINDS[check.kind].function
        given = {
            "check": check,
            "node": suite.facts.node(check.node),
            "cloud": suite.facts.controller,
            "suite": suite,
        }
        function(**{name: given[name] for name in inspect.signature(function).parameters})
    except Exception as error:
        return summary(*suite.explain(error))
    return ""


def show_nothing() -> dict[str, Any]:
    """What the agent answers when systemctl knows none of the units."""
    return ran("LoadState=not-found\nActiveState=inactive\n")
