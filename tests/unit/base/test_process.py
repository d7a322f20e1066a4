from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from lab.base.errors import HostError, MachineError
from lab.base.process import CommandError, put_aside, run, shown, tail_of

if TYPE_CHECKING:
    from pathlib import Path


def test_output_is_captured() -> None:
    done = run(["printf", "%s|", "a b", "$HOME"], timeout_s=10)
    assert done.stdout == "a b|$HOME|"
    assert done.ok


def test_a_failure_shows_the_command_ready_to_paste_and_what_it_said() -> None:
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "echo why >&2; exit 7"], timeout_s=10)
    text = str(caught.value)
    assert "exit code 7" in text
    assert "$ sh -c 'echo why >&2; exit 7'" in text
    assert "why" in text.splitlines()[-1]
    assert isinstance(caught.value, MachineError)


def test_input_and_environment_are_never_shown() -> None:
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "cat >/dev/null; exit 1"], timeout_s=10, input="s3cret", env={"TOKEN": "t0ken"})
    assert "s3cret" not in str(caught.value)
    assert "t0ken" not in str(caught.value)


def test_environment_is_added_to_the_own_one() -> None:
    assert run(["sh", "-c", "echo $EXTRA $PATH"], timeout_s=10, env={"EXTRA": "x"}).stdout.startswith(
        f"x {os.environ['PATH']}"
    )


def test_without_check_a_failure_is_a_result() -> None:
    assert run(["false"], timeout_s=10, check=False).returncode == 1


def test_a_log_that_has_become_long_is_put_aside(tmp_path: Path) -> None:
    log = tmp_path / "it.log"
    for content in ("first\n", "second\n", "third\n"):
        put_aside(log, 3)
        with log.open("a") as file:
            file.write(content)
    assert log.read_text() == "third\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["it.log", "it.log.1"]
    put_aside(log, 100)
    assert log.exists()
    put_aside(tmp_path / "absent.log")


def test_log_takes_both_streams_and_is_private(tmp_path: Path) -> None:
    log = tmp_path / "deep" / "x.log"
    for _ in range(2):
        done = run(["sh", "-c", "echo out; echo err >&2"], timeout_s=10, log=log)
    assert done.stdout == ""
    assert log.read_text() == "out\nerr\n" * 2
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_logged_failure_shows_the_end_of_the_log_and_its_path(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "seq 100; exit 1"], timeout_s=10, log=log)
    assert f"full log: {log}" in str(caught.value)
    assert " 100\n" in str(caught.value)
    assert " 79\n" not in str(caught.value)


def test_the_limit_ends_the_program_and_its_children(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    started = time.monotonic()
    with pytest.raises(CommandError, match="did not end within 0.5 s"):
        run(["sh", "-c", f"sleep 60 & echo $! >{mark}; wait"], timeout_s=0.5)
    assert time.monotonic() - started < 50
    deadline = time.monotonic() + 5
    while alive(int(mark.read_text())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(int(mark.read_text()))


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_missing_program_is_the_hosts_fault() -> None:
    with pytest.raises(HostError, match="no-such-program is not installed"):
        run(["no-such-program"], timeout_s=10)


def test_a_missing_directory_is_not_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no such directory"):
        run(["true"], timeout_s=10, cwd=tmp_path / "gone")


def test_shown_can_be_pasted() -> None:
    assert shown(["echo", "it's", "a b"]) == """echo 'it'"'"'s' 'a b'"""


def test_tail_of_a_missing_log_is_empty(tmp_path: Path) -> None:
    assert tail_of(tmp_path / "none") == ""
