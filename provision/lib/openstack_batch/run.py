"""Runs the lines: what the command does from stdin to its exit code."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openstack_batch.client import Client
from openstack_batch.ensure import Ensure
from openstack_batch.language import BatchError, Line, put_values, read_lines
from openstack_batch.limits import pause, scaled

if TYPE_CHECKING:
    from openstack_batch.client import Result

OPENRC = Path("/root/admin-openrc")
SLOW_S = 5


def main(argv: list[str], usage: str) -> int:
    """Read stdin, run it, return the exit code. USAGE is what a wrong call is told."""
    if argv not in ([], ["--json"]):
        print(usage, file=sys.stderr)
        return 2
    try:
        lines = read_lines(sys.stdin.read())
    except BatchError as error:
        print(f"openstack-batch: {error}", file=sys.stderr)
        return 2
    try:
        load_openrc(OPENRC)
    except OSError as error:
        print(f"openstack-batch: no login: no OS_AUTH_URL in the environment, and {error}", file=sys.stderr)
        return 1
    return run_json(lines) if argv else run_batch(lines)


def load_openrc(path: Path) -> None:
    """Take the `export OS_NAME=VALUE` lines of PATH into the environment, unless a login is there already."""
    if "OS_AUTH_URL" in os.environ:
        return
    for line in path.read_text().splitlines():
        match = re.fullmatch(r"export (OS_\w+)=(.*)", line.strip())
        if match:
            os.environ[match[1]] = "".join(shlex.split(match[2]))


def run_batch(lines: list[Line]) -> int:
    """Run LINES in order until one fails."""
    client = Client(patient=True)
    ensure = Ensure(client)
    values: dict[str, str] = {}
    for line in lines:
        started = time.monotonic()
        print(f"$ openstack {line}", flush=True)
        code, output, said = run_line(line, client, ensure, values)
        for text in output.splitlines():
            print(f"    {text}")
        if code:
            print(f"openstack-batch: line {line.number}: exit code {code}: {line}", file=sys.stderr)
            for text in said.splitlines():
                print(f"    {text}", file=sys.stderr)
            return code
        if time.monotonic() - started > SLOW_S:
            print(f"    ({time.monotonic() - started:.0f} s)")
        sys.stdout.flush()
    return 0


def run_line(line: Line, client: Client, ensure: Ensure, values: dict[str, str]) -> Result:
    """Run one line; a `let` adds to VALUES."""
    try:
        command = put_values(line.command, values, ensure.own)
        guard = put_values(line.guard, values, ensure.own)
    except client.refusals as error:
        return 1, "", f"{type(error).__name__}: {error}"
    if line.form == "guard" and client.run(guard)[0] == 0:
        return 0, "present", ""
    if line.form == "await":
        return wait_until(client, line, command)
    if line.form == "booted":
        return ensure.servers.booted(client, line.seconds, line.pattern, command[0])
    if line.form == "ensure" or line.ensures:
        code, output, said = ensure.run(command)
    else:
        code, output, said = client.run(command)
    if line.form == "let" and code == 0:
        value = ensure.id if line.ensures else output.strip()
        if not value or "\n" in value:
            return 1, output, f"expected one line for {line.name}, got {len(value.splitlines())}"
        values[line.name] = value
    return code, output, said


def wait_until(client: Client, line: Line, command: list[str]) -> Result:
    """Run a command until its output matches; the output is how long it took."""
    limit = scaled(line.seconds)
    started = time.monotonic()
    while True:
        code, output, said = client.run(command)
        waited = time.monotonic() - started
        if code == 0 and re.search(line.pattern, output, re.MULTILINE):
            return 0, f"waited {waited:.0f} s for {line.pattern}", ""
        if output.strip() == "ERROR" or waited > limit:
            last = "\n".join((output or said).splitlines()[-20:])
            return 1, "", f"waited {waited:.0f} s for {line.pattern}, in vain; the last answer:\n{last}"
        pause()


def run_json(lines: list[Line]) -> int:
    """Run the read commands LINES, all of them, and print one JSON object."""
    client = Client()
    answers: dict[str, Any] = {}
    failed = False
    ensure = Ensure(client)
    for line in lines:
        try:
            code, output, said = client.run([*put_values(line.command, {}, ensure.own), "-f", "json"])
        except client.refusals as error:
            code, output, said = 1, "", f"{type(error).__name__}: {error}"
        if code == 0:
            try:
                answers[line.text] = json.loads(output)
                continue
            except json.JSONDecodeError:
                code, said = 1, f"not JSON: {output}"
        answers[line.text] = {"error": said, "exit_code": code}
        failed = True
    json.dump(answers, sys.stdout)
    print()
    return 1 if failed else 0
