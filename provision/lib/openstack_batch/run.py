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
    client = Client()
    ensure = Ensure(client)
    values: dict[str, str] = {}
    for line in lines:
        started = time.monotonic()
        line.command = [put_values(word, values) for word in line.command]
        print(f"$ openstack {line}", flush=True)
        if line.form == "guard" and client.run(line.guard)[0] == 0:
            code, output, said = 0, "present", ""
        elif line.form == "ensure":
            code, output, said = ensure.run(line.command)
        elif line.form == "await":
            code, output, said = wait_until(client, line)
        else:
            code, output, said = client.run(line.command)
        if line.form == "let" and code == 0:
            values[line.name] = output.strip()
            if not values[line.name] or "\n" in values[line.name]:
                code, said = 1, f"expected one line for {line.name}, got {len(output.splitlines())}"
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


def wait_until(client: Client, line: Line) -> Result:
    """Run a command until its output matches; the output is how long it took."""
    limit = scaled(line.seconds)
    started = time.monotonic()
    while True:
        code, output, said = client.run(line.command)
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
    for line in lines:
        code, output, said = client.run([*line.command, "-f", "json"])
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
