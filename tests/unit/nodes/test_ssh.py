"""The ssh client, with programs named ssh and sudo that run the command here in place of a node."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.base.errors import HostError, HostKeyError, MachineError
from lab.nodes.readiness import Expected, look
from lab.nodes.ssh import Ssh
from lab.nodes.ssh_config import SshConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

VAGRANT_SAYS = """\
Host controller
  HostName 192.168.121.67
  User vagrant
  Port 22
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  PasswordAuthentication no
  IdentityFile "/my labs/.vagrant/machines/controller/libvirt/private_key"
  IdentitiesOnly yes
  LogLevel FATAL

Host compute1
  HostName 192.168.121.134
  User vagrant
  Port 22
  IdentityFile /x/private_key

"""

# As ssh does: the words after `--` are one line for the remote shell. Everything is noted.
FAKE_SSH = """\
#!/bin/bash
printf '%s\\n' "$*" >> "$NOTES"
[[ -e $NOTES.refuse ]] && { echo 'Connection refused' >&2; exit 255; }
[[ -e $NOTES.changed ]] && { printf 'REMOTE HOST IDENTIFICATION\\nHost key verification failed.\\r\\n' >&2; exit 255; }
while (($#)) && [[ $1 != -- ]]; do shift; done
shift || exit 0
exec bash -c "$*"
"""
FAKE_SUDO = """\
#!/bin/sh
[ "$1" = -n ] && shift
exec "$@"
"""


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    for name, text in (("ssh", FAKE_SSH), ("sudo", FAKE_SUDO)):
        (bin_dir / name).write_text(text)
        (bin_dir / name).chmod(0o755)
    path = tmp_path / "notes"
    path.touch()
    monkeypatch.setenv("NOTES", str(path))
    monkeypatch.setenv("PATH", f"{bin_dir}:{os.environ['PATH']}")
    return path


@pytest.fixture
def ssh(tmp_path: Path, notes: Path) -> Iterator[Ssh]:
    build = tmp_path / "b"
    build.mkdir(mode=0o700)
    client = Ssh(build)
    client.add_config(VAGRANT_SAYS)
    yield client
    shutil.rmtree(SshConfig(build).socket_dir(), ignore_errors=True)


def _options(ssh: Ssh, node: str) -> dict[str, str]:
    """What the real OpenSSH client makes of the file."""
    real = subprocess.run(
        ["/usr/bin/ssh", "-G", "-F", str(ssh.config), node], capture_output=True, text=True, check=True
    ).stdout
    return {key: value for key, _, value in (line.partition(" ") for line in real.splitlines())}


needs_openssh = pytest.mark.skipif(not Path("/usr/bin/ssh").exists(), reason="OpenSSH's client is not installed")


@needs_openssh
def test_openssh_reads_the_config_as_meant(ssh: Ssh, tmp_path: Path) -> None:
    options = _options(ssh, "controller")
    assert options["hostname"] == "192.168.121.67"
    assert options["user"] == "vagrant"
    assert options["identityfile"] == "/my labs/.vagrant/machines/controller/libvirt/private_key"
    assert options["userknownhostsfile"] == str(tmp_path / "b" / "known_hosts")
    assert options["stricthostkeychecking"] == "accept-new"
    assert options["hostkeyalias"] == "controller"
    assert options["globalknownhostsfile"] == "/dev/null"
    assert options["controlmaster"] == "auto"
    assert options["loglevel"] == "ERROR"
    assert options["forwardagent"] == "no"
    assert options["controlpath"] != _options(ssh, "compute1")["controlpath"]


@needs_openssh
def test_a_path_with_percent_signs_and_spaces(tmp_path: Path) -> None:
    build = tmp_path / "50%h of it"
    build.mkdir()
    client = Ssh(build)
    client.add_config(VAGRANT_SAYS)
    assert _options(client, "controller")["userknownhostsfile"] == str(build / "known_hosts")


def test_config_is_private_and_knows_its_nodes(ssh: Ssh) -> None:
    assert ssh.configured()
    assert ssh.config.stat().st_mode & 0o777 == 0o600
    assert SshConfig(ssh.config.parent).nodes() == ["controller", "compute1"]


def test_machines_that_are_made_again_have_no_old_host_keys(ssh: Ssh) -> None:
    known = ssh.config.with_name("known_hosts")
    known.write_text("controller ssh-ed25519 AAAA\n")
    ssh.add_config(VAGRANT_SAYS)
    assert known.read_text() == ""
    assert known.stat().st_mode & 0o777 == 0o600


def test_a_machine_is_added_and_another_forgotten_with_their_keys(ssh: Ssh) -> None:
    keys = ssh.build_dir / "known_hosts"
    keys.write_text("controller ssh-ed25519 A\ncompute1 ssh-ed25519 B\n")
    ssh.add_config("Host compute2\n  HostName 192.168.121.9\n  User vagrant\n")
    assert ssh.nodes() == ["controller", "compute1", "compute2"]
    assert keys.read_text().count("\n") == 2
    before = ssh.config.read_text()
    ssh.add_config("Host compute2\n  HostName 192.168.121.9\n  User vagrant\n")
    assert ssh.config.read_text() == before
    ssh.forget(["compute1", "compute7"])
    assert ssh.nodes() == ["controller", "compute2"]
    assert keys.read_text() == "controller ssh-ed25519 A\n"
    assert keys.stat().st_mode & 0o777 == 0o600
    assert 'IdentityFile "/my labs/' in ssh.config.read_text()


def test_the_key_of_a_machine_that_is_made_again_is_forgotten_whatever_ssh_config_knows(ssh: Ssh) -> None:
    keys = ssh.build_dir / "known_hosts"
    keys.write_text("compute2 ssh-ed25519 OLD\ncontroller ssh-ed25519 A\n")
    assert "compute2" not in ssh.nodes()  # as after a `lab up` that was cut short
    ssh.forget(["compute2"])
    assert keys.read_text() == "controller ssh-ed25519 A\n"


def test_another_host_key_is_refused_at_once_with_what_to_do(ssh: Ssh, notes: Path) -> None:
    notes.with_name("notes.changed").touch()
    began = time.monotonic()
    with pytest.raises(HostKeyError, match="compute1 has another host key") as caught:
        ssh.wait_ready("compute1", 60.0)
    assert time.monotonic() - began < 30
    assert f"ssh-keygen -f {ssh.build_dir / 'known_hosts'} -R compute1" in caught.value.hint


def test_a_wait_for_a_lab_to_be_well_ends_where_another_machine_answers(ssh: Ssh, notes: Path) -> None:
    notes.with_name("notes.changed").touch()
    with pytest.raises(HostKeyError):
        look(ssh, "compute1", Expected(units=("nova-compute",)), 0.0)


def test_a_machine_keeps_the_key_of_its_box_when_the_box_goes(ssh: Ssh, tmp_path: Path) -> None:
    box = tmp_path / "box key"
    box.write_text("PRIVATE\n")
    data = ssh.build_dir / ".vagrant/machines/compute2/libvirt"
    data.mkdir(parents=True)
    ssh.add_config(f'Host compute2\n  HostName 192.168.121.9\n  IdentityFile "{box}"\n')
    own = data / "private_key"
    assert own.read_text() == "PRIVATE\n"
    assert own.stat().st_mode & 0o777 == 0o600
    assert f'IdentityFile "{own}"' in ssh.config.read_text()
    assert str(box) not in ssh.config.read_text()


def test_an_empty_answer_of_vagrant_is_an_error(ssh: Ssh) -> None:
    with pytest.raises(MachineError, match="names no machine"):
        ssh.add_config("\n")
    assert ssh.configured()


@pytest.mark.parametrize("depth", [0, 10, 40])
def test_socket_paths_are_short_enough(tmp_path: Path, depth: int) -> None:
    socket_dir = SshConfig(tmp_path.joinpath(*["deep"] * depth)).socket_dir()
    assert len(str(socket_dir / "controller")) + 17 <= 107


def test_long_build_directories_do_not_share_sockets(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["deep"] * 40)
    assert SshConfig(deep / "a").socket_dir() != SshConfig(deep / "b").socket_dir()


def test_a_socket_directory_that_others_may_enter_is_refused(ssh: Ssh) -> None:
    socket_dir = SshConfig(ssh.config.parent).socket_dir()
    socket_dir.mkdir(mode=0o700)
    socket_dir.chmod(0o755)
    with pytest.raises(HostError, match="0700"):
        ssh.run("controller", "true")
    socket_dir.rmdir()
    socket_dir.symlink_to("/tmp")
    try:
        with pytest.raises(HostError, match="0700"):
            ssh.run("controller", "true")
    finally:
        socket_dir.unlink()


@pytest.mark.parametrize("word", ["a b", "it's", "$HOME", "a;b", "%s", "", "*", "back\\slash"])
def test_words_arrive_as_they_were(ssh: Ssh, word: str) -> None:
    assert ssh.run("controller", ["printf", "%s", word]).stdout == word


def test_a_line_is_the_shells(ssh: Ssh) -> None:
    assert ssh.run("controller", "printf '%s' a | tr a b").stdout == "b"


def test_input_is_not_in_the_arguments(ssh: Ssh, notes: Path) -> None:
    assert ssh.run("controller", ["cat"], input="s3cret").stdout == "s3cret"
    assert "s3cret" not in notes.read_text()
    assert "-F" in notes.read_text()


def test_a_failure_tells_the_node_the_command_and_what_it_said(ssh: Ssh) -> None:
    with pytest.raises(MachineError) as caught:
        ssh.run("compute1", ["sh", "-c", "echo no such unit >&2; exit 4"])
    assert caught.value.message.startswith("on compute1: sh -c ")
    assert caught.value.message.endswith("failed with exit code 4")
    assert caught.value.detail == "no such unit"
    assert ssh.run("compute1", "exit 4", check=False).returncode == 4


def test_a_run_has_a_limit(ssh: Ssh) -> None:
    with pytest.raises(MachineError, match="on controller: sleep 30 did not end within 0 s"):
        ssh.run("controller", "sleep 30", timeout_s=0.2)


def test_stream_hands_over_lines_and_the_exit_code(ssh: Ssh) -> None:
    lines: list[str] = []
    assert ssh.stream("controller", "echo one; echo two >&2; printf 'three\\r\\n'; exit 3", lines.append) == 3
    assert lines == ["one", "two", "three"]


def test_stream_has_a_limit(ssh: Ssh) -> None:
    started = time.monotonic()
    with pytest.raises(MachineError, match="did not end within"):
        ssh.stream("controller", "echo one; exec sleep 30", lambda _line: None, timeout_s=0.3)
    assert time.monotonic() - started < 25


def test_an_error_of_the_reader_ends_the_stream(ssh: Ssh) -> None:
    def refuse(line: str) -> None:
        raise RuntimeError(line)

    started = time.monotonic()
    with pytest.raises(RuntimeError, match="one"):
        ssh.stream("controller", "echo one; exec sleep 30", refuse)
    assert time.monotonic() - started < 25


def test_abort_ends_running_streams_and_stops_new_ones(ssh: Ssh) -> None:
    codes: list[int] = []
    running = threading.Event()
    command = "echo up; exec sleep 30"
    thread = threading.Thread(target=lambda: codes.append(ssh.stream("controller", command, lambda _: running.set())))
    thread.start()
    assert running.wait(10)
    ssh.abort()
    thread.join(10)
    assert codes
    assert codes[0] < 0
    with pytest.raises(MachineError, match="interrupted"):
        ssh.stream("controller", "true", lambda _line: None)


HELD = "sleep 50 & echo up; exec sleep 30"
"""as with an open connection, whose master holds the output of a client that was ended"""


def test_abort_does_not_wait_for_who_else_holds_the_output(ssh: Ssh) -> None:
    started = time.monotonic()
    assert ssh.stream("controller", HELD, lambda _line: ssh.abort()) < 0
    assert time.monotonic() - started < 40


def test_abort_ends_a_command_that_is_waited_for(ssh: Ssh) -> None:
    started = time.monotonic()
    threading.Timer(0.5, ssh.abort).start()
    with pytest.raises(MachineError, match="interrupted"):
        ssh.run("controller", HELD, timeout_s=60)
    assert time.monotonic() - started < 40
    with pytest.raises(MachineError, match="interrupted"):
        ssh.run("controller", "true")


def test_much_input_reaches_a_slow_reader(ssh: Ssh) -> None:
    sent = "x" * 1_000_000
    assert ssh.run("controller", "sleep 1; wc -c", input=sent, timeout_s=30).stdout.split() == ["1000000"]


def test_the_limit_does_not_wait_for_who_else_holds_the_output(ssh: Ssh) -> None:
    started = time.monotonic()
    with pytest.raises(MachineError, match="did not end within"):
        ssh.stream("controller", HELD, lambda _line: None, timeout_s=0.5)
    assert time.monotonic() - started < 40


def test_a_long_output_arrives_whole_also_when_the_command_ends_before_it_is_read(ssh: Ssh) -> None:
    lines: list[str] = []

    def slowly(line: str) -> None:
        if not lines:
            time.sleep(0.5)
        lines.append(line)

    assert ssh.stream("controller", "seq 2999; printf 'no newline \\303\\244'", slowly) == 0
    assert lines == [*map(str, range(1, 3000)), "no newline \u00e4"]


def test_push_replaces_a_directory(ssh: Ssh, tmp_path: Path) -> None:
    local = tmp_path / "payload"
    (local / "steps").mkdir(parents=True)
    (local / "env").write_text("NOVA_PASS=x\n")
    (local / "env").chmod(0o600)
    (local / "steps" / "10-a.sh").write_text("#!/bin/sh\n")
    (local / "steps" / "10-a.sh").chmod(0o700)
    remote = tmp_path / "node" / "opt" / "lab"
    remote.mkdir(parents=True)
    (remote / "stale").touch()
    ssh.push("controller", local, str(remote))
    assert {p.relative_to(remote).as_posix() for p in remote.rglob("*")} == {"env", "steps", "steps/10-a.sh"}
    assert remote.stat().st_mode & 0o777 == 0o700
    assert (remote / "env").stat().st_mode & 0o777 == 0o600
    assert (remote / "steps/10-a.sh").stat().st_mode & 0o777 == 0o700
    assert not remote.with_name("lab.new").exists()


def test_push_that_fails_leaves_the_old_directory(ssh: Ssh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = tmp_path / "lab"
    remote.mkdir()
    (remote / "old").touch()
    (tmp_path / "bin" / "tar").write_text("#!/bin/sh\nexit 2\n")
    (tmp_path / "bin" / "tar").chmod(0o755)
    with pytest.raises(MachineError, match="exit code 2"):
        ssh.push("controller", tmp_path / "bin", str(remote))
    assert (remote / "old").exists()


def test_wait_ready_comes_back_when_the_node_answers(ssh: Ssh, notes: Path) -> None:
    refuse = Path(f"{notes}.refuse")
    refuse.touch()
    threading.Timer(0.5, refuse.unlink).start()
    ssh.wait_ready("controller", 30)
    assert "sudo -n true" in notes.read_text()


def test_wait_ready_has_a_limit_and_says_where_to_look(ssh: Ssh, notes: Path) -> None:
    Path(f"{notes}.refuse").touch()
    with pytest.raises(MachineError, match="compute1 did not answer to ssh within 1 s") as caught:
        ssh.wait_ready("compute1", 0.6)
    assert caught.value.detail == "Connection refused"
    assert "logs/compute1/console.log" in caught.value.hint


def test_a_node_without_an_address_is_not_waited_for(ssh: Ssh, notes: Path) -> None:
    before = time.monotonic()
    with pytest.raises(MachineError, match="the address of compute9 is not known") as caught:
        ssh.wait_ready("compute9", 60)
    assert time.monotonic() - before < 30
    assert "lab up" in caught.value.hint


def test_abort_ends_the_waiting(ssh: Ssh, notes: Path) -> None:
    Path(f"{notes}.refuse").touch()
    threading.Timer(0.5, ssh.abort).start()
    with pytest.raises(MachineError, match="interrupted"):
        ssh.wait_ready("controller", timeout_s=60)


def test_interactive_gives_the_exit_code_and_asks_for_a_terminal(ssh: Ssh, notes: Path) -> None:
    assert ssh.interactive("controller", ["sh", "-c", "exit 5"]) == 5
    assert ssh.interactive("controller") == 0
    assert shlex.split(notes.read_text().splitlines()[-1])[-2:] == ["-t", "controller"]


def test_without_a_config_there_is_no_lab(tmp_path: Path) -> None:
    client = Ssh(tmp_path)
    assert not client.configured()
    client.close()
    with pytest.raises(MachineError, match="no ssh_config") as caught:
        client.run("controller", "true")
    assert "lab up" in caught.value.hint


def test_close_ends_standing_connections(ssh: Ssh, notes: Path) -> None:
    ssh.run("controller", "true")
    socket = SshConfig(ssh.config.parent).socket_dir() / "controller"
    socket.touch()
    ssh.close()
    assert "-O exit controller" in notes.read_text()
    assert not socket.parent.exists()
