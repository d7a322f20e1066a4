"""The build directory's ssh_config: Vagrant's addresses and keys, our multiplexing.

ssh_config       one Host block per node; for `lab`, for `ssh -F` by hand, for the suite's --ssh-config
known_hosts      the nodes' host keys, as each showed its own first; one that changes is refused by ssh. The keys of
                 machines that the lab makes, or puts back to a checkpoint, are forgotten
mux/             sockets of the open connections, below /tmp where the path would be too long
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from lab.base import durable, safe
from lab.base.errors import HostError, HostKeyError, MachineError
from lab.base.quoting import ssh_config_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CONFIG = "ssh_config"

_KNOWN_HOSTS = "known_hosts"
_OTHER_KEY = "Host key verification failed"
"""ssh's last line then (sshconnect.c)"""
# A Unix socket's path has at most 107 bytes (unix(7)); ssh first makes it under a name 17 longer (mux.c).
_LONGEST_SOCKET_DIR = 107 - 17 - len("/controller")
_PERSIST_S = 900
_CONNECT_S = 30


class SshConfig:
    """The ssh_config of one build directory."""

    def __init__(self, build_dir: Path) -> None:
        self._build_dir = build_dir.absolute()
        self.path = self._build_dir / CONFIG
        self.known_hosts = self._build_dir / _KNOWN_HOSTS

    def nodes(self) -> list[str]:
        """Name the nodes that it knows; none where there is no such file."""
        return list(self._hosts())

    def add(self, vagrant_ssh_config: str) -> None:
        """Add the machines that `vagrant ssh-config` printed, or put them in the place of those of the same name.

        Raises:
            MachineError: no machine is named there.
        """
        new = self._machines_of(vagrant_ssh_config)
        self.forget(new)
        self._write({**self._hosts(), **new})

    def forget(self, names: Iterable[str]) -> None:
        """Take machines out, with their host keys: they are gone, or about to be made again. Others are no error."""
        gone = set(names)
        hosts = self._hosts()
        kept = {name: options for name, options in hosts.items() if name not in gone}
        if kept != hosts:
            self._write(kept)
        self.forget_keys(gone)

    def forget_keys(self, names: Iterable[str]) -> None:
        """Forget host keys: the lab made these machines again, or gave them another disk. Their new keys count."""
        gone = set(names)
        lines = self._lines()
        kept = [line for line in lines if not _names(line, gone)]
        if kept != lines or not self.known_hosts.exists():
            self._write_keys(kept)

    def trust(self, node: str, keys: Iterable[str], *, more: bool = False) -> None:
        """Record a node's host keys, each as its type and its key: instead of those that it had, or in addition."""
        lines = self._lines()
        kept = lines if more else [line for line in lines if not _names(line, {node})]
        self._write_keys([*kept, *(f"{node} {key}\n" for key in keys)])

    def require_its_key(self, node: str, said: str) -> None:
        """Judge by what ssh said whether it was the node that answered.

        Raises:
            HostKeyError: the answer came with another host key than the recorded one.
        """
        if _OTHER_KEY in said:
            raise HostKeyError(
                f"{node} has another host key than the one that the lab has recorded",
                detail="another machine may use its address: nothing was sent to it",
                hint="if you gave the node new keys, or created it again by hand: "
                f"`ssh-keygen -f {shlex.quote(str(self.known_hosts))} -R {node}`, then the same again",
            )

    def _lines(self) -> list[str]:
        try:
            return self.known_hosts.read_text(errors="replace").splitlines(keepends=True)
        except FileNotFoundError:
            return []

    def _write_keys(self, lines: Iterable[str]) -> None:
        """Write known_hosts, for its owner alone; ssh would make it readable by others."""
        durable.write_text(self.known_hosts, "".join(lines), mode=0o600)

    def relocate(self, old: Path) -> None:
        """Write it again for this directory, into which it was moved from another, if there is one."""
        moved = self._hosts()
        was, here = (ssh_config_value(path)[1:-1] for path in (old, self._build_dir))
        for options in moved.values():
            if key := options.get("IdentityFile"):
                quoted = key if key.startswith('"') else ssh_config_value(Path(key))
                options["IdentityFile"] = quoted.replace(f"{was}/", f"{here}/")
        if moved:
            self._write(moved)

    def _hosts(self) -> dict[str, dict[str, str]]:
        with (
            contextlib.suppress(FileNotFoundError),
            open(self.path, encoding="utf-8", errors="replace", opener=safe.private_opener) as file,
        ):
            return hosts_of(file.read())
        return {}

    def _write(self, hosts: Mapping[str, dict[str, str]]) -> None:
        text = "# Made by `lab up` from `vagrant ssh-config`. By hand: ssh -F THIS_FILE controller\n"
        for name, options in hosts.items():
            text += f"\nHost {name}\n" + "".join(f"  {k} {v}\n" for k, v in self._options(name, options).items())
        durable.write_text(self.path, text, mode=0o600)

    def socket_dir(self) -> Path:
        """Name the directory of the sockets."""
        inside = self._build_dir / "mux"
        if len(os.fsencode(inside)) <= _LONGEST_SOCKET_DIR:
            return inside
        digest = hashlib.sha256(os.fsencode(self._build_dir)).hexdigest()[:8]
        return Path(f"/tmp/compute-lab-{os.geteuid()}-{digest}")

    def make_socket_dir(self) -> None:
        """Make that directory, ours alone. One that is not is refused: whoever owns it could listen in.

        Raises:
            HostError: it belongs to somebody else, or others may enter it.
        """
        directory = self.socket_dir()
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in safe.trusted() or found.st_mode & 0o077:
            raise HostError(f"{directory} is not a directory of yours with mode 0700", hint=f"rm -rf {directory}")

    def _machines_of(self, vagrant_ssh_config: str) -> dict[str, dict[str, str]]:
        hosts = hosts_of(vagrant_ssh_config)
        if not hosts:
            raise MachineError("vagrant ssh-config names no machine", detail=vagrant_ssh_config)
        return {name: self._with_own_key(name, options) for name, options in hosts.items()}

    def _with_own_key(self, name: str, options: dict[str, str]) -> dict[str, str]:
        """Copy the key of a box to where Vagrant looks for a machine's own: a box may go, its machines stay."""
        if "IdentityFile" not in options:
            return options
        # Vagrant quotes one with a blank, and knows of no other sign.
        key = Path(options["IdentityFile"].removeprefix('"').removesuffix('"'))
        data = self._build_dir / ".vagrant" / "machines" / name / "libvirt"
        own = data / "private_key"
        if key != own and key.is_file() and data.is_dir():
            durable.write_text(own, key.read_text(encoding="ascii"), mode=0o600, like=data)
            key = own
        return {**options, "IdentityFile": ssh_config_value(key)}

    def _options(self, name: str, vagrants: dict[str, str]) -> dict[str, str]:
        """Give a node's options: Vagrant's address, user and key; ours for the rest."""
        kept = {key: vagrants[key] for key in ("HostName", "User", "Port", "IdentityFile") if key in vagrants}
        return kept | {
            "IdentitiesOnly": "yes",
            "PasswordAuthentication": "no",
            # A node makes its keys at its first boot: that one is accepted, and no other afterwards.
            "StrictHostKeyChecking": "accept-new",
            "HostKeyAlias": name,
            "HashKnownHosts": "no",
            "GlobalKnownHostsFile": "/dev/null",  # that knows other machines of these names
            "UserKnownHostsFile": ssh_config_value(self.known_hosts),
            "LogLevel": "ERROR",
            "ConnectTimeout": str(_CONNECT_S),
            "ServerAliveInterval": "30",
            "ServerAliveCountMax": "10",
            "ForwardAgent": "no",
            "ControlMaster": "auto",
            "ControlPath": ssh_config_value(self.socket_dir() / name),
            "ControlPersist": str(_PERSIST_S),
        }


def _names(line: str, nodes: set[str]) -> bool:
    """Tell whether a line of known_hosts is of one of these."""
    return not nodes.isdisjoint(line.partition(" ")[0].split(","))


def hosts_of(config: str) -> dict[str, dict[str, str]]:
    """Read Host blocks: name to options."""
    hosts: dict[str, dict[str, str]] = {}
    options: dict[str, str] = {}
    for line in config.splitlines():
        key, _, value = line.strip().partition(" ")
        if key == "Host":
            options = hosts.setdefault(value.strip(), {})
        elif key and not key.startswith("#"):
            options[key] = value.strip()
    return hosts
