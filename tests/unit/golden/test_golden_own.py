"""What a lab from a golden one gets for itself: the order of it, what each interruption leaves, and the script."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from sample_plans import SECRETS, sample_plan

from lab.base.durable import write_text
from lab.base.errors import MachineError
from lab.base.process import Completed
from lab.golden import mark
from lab.golden.own import SCRIPT, make_own
from lab.nodes.ssh_config import SshConfig
from lab.planning.project import Lab
from lab.planning.secrets import Secrets

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PLAN = sample_plan()
NODES = [node.name for node in PLAN.nodes]


class Nodes:
    """Nodes that note what they are told, as Ssh tells them."""

    def __init__(self, build: Path) -> None:
        self._config, self._build = SshConfig(build), build
        self.commands: list[tuple[str, tuple[str, ...]]] = []
        self.files: dict[str, dict[str, bytes]] = {}
        self.trusted: dict[str, list[str]] = {}
        self.keys_used: list[str] = []
        self.refuses = ""
        self.listening = set(NODES)

    def run(self, node: str, command: Sequence[str], *, input: bytes = b"", timeout_s: float = 0) -> Completed:  # noqa: A002
        self.commands.append((node, tuple(command)))
        self.keys_used.append((mark.vagrants(self._build, node) / "private_key").read_text())
        assert node in self.listening
        if node == self.refuses:
            raise MachineError("no")
        if input:
            with tarfile.open(fileobj=io.BytesIO(input)) as archive:
                self.files[node] = {
                    entry.name: file.read() for entry in archive if (file := archive.extractfile(entry))
                }
            self.trusted[node] = self._config.known_hosts.read_text().splitlines()
        return Completed(tuple(command), 0, "", "", 0.0)

    def drop(self, nodes: Sequence[str]) -> None:
        self.listening -= set(nodes)  # sshd starts again

    def wait_ready(self, node: str, timeout_s: float) -> None:
        self.listening.add(node)

    def abort(self) -> None:
        pass


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    build, golden = tmp_path / "build", tmp_path / "golden"
    for node in NODES:
        kept = golden / "vagrant" / node
        kept.mkdir(parents=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", kept / "private_key"], check=True)
        mark.vagrants(build, node).mkdir(parents=True)
        write_text(mark.vagrants(build, node) / "private_key", (kept / "private_key").read_text(), mode=0o600)
    SshConfig(build).trust(NODES[0], ["ssh-ed25519 OLD"])
    SshConfig(build).trust("mine", ["ssh-ed25519 MINE"])
    return Lab(build, PLAN, Secrets(SECRETS))


def test_each_node_gets_its_own_and_loses_the_goldens(lab: Lab, tmp_path: Path) -> None:
    nodes: Any = Nodes(lab.build_dir)
    make_own(lab, tmp_path / "golden", nodes)
    for node in NODES:
        private = mark.vagrants(lab.build_dir, node) / "private_key"
        public = subprocess.run(["ssh-keygen", "-y", "-f", private], check=True, capture_output=True, text=True).stdout
        assert nodes.files[node]["login.pub"].decode().split()[1] == public.split()[1]
        assert private.stat().st_mode & 0o777 == 0o600
        assert set(nodes.files[node]) == {
            "login.pub",
            "machine-id",
            "random",
            *(f"ssh_host_{kind}_key{end}" for kind in ("ed25519", "ecdsa") for end in ("", ".pub")),
        }
        old = (tmp_path / "golden" / "vagrant" / node / "private_key.pub").read_text().split()[1]
        taken = [command[-1] for name, command in nodes.commands if name == node][-1]
        assert taken == old
    for what in ("random", "machine-id", "ssh_host_ed25519_key"):
        assert len({nodes.files[node][what] for node in NODES}) == len(NODES)
    told = [word for _, command in nodes.commands for word in command]
    assert not [word for word in told if "PRIVATE KEY" in word]
    assert not list(lab.build_dir.glob(".own-*"))


def test_ssh_trusts_the_new_host_keys_before_they_are_there_and_at_the_end_only_them(lab: Lab, tmp_path: Path) -> None:
    nodes: Any = Nodes(lab.build_dir)
    make_own(lab, tmp_path / "golden", nodes)
    first = NODES[0]
    new = [
        f"{first} {' '.join(nodes.files[first][f'ssh_host_{kind}_key.pub'].decode().split()[:2])}"
        for kind in ("ed25519", "ecdsa")
    ]
    assert set(nodes.trusted[first]) >= {f"{first} ssh-ed25519 OLD", *new}
    lines = (lab.build_dir / "known_hosts").read_text().splitlines()
    assert [line for line in lines if line.startswith(f"{first} ")] == new
    assert "mine ssh-ed25519 MINE" in lines


def test_after_a_refusal_the_old_key_opens_and_the_same_again_completes_it(lab: Lab, tmp_path: Path) -> None:
    nodes: Any = Nodes(lab.build_dir)
    nodes.refuses = NODES[-1]
    before = (mark.vagrants(lab.build_dir, NODES[-1]) / "private_key").read_text()
    with pytest.raises(MachineError):
        make_own(lab, tmp_path / "golden", nodes)
    assert (mark.vagrants(lab.build_dir, NODES[-1]) / "private_key").read_text() == before
    nodes.refuses = ""
    make_own(lab, tmp_path / "golden", nodes)
    assert (mark.vagrants(lab.build_dir, NODES[-1]) / "private_key").read_text() != before


def test_a_golden_lab_that_is_gone_has_no_key_to_take_away(lab: Lab, tmp_path: Path) -> None:
    nodes: Any = Nodes(lab.build_dir)
    make_own(lab, tmp_path / "none", nodes)
    assert len(nodes.commands) == len(NODES)


def test_what_the_script_does_on_a_node(lab: Lab, tmp_path: Path) -> None:
    """In a tree of its own; the kernel's random numbers and the services are not asked here, but on real labs."""
    nodes: Any = Nodes(lab.build_dir)
    make_own(lab, tmp_path / "golden", nodes)
    files = nodes.files[NODES[0]]
    tree, programs = tmp_path / "tree", tmp_path / "programs"
    for path in ("etc/ssh", "run", "var/lib/dbus", "var/log/journal/0ld", "home/.ssh"):
        (tree / path).mkdir(parents=True)
    (tree / "etc/machine-id").write_text("0ld\n")
    (tree / "var/lib/dbus/machine-id").write_text("0ld\n")
    (tree / "var/log/journal/0ld/system.journal").write_text("kept")
    (tree / "home/.ssh/authorized_keys").write_text("ssh-ed25519 GOLDEN\n")
    programs.mkdir()
    for name, does in {
        "getent": f"echo 'vagrant:x:1:1::{tree}/home:/bin/sh'",
        "systemctl": f'echo "$*" >>{tmp_path}/asked',
        "python3": f'[ "$(stat -c %s "$2")" = 64 ] && cat >{tmp_path}/program',
        "sync": ":",
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o755)
    script = SCRIPT.read_text()
    for root in ("/run/", "/etc/", "/var/", "/run/"):
        script = script.replace(f" {root}", f" {tree}{root}").replace(f'"{root}', f'"{tree}{root}')
    script = script.replace("$(mktemp -d /run", f"$(mktemp -d {tree}/run").replace("PATH=/usr", f"PATH={programs}:/usr")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in files.items():
            (entry := tarfile.TarInfo(name)).size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    for _ in range(2):  # the same again
        subprocess.run(
            ["bash", "-c", script], input=packed.getvalue(), check=True, env={**os.environ, "SUDO_USER": "x"}
        )
    identity = files["machine-id"].decode()
    assert [(tree / name).read_text() for name in ("etc/machine-id", "var/lib/dbus/machine-id")] == [identity] * 2
    assert (tree / "var/log/journal" / identity.strip() / "system.journal").read_text() == "kept"
    login = files["login.pub"].decode()
    assert (tree / "home/.ssh/authorized_keys").read_text() == f"ssh-ed25519 GOLDEN\n{login}"
    key = tree / "etc/ssh/ssh_host_ed25519_key"
    assert (key.read_bytes(), key.stat().st_mode & 0o777) == (files["ssh_host_ed25519_key"], 0o600)
    assert (tree / "etc/ssh/ssh_host_ed25519_key.pub").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "asked").read_text().split("\n")[:2] == ["restart systemd-journald", "reload ssh"]
    assert not list((tree / "run").iterdir())
