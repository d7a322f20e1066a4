"""From what a node's programs print to values."""

from __future__ import annotations

import re
from dataclasses import dataclass

SUFFIXES = (".service", ".socket", ".target", ".timer", ".mount", ".path", ".slice")


@dataclass(frozen=True)
class Unit:
    """A systemd unit, as `systemctl show` tells it."""

    load: str
    active: str
    sub: str
    enabled: str
    restarts: str
    result: str

    @property
    def exists(self) -> bool:
        """Whether systemd knows the unit."""
        return self.load not in ("not-found", "")

    @property
    def running(self) -> bool:
        """Whether it runs (or listens, as a socket unit does)."""
        return self.active == "active"

    @property
    def starts_at_boot(self) -> bool:
        """Whether a reboot brings it back: enabled itself, an alias of such a unit, or made by a generator."""
        return self.enabled in ("enabled", "alias", "generated", "linked")

    def __str__(self) -> str:
        if not self.exists:
            return "no such unit"
        words = [f"{self.active} ({self.sub})", self.enabled or "without install section"]
        if self.result not in ("success", ""):
            words.append(f"result {self.result}")
        if self.restarts not in ("0", ""):
            words.append(f"restarted {self.restarts} times by systemd")
        if self.load == "masked":
            words.append("masked")
        return ", ".join(words)


def unit_name(name: str) -> str:
    """Name a unit in full: nova-compute is nova-compute.service."""
    return name if name.endswith(SUFFIXES) else f"{name}.service"


def units(text: str, names: list[str]) -> dict[str, Unit]:
    """Read `systemctl show -p … UNIT…`: one block per unit, in the order of the arguments."""
    found: dict[str, Unit] = {}
    for name, block in zip(names, text.strip().split("\n\n"), strict=False):
        facts = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "LoadState" not in facts:
            continue  # systemctl did not answer: not the same as a unit that is not there
        found[name] = Unit(
            facts["LoadState"],
            facts.get("ActiveState", ""),
            facts.get("SubState", ""),
            facts.get("UnitFileState", ""),
            facts.get("NRestarts", ""),
            facts.get("Result", ""),
        )
    return found


def packages(text: str) -> dict[str, tuple[str, str]]:
    """Read dpkg-query's `NAME<tab>STATUS<tab>VERSION` lines: {name: (status abbreviation as `ii`, version)}."""
    rows = [line.split("\t") for line in text.splitlines() if line.count("\t") == 2]
    return {name: (status.strip(), version) for name, status, version in rows}


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket: address as ss prints it (`*` is both families), and port."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"

    def serves(self, address: str) -> bool:
        """Whether it is the socket that a check means by this address; `*` means any wildcard.

        A listener on 0.0.0.0 is not one on 10.0.0.11, though it answers there: the bind address is the guide's.
        """
        if address in ("*", ""):
            return self.address in ("*", "0.0.0.0", "::")
        if address == "::":
            return self.address in ("*", "::")
        if address == "0.0.0.0":
            return self.address in ("*", "0.0.0.0")
        return self.address == address


def split_address(text: str) -> tuple[str, int]:
    """Split tcp://ADDRESS:PORT (tcp://:::5672, tcp://[::]:5672, tcp://*:80, tcp://80) in address and port."""
    address, _, port = text.removeprefix("tcp://").rpartition(":")
    return address.strip("[]").split("%")[0], int(port)


def listeners(text: str) -> list[Listener]:
    """Read `ss -H -ltn`."""
    rows = [line.split() for line in text.splitlines()]
    return [Listener(*split_address(row[3])) for row in rows if len(row) >= 4]


Options = dict[tuple[str, str], list[str]]


def ini(text: str) -> Options:
    """Read an oslo.config or MariaDB option file: every value of each option, the effective one last.

    Unlike configparser it takes repeated sections and options, as oslo.config does.
    """
    found: Options = {}
    section = ""
    last: list[str] | None = None
    for line in text.splitlines():
        bare = line.strip()
        if not bare or bare[0] in "#;":
            continue
        if bare[0] == "[" and "]" in bare:
            section, last = bare[1 : bare.index("]")], None
        elif line[0] in " \t" and last is not None:
            last[-1] += "\n" + bare
        else:
            name, value = ([*re.split(r"\s*[=:]\s*", bare, maxsplit=1), ""])[:2]
            last = found.setdefault((section, name), [])
            last.append(value)
    return found


def hosts(text: str) -> dict[str, list[str]]:
    """Read /etc/hosts: the addresses of each name, in the file's order."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        words = line.split("#")[0].split()
        for name in words[1:]:
            found.setdefault(name, []).append(words[0])
    return found


_GRANT = re.compile(r"GRANT (?P<what>.+?) ON (?P<on>\S+) TO (?P<who>\S+)(?P<rest>.*)")


@dataclass(frozen=True)
class Grants:
    """What SHOW GRANTS says of one account."""

    databases: frozenset[str]
    """with ALL PRIVILEGES on everything in them, and no GRANT OPTION"""
    others: tuple[str, ...]
    """every other grant but the bare USAGE that each account has, without the password's hash"""


def grants(rows: list[str]) -> Grants:
    """Read the rows of SHOW GRANTS; MariaDB quotes names with backticks, before 10.1 with apostrophes."""
    databases, others = set(), []
    for row in rows:
        match = _GRANT.match(row)
        if not match:
            others.append(row)
            continue
        database = re.fullmatch(r"[`'\"]?([^`'\".]+)[`'\"]?\.\*", match["on"])
        option = "GRANT OPTION" in match["rest"]
        if match["what"] == "USAGE" and match["on"] == "*.*" and not option:
            continue
        if match["what"] == "ALL PRIVILEGES" and database and database[1] != "*" and not option:
            databases.add(database[1].replace("\\_", "_"))
        else:
            others.append(f"{match['what']} ON {match['on']}{' WITH GRANT OPTION' if option else ''}")
    return Grants(frozenset(databases), tuple(others))


def upgrade_problems(text: str) -> list[str]:
    """Read the table of `nova-status upgrade check`: what does not say Success, with its details."""
    found: list[str] = []
    for cell in re.split(r"\+-+\+", text):
        body = " ".join(line.strip("| ") for line in cell.splitlines()).strip()
        match = re.match(r"Check: (.+?) Result: (\w+)(?: Details: (.*))?", body)
        if match and match[2] != "Success":
            found.append(f"{match[1]}: {match[2]}{f' ({match[3].strip()})' if match[3] else ''}")
    return found


@dataclass(frozen=True)
class Server:
    """An instance, as the database of nova has it."""

    id: str
    name: str
    status: str
    """as the API and `openstack server list` say it"""


STATUS = {
    "building": "BUILD",
    "stopped": "SHUTOFF",
    "rescued": "RESCUE",
    "resized": "VERIFY_RESIZE",
    "soft-delete": "SOFT_DELETED",
}
"""vm_state → status, where they are not the same word (nova/api/openstack/common.py)"""


def servers(rows: list[str]) -> list[Server]:
    """Read rows of uuid, name, vm_state and task_state."""
    found = []
    for row in rows:
        uuid, name, state, task = (*row.split("\t"), "", "")[:4]
        status = STATUS.get(state, state.upper())
        found.append(Server(uuid, name, f"{status} ({task})" if task else status))
    return found
