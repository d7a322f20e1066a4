"""What a lab from a golden one has for itself alone: ssh host keys, a key to log in, machine ids, random numbers.

All labs from one golden lab would have the golden lab's otherwise. Everything is made on this host, because the nodes'
own random numbers are the same in each such lab until they get new ones. Interrupted at any point, the lab opens with
one of its two keys, and the same again completes it.
"""

from __future__ import annotations

import io
import secrets
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lab.base import durable
from lab.base.process import run
from lab.base.side_by_side import for_all
from lab.golden import mark
from lab.nodes.ssh_config import SshConfig

if TYPE_CHECKING:
    from lab.nodes.ssh import Ssh
    from lab.planning.project import Lab

SCRIPT = Path(__file__).with_name("own.sh")
HOST_KEYS = ("ed25519", "ecdsa")
"""the types that the boxes use: boxes/finish.sh"""
RANDOM_BYTES = 64
_LIMIT_S = 60.0
_NODE_LIMIT_S = 300.0

# Leaves out a line of the key's file; where it is the only one, grep ends with 1.
_TAKE_AWAY = """\
set -eu
file=$(getent passwd "$SUDO_USER" | cut -d: -f6)/.ssh/authorized_keys
{ grep -vF "$1" "$file" || true; } >"$file.new"
chmod 600 "$file.new"
chown "$SUDO_USER:" "$file.new"
mv "$file.new" "$file"
"""


def make_own(lab: Lab, golden: Path, ssh: Ssh) -> None:
    """Give all nodes of a lab, which answer, what is their own; `golden` is the golden lab's directory.

    Raises:
        MachineError: a node refuses, or does not answer any more.
    """
    names = [node.name for node in lab.plan.nodes]
    config = SshConfig(lab.build_dir)
    new = {name: _new_keys(lab.build_dir) for name in names}
    for name in names:
        config.trust(name, new[name].host_publics, more=True)
    for_all(names, lambda name: _give(lab.build_dir, ssh, name, new[name]), on_interrupt=ssh.abort)
    for_all(names, lambda name: _take_away(ssh, name, _goldens(golden, name)), on_interrupt=ssh.abort)
    for name in names:
        config.trust(name, new[name].host_publics)


class _Keys:
    """The new keys of one node, from a directory that is gone then."""

    def __init__(self, directory: Path) -> None:
        self.login = (directory / "login").read_text(encoding="ascii")
        self.files = {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "login"}
        self.files["random"] = secrets.token_bytes(RANDOM_BYTES)
        self.files["machine-id"] = f"{secrets.token_hex(16)}\n".encode()
        self.host_publics = [_public(self.files[f"ssh_host_{kind}_key.pub"].decode()) for kind in HOST_KEYS]


def _new_keys(build_dir: Path) -> _Keys:
    with tempfile.TemporaryDirectory(dir=build_dir, prefix=".own-") as directory:
        for name, kind in (("login", "ed25519"), *((f"ssh_host_{kind}_key", kind) for kind in HOST_KEYS)):
            run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", f"{directory}/{name}"], timeout_s=_LIMIT_S)
        return _Keys(Path(directory))


def _give(build_dir: Path, ssh: Ssh, node: str, keys: _Keys) -> None:
    """Give a node its keys; from here on the new one is used to log in."""
    script = SCRIPT.read_text(encoding="utf-8")
    ssh.run(node, ["sudo", "-n", "bash", "-c", script], input=_tar(keys.files), timeout_s=_NODE_LIMIT_S)
    directory = mark.vagrants(build_dir, node)
    durable.write_text(directory / "private_key", keys.login, mode=0o600, like=directory)
    ssh.drop([node])
    ssh.wait_ready(node, _NODE_LIMIT_S)  # with the new keys, as soon as sshd, which starts again for them, listens


def _take_away(ssh: Ssh, node: str, key: str) -> None:
    if key:
        ssh.run(node, ["sudo", "-n", "sh", "-c", _TAKE_AWAY, "own", key], timeout_s=_NODE_LIMIT_S)


def _goldens(golden: Path, node: str) -> str:
    """Give the public half of the golden lab's key; empty if the golden lab is gone."""
    private = golden / "vagrant" / node / "private_key"
    if not private.exists():
        return ""
    return _public(run(["ssh-keygen", "-y", "-P", "", "-f", private], timeout_s=_LIMIT_S).stdout).partition(" ")[
        2
    ]  # as any line with it has it


def _public(line: str) -> str:
    """Give type and key of a public key's line, without its comment."""
    return " ".join(line.split()[:2])


def _tar(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o600
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()
