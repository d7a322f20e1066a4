from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lab.base.errors import LockedError
from lab.base.lock import lab_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLD = """
import sys, pathlib
from lab.base.lock import lab_lock
with lab_lock(pathlib.Path(sys.argv[1]), "lab up"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(LockedError) as caught, lab_lock(tmp_path, "lab down"):
        pass
    assert f"process {holder.pid} (`lab up`, since " in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_killed_holder_holds_nothing(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with lab_lock(tmp_path):
        pass


def test_the_lock_is_free_after_the_block_even_when_it_failed(tmp_path: Path) -> None:
    with pytest.raises(ValueError), lab_lock(tmp_path):
        raise ValueError
    with lab_lock(tmp_path):
        pass


def test_a_program_started_under_the_lock_does_not_keep_it(tmp_path: Path) -> None:
    with lab_lock(tmp_path):
        daemon = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with lab_lock(tmp_path):
            pass
    finally:
        daemon.kill()
        daemon.wait()


def test_a_holder_that_has_not_written_its_name_yet(tmp_path: Path) -> None:
    with lab_lock(tmp_path):
        (tmp_path / "lock").write_text("")
        with pytest.raises(LockedError, match="another process works on this lab"), lab_lock(tmp_path):
            pass
