"""From what a node's programs print to values."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass


def unit_text(unit: dict[str, str]) -> str:
    """Tell of a systemd unit, from what `systemctl show` has."""
    if unit["LoadState"] == "not-found":
        return "no such unit"
    words = [f"{unit['ActiveState']} ({unit['SubState']})", unit.get("UnitFileState") or "without install section"]
    if (result := unit.get("Result", "")) not in ("success", ""):
        words.append(f"result {result}")
    if (restarts := unit.get("NRestarts", "")) not in ("0", ""):
        words.append(f"restarted {restarts} times by systemd")
    if unit["LoadState"] == "masked":
        words.append("masked")
    return ", ".join(words)


def split_address(text: str) -> tuple[str, int]:
    """Split tcp://ADDRESS:PORT (tcp://:::5672, tcp://[::]:5672, tcp://*:80, tcp://80) in address and port."""
    address, _, port = text.removeprefix("tcp://").rpartition(":")
    return address.strip("[]").split("%")[0], int(port)


Options = dict[tuple[str, str], list[str]]


@functools.cache
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


def addresses(text: str, name: str) -> list[str]:
    """Read /etc/hosts: the addresses of a name, in the file's order."""
    lines = [line.split("#")[0].split() for line in text.splitlines()]
    return [words[0] for words in lines if name in words[1:]]


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
