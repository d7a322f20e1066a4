"""How the programs of the tests end: one line and an exit code, after they have cleaned up."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
PROGRAM = """
import sys, time
from ending import run_to_the_end
from lab.base.errors import UsageError

def main():
    if sys.argv[1] == "refuse":
        raise UsageError("no such step", hint="name another")
    if sys.argv[1] == "end":
        return 4
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("cleaned up")

run_to_the_end("test-x", main)
"""
IN_BACKGROUND = ("/bin/sh", "-c", "trap '' INT; exec \"$@\"", "sh")
"""as a shell starts `COMMAND &`: it ignores SIGINT"""


def program(word: str, *before: str) -> subprocess.Popen[str]:
    argv, pipe = [*before, sys.executable, "-c", PROGRAM, word], subprocess.PIPE
    return subprocess.Popen(argv, env={"PYTHONPATH": str(TESTS)}, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("before", [(), IN_BACKGROUND], ids=["shell", "background"])
def test_ctrl_c_cleans_up_and_is_one_line(number: signal.Signals, before: tuple[str, ...]) -> None:
    with program("wait", *before) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        running.send_signal(number)
        assert running.communicate() == ("cleaned up\n", "test-x: interrupted\n")
    assert running.returncode == 130


@pytest.mark.parametrize(
    ("word", "code", "said"), [("end", 4, ""), ("refuse", 2, "test-x: no such step\n  hint: name another\n")]
)
def test_the_exit_code_is_the_programs_or_the_errors(word: str, code: int, said: str) -> None:
    with program(word) as running:
        assert running.communicate() == ("", said)
    assert running.returncode == code


def _name(path: Path) -> str:
    return str(path.relative_to(TESTS))


@pytest.mark.parametrize("path", [*sorted(TESTS.glob("*/__main__.py")), TESTS / "bench.py"], ids=_name)
def test_every_program_ends_so(path: Path) -> None:
    last = path.read_text().splitlines()[-1]
    assert last.strip().startswith("run_to_the_end(")
