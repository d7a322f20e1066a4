"""Ctrl-C and SIGTERM while steps run on the nodes: real signals to a process, with a program named ssh that sleeps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

UP = """\
import sys
from pathlib import Path

sys.path.insert(0, "TESTS")
from sample_plans import SECRETS, sample_plan

import lab.verbs.up
from lab.cli import main as cli
from lab.terminal import progress as ui
from lab.generator.render import render
from lab.planning.project import Lab
from lab.nodes.schedule import jobs_of
from lab.nodes.ssh import Ssh
from lab.nodes.state import StateFile
from lab.nodes.steps import StepRunner
from lab.planning.secrets import Secrets


def up(*args: object, **kwargs: object) -> bool:
    directory, plan = Path.cwd(), sample_plan()
    lab = Lab(directory, plan, Secrets(SECRETS))
    files = render(plan, SECRETS)
    state, progress = StateFile(directory / "state.json"), ui.LiveProgress()
    StepRunner(lab, files, Ssh(directory), state, progress).run(jobs_of(plan), ())
    return True


lab.verbs.up.up = up
sys.argv = ["lab", "up"]
cli.main()
"""

# The sleep in the background: the master of the connection, which holds the output while the command runs in the node.
FAKE_SSH = """\
#!/bin/bash
[[ $* == *10-environment* ]] && exit
sleep 60 &
echo $! >>masters
echo $$ >>clients
exec sleep 60
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_both_end_lab_up_soon_with_what_to_do_next(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ssh").write_text(FAKE_SSH)
    (tmp_path / "bin/ssh").chmod(0o755)
    (tmp_path / "ssh_config").touch()
    (tmp_path / "clients").touch()
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", UP.replace("TESTS", str(Path(__file__).parents[2]))],
            cwd=tmp_path,
            env={**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"},
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    _wait_for(lambda: len(_pids(tmp_path / "clients")) == 2)
    process.send_signal(number)
    try:
        assert process.wait(15) == 130  # a second; the machine may be busy
    finally:
        process.kill()
        process.wait()
        for pid in _pids(tmp_path / "masters"):
            os.kill(int(pid), signal.SIGKILL)
    text = (tmp_path / "said").read_text()
    assert "lab: interrupted; `lab up` continues where it stopped" in text
    assert "Traceback" not in text
    assert "20-database              interrupted after" in text
    assert not [pid for pid in _pids(tmp_path / "clients") if Path(f"/proc/{pid}").exists()]
    done = json.loads((tmp_path / "state.json").read_text())["steps"]
    assert set(done) == {"controller/10-environment", "compute1/10-environment"}


def _pids(file: Path) -> list[str]:
    return file.read_text().split()


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
