"""Runs in a box, with the box's own Python: prints the options that a service's own lists have, as JSON.

    list_options.py NAME…

The names are those of lists as oslo.config's sample generator knows them (entry points of `oslo.config.opts`); those
that the box does not have are left out. Where a section logs in (`auth_type`), the options of the password plugin are
listed too, which not all lists have. One service per process: the lists of two may claim the same name. It keeps to the
Python of Debian 11 (3.9).

Output: [{"section", "option", "default", "deprecated" (why; "" where it is not), "now" (of a former name: what it is
called now; else "")}]
"""

from __future__ import annotations

import json
import logging
import sys
from importlib.metadata import entry_points
from typing import Any

LOGIN = "password"
"""the plugin that all of the lab's services log in with"""


def rows(section: str, option: Any) -> list[dict[str, str]]:
    """Give an option under its name, and under each of its former ones."""
    why = ""
    if option.deprecated_for_removal:
        since = f" (since {option.deprecated_since})" if option.deprecated_since else ""
        why = " ".join((option.deprecated_reason or "deprecated for removal").split()) + since
    default = "" if option.default is None else str(option.default)
    found = [{"section": section, "option": option.dest, "default": default, "deprecated": why, "now": ""}]
    for former in option.deprecated_opts:
        place, name = former.group or section, (former.name or option.dest).replace("-", "_")
        if (place, name) != (section, option.dest):
            now = f"[{section}] {option.dest}"
            found.append({**found[0], "section": place, "option": name, "now": now})
    return found


def options_of(listed: list[Any]) -> list[dict[str, str]]:
    """Take a list apart: pairs of a group (None, a name or an object) and its options."""
    from keystoneauth1 import loading  # the box has it, this machine need not

    found: dict[tuple[str, str], dict[str, str]] = {}
    for group, options in listed:
        section = str(getattr(group, "name", group) or "DEFAULT")
        options = list(options)
        if any(option.name in ("auth_type", "auth-type") for option in options):
            options += loading.get_auth_plugin_conf_options(LOGIN)
        for option in options:
            for row in rows(section, option):
                known = found.get((row["section"], row["option"]))
                if known is None or known["now"]:  # a present name comes before a former one
                    found[row["section"], row["option"]] = row
    return list(found.values())


def main() -> None:
    """Ask each list."""
    logging.disable(logging.WARNING)
    points: Any = entry_points()
    group = "oslo.config.opts"
    points = points.select(group=group) if hasattr(points, "select") else points.get(group, ())
    lists = {point.name: point for point in points}
    listed = [pair for name in sys.argv[1:] if name in lists for pair in lists[name].load()()]
    json.dump(options_of(listed), sys.stdout)


if __name__ == "__main__":
    main()
