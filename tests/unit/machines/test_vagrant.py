"""The wrapper around Vagrant, with a small program of that name in its place."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from lab.base.errors import HostError, MachineError
from lab.machines.vagrant import Vagrant

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Vagrant]:
    """Put a shell script in Vagrant's place; it notes its arguments in `called`."""
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    build = tmp_path / "build"
    build.mkdir()
    monkeypatch.setenv("PATH", f"{bin_dir}:{os.environ['PATH']}")

    def make(script: str) -> Vagrant:
        program = bin_dir / "vagrant"
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {tmp_path}/called\n{script}\n')
        program.chmod(0o755)
        return Vagrant(build)

    return make


def _called(tmp_path: Path) -> list[str]:
    return (tmp_path / "called").read_text().splitlines()


def test_up_names_no_machine_for_all_of_them(fake: Callable[[str], Vagrant], tmp_path: Path) -> None:
    fake("").up()
    assert _called(tmp_path) == ["up --no-provision"]


def test_several_machines_go_in_one_call(fake: Callable[[str], Vagrant], tmp_path: Path) -> None:
    vagrant = fake("")
    vagrant.up(["controller", "compute1"])
    assert _called(tmp_path) == ["up /^(controller|compute1)$/ --no-provision"]


def test_lines_arrive_with_their_machine(fake: Callable[[str], Vagrant]) -> None:
    lines: list[tuple[str, str]] = []
    fake(
        """
        echo "Bringing machine 'controller' up with 'libvirt' provider..."
        echo "==> compute1: Starting domain."
        echo "    compute1: SSH username: vagrant"
        printf 'Progress: 10%%\\rProgress: 20%%\\r\\n'
        echo "==> controller:  -- Memory:            5120M"
        """
    ).up(on_line=lambda machine, text: lines.append((machine, text)))
    assert lines == [
        ("", "Bringing machine 'controller' up with 'libvirt' provider..."),
        ("compute1", "Starting domain."),
        ("compute1", "SSH username: vagrant"),
        ("controller", "-- Memory:            5120M"),
    ]


def test_what_the_check_raises_ends_it(
    fake: Callable[[str], Vagrant], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.machines.vagrant._CHECK_EVERY_S", 0.2)
    vagrant = fake(f"trap 'echo interrupted >> {tmp_path}/called; exit 1' INT; while :; do sleep 0.05; done")

    def silent() -> None:
        raise HostError("libvirtd does not answer")

    with pytest.raises(HostError, match="libvirtd does not answer"):
        vagrant.up(check=silent, timeout_s=float("inf"))
    assert _called(tmp_path)[-1] == "interrupted"


def test_output_goes_to_a_private_log(fake: Callable[[str], Vagrant]) -> None:
    vagrant = fake("echo out; echo err >&2; printf 'Progress: 10%%\\n'")
    vagrant.up()
    log = vagrant.log.read_text()
    assert "$ vagrant up --no-provision" in log
    assert "out\n" in log
    assert "err\n" in log
    assert "Progress" not in log
    assert vagrant.log.stat().st_mode & 0o777 == 0o600


def test_a_failure_shows_what_vagrant_complained_of(fake: Callable[[str], Vagrant]) -> None:
    vagrant = fake("echo '==> controller: Starting domain.'; echo 'No KVM here.' >&2; exit 1")
    with pytest.raises(MachineError) as caught:
        vagrant.up()
    assert caught.value.message == "vagrant up failed with exit code 1"
    assert caught.value.detail.splitlines() == ["No KVM here.", f"full log: {vagrant.log}"]


def test_a_failure_shows_the_cause_and_not_the_backtrace(fake: Callable[[str], Vagrant]) -> None:
    script = "echo \"/usr/share/a.rb:7:in 'call': no such pool (Libvirt::Error)\" >&2\n"
    script += "for n in $(seq 30); do printf \"\\tfrom /usr/share/b.rb:$n:in 'block in run'\\n\" >&2; done; exit 1"
    with pytest.raises(MachineError) as caught:
        fake(script).up()
    assert "no such pool" in caught.value.detail
    assert "b.rb" not in caught.value.detail


def test_a_silent_failure_shows_the_last_of_stdout(fake: Callable[[str], Vagrant]) -> None:
    with pytest.raises(MachineError, match="exit code 7") as caught:
        fake("for i in $(seq 40); do echo line $i; done; exit 7").up()
    assert "line 40" in caught.value.detail
    assert "line 10\n" not in caught.value.detail


def test_ssh_config_is_stdout_alone(fake: Callable[[str], Vagrant]) -> None:
    vagrant = fake("echo 'Host controller'; echo '  HostName 192.168.121.5'; echo warning >&2")
    assert vagrant.ssh_config() == "Host controller\n  HostName 192.168.121.5\n"


def test_reads_fail_too(fake: Callable[[str], Vagrant]) -> None:
    with pytest.raises(MachineError, match="vagrant ssh-config failed"):
        fake("echo 'not created' >&2; exit 1").ssh_config()


def test_a_call_that_takes_too_long_is_interrupted(fake: Callable[[str], Vagrant], tmp_path: Path) -> None:
    vagrant = fake(f"trap 'echo tidy >> {tmp_path}/called; exit 1' INT; while :; do sleep 0.05; done")
    with pytest.raises(MachineError, match="did not end within 0 s"):
        vagrant.up(timeout_s=0.3)
    assert _called(tmp_path)[-1] == "tidy"


def test_ctrl_c_reaches_vagrant_which_is_waited_for(fake: Callable[[str], Vagrant], tmp_path: Path) -> None:
    vagrant = fake(
        f"trap 'sleep 0.2; echo tidy >> {tmp_path}/called; exit 1' INT; echo ready; while :; do sleep 0.05; done"
    )

    def interrupt(_machine: str, _text: str) -> None:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        vagrant.up(on_line=interrupt)
    assert _called(tmp_path)[-1] == "tidy"


def test_the_callers_vagrant_settings_do_not_reach_it(
    fake: Callable[[str], Vagrant], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAGRANT_CWD", "/elsewhere")
    monkeypatch.setenv("VAGRANT_NO_PARALLEL", "yes")
    monkeypatch.setenv("VAGRANT_HOME", "/its/home")
    fake(f"env | grep ^VAGRANT_ | sort > {tmp_path}/env; pwd >> {tmp_path}/env").up()
    assert (tmp_path / "env").read_text().splitlines() == [
        "VAGRANT_BOX_UPDATE_CHECK_DISABLE=1",
        "VAGRANT_CHECKPOINT_DISABLE=1",
        "VAGRANT_DEFAULT_PROVIDER=libvirt",
        "VAGRANT_HOME=/its/home",
        "VAGRANT_NO_COLOR=1",
        str(tmp_path / "build"),
    ]


def test_without_vagrant_the_host_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="vagrant is not installed"):
        Vagrant(tmp_path).up()


def test_without_a_build_directory(fake: Callable[[str], Vagrant], tmp_path: Path) -> None:
    fake("")
    with pytest.raises(MachineError, match="no such directory"):
        Vagrant(tmp_path / "nowhere" / "deep").up()


def test_machines_are_marked_as_vagrant_marks_them(fake: Callable[[str], Vagrant], tmp_path: Path) -> None:
    data = tmp_path / "build/.vagrant/machines/controller/libvirt"
    data.mkdir(parents=True)
    (data / "id").write_text("b7c1-42\n")
    fake("").mark_provisioned(["controller", "compute1"])
    assert (data / "action_provision").read_text() == "1.5:b7c1-42"
    assert not (tmp_path / "build/.vagrant/machines/compute1").exists()


def test_a_program_that_ends_at_once_is_heard_in_full(fake: Callable[[str], Vagrant]) -> None:
    assert fake("seq 2000").ssh_config().splitlines() == [str(number) for number in range(1, 2001)]


def test_forget_takes_only_this_directorys_machines_off_the_list(
    fake: Callable[[str], Vagrant], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "home"))
    vagrant = fake("")
    vagrant.forget()  # no list yet
    index = tmp_path / "home/data/machine-index/index"
    index.parent.mkdir(parents=True)
    index.with_name("index.lock").touch()
    ours, theirs = {"vagrantfile_path": str(tmp_path / "build")}, {"vagrantfile_path": "/other"}
    index.write_text(json.dumps({"version": 1, "machines": {"a1": ours, "b2": theirs}}))
    vagrant.forget()
    assert json.loads(index.read_text()) == {"version": 1, "machines": {"b2": theirs}}


def test_the_addresses_of_some_machines(fake: Callable[[str], Vagrant], tmp_path: Path) -> None:
    assert fake("echo Host compute2").ssh_config(["compute2"]) == "Host compute2\n"
    assert _called(tmp_path) == ["ssh-config /^(compute2)$/"]


def test_a_vagrant_whose_lab_was_killed_is_told_to_leave_and_waited_for(
    fake: Callable[[str], Vagrant], tmp_path: Path
) -> None:
    fake("sleep 1; echo done > ended")
    program = (
        "import sys; from pathlib import Path; from lab.machines.vagrant import Vagrant\n"
        "Vagrant(Path(sys.argv[1])).up()"
    )
    killed = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "build")])
    deadline = time.monotonic() + 60
    while not (tmp_path / "called").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    lines: list[str] = []
    fake("cat ended 2>/dev/null || echo interrupted").up(on_line=lambda _, text: lines.append(text))
    assert lines == ["interrupted"]


def test_forget_of_one_machine_leaves_the_others(
    fake: Callable[[str], Vagrant], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "home"))
    vagrant = fake("")
    index = tmp_path / "home/data/machine-index/index"
    index.parent.mkdir(parents=True)
    index.with_name("index.lock").touch()
    own = {name: {"name": name, "vagrantfile_path": str(tmp_path / "build")} for name in ("controller", "compute2")}
    index.write_text(json.dumps({"version": 1, "machines": own}))
    for name in own:
        data = tmp_path / "build/.vagrant/machines" / name / "libvirt"
        data.mkdir(parents=True)
        (data / "id").write_text(f"ID-{name}\n")
    vagrant.forget(["compute2"])
    assert list(json.loads(index.read_text())["machines"]) == ["controller"]
    assert (vagrant.machine_id("controller"), vagrant.machine_id("compute2")) == ("ID-controller", "")
