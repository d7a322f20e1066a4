"""From what a node's programs print to values."""

from __future__ import annotations

import configparser
import contextlib
import functools
import re


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


@functools.cache
def _ini(text: str) -> configparser.ConfigParser:
    """Read an option file, which may repeat sections and options: the last value counts, as for the services."""
    parser = configparser.ConfigParser(
        allow_no_value=True,
        strict=False,
        empty_lines_in_values=False,
        default_section="",
        interpolation=None,
    )
    parser.optionxform = str  # type: ignore[assignment, method-assign] # names are told apart by their case
    with contextlib.suppress(configparser.ParsingError):  # of one line; the others are read
        parser.read_string(f"[(before the first)]\n{text}")
    return parser


def effective(text: str, section: str, option: str) -> str | None:
    """Give the effective value of an option in a file of oslo.config or MariaDB; None where it is not set."""
    values = _ini(text)
    return (values[section][option] or "").strip() if values.has_option(section, option) else None


_GRANT = re.compile(r"GRANT (?P<what>.+?) ON (?P<on>\S+) TO (?P<who>\S+)(?P<rest>.*)")


def grants(rows: list[str], user: str, host: str) -> tuple[frozenset[str], tuple[str, ...]] | None:
    """Read what SHOW GRANTS says of an account among others; None where it says nothing.

    First the databases with ALL PRIVILEGES on everything in them and no GRANT OPTION; then every other grant but the
    bare USAGE that each account has. MariaDB quotes names with backticks, before 10.1 with apostrophes.
    """
    account = re.compile(f"[`']{re.escape(user)}[`']@[`']{re.escape(host)}[`']")
    mine = [row for row in rows if account.search(row)]
    databases, others = set(), []
    for row in mine:
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
    return (frozenset(databases), tuple(others)) if mine else None


def upgrade_problems(text: str) -> list[str]:
    """Read the table of `nova-status upgrade check`: what does not say Success, with its details."""
    found: list[str] = []
    for cell in re.split(r"\+-+\+", text):
        body = " ".join(line.strip("| ") for line in cell.splitlines()).strip()
        match = re.match(r"Check: (.+?) Result: (\w+)(?: Details: (.*))?", body)
        if match and match[2] != "Success":
            found.append(f"{match[1]}: {match[2]}{f' ({match[3].strip()})' if match[3] else ''}")
    return found
