"""provision/lib/agents, in a Python of its own, with a stand-in for eventlet's module."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from lab.base import resources

if TYPE_CHECKING:
    from pathlib import Path

AGENTS = resources.PROVISION / "lib/agents"
GREEN = """
slept = []
class eventlet:
    sleep = staticmethod(slept.append)
class Popen:
    def __init__(self, looks):
        self.looks = looks
    def poll(self):
        self.looks -= 1
        return None if self.looks else 7
    def wait(self, timeout=None, check_interval=0.01):
        return 100 * timeout
"""


def _python(tmp_path: Path, code: str, green: str = GREEN) -> str:
    package = tmp_path / "eventlet/green"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "subprocess.py").write_text(green)
    environment = {**os.environ, "PYTHONPATH": f"{AGENTS}:{tmp_path}", "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_program_that_runs_is_looked_at_less_and_less_often(tmp_path: Path) -> None:
    code = "from eventlet.green import subprocess as s; print(s.Popen(10).wait(), s.slept)"
    slept = "[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0]"
    assert _python(tmp_path, code) == f"7 {slept}"


def test_one_that_has_ended_is_not_waited_for(tmp_path: Path) -> None:
    code = "from eventlet.green import subprocess as s; print(s.Popen(1).wait(), s.slept)"
    assert _python(tmp_path, code) == "7 []"


def test_a_wait_with_a_limit_is_eventlets_own(tmp_path: Path) -> None:
    code = "from eventlet.green import subprocess as s; print(s.Popen(3).wait(2), s.Popen(3).wait(timeout=3), s.slept)"
    assert _python(tmp_path, code) == "200 300 []"


def test_a_program_without_eventlet_is_as_it_was(tmp_path: Path) -> None:
    code = "import subprocess; print(subprocess.run(['true']).returncode, 'eventlet' in __import__('sys').modules)"
    assert _python(tmp_path, code) == "0 False"


def test_a_module_that_cannot_be_imported_says_its_own_error(tmp_path: Path) -> None:
    code = "\ntry:\n    import eventlet.green.subprocess\nexcept ZeroDivisionError as error:\n    print(error)"
    assert _python(tmp_path, code, green="1 / 0") == "division by zero"
