"""Runs in a box, with the Python of a service: prints the options that the service's own lists have, as JSON.

    list_options.py NAME [NAME ...]

The names are those of lists as oslo.config's sample generator knows them (entry points of `oslo.config.opts`); those
that the box does not have are left out. Where a section logs in (`auth_type`), the options of the password plugin are
listed too, which not all lists have. One service per process: the lists of two may claim the same name.

It keeps to what Debian 11 (Python 3.9) and the virtualenvs of boxes/ (2.7) understand, so it has no types.

Output: [{"section", "option", "default", "deprecated" (why; "" where it is not), "now" (of a former name: what it is
called now; else "")}]
"""

import json
import logging
import sys

LISTS = "oslo.config.opts"
LOGIN = "password"
"""the plugin that all of the lab's services log in with"""


def rows(section, option):
    """Give an option under its name, and under each of its former ones."""
    why = ""
    if option.deprecated_for_removal:
        since = getattr(option, "deprecated_since", None)
        why = " ".join((option.deprecated_reason or "deprecated for removal").split())
        why += " (since " + since + ")" if since else ""
    default = "" if option.default is None else str(option.default)
    found = [{"section": section, "option": option.dest, "default": default, "deprecated": why, "now": ""}]
    for former in option.deprecated_opts:
        place, name = former.group or section, (former.name or option.dest).replace("-", "_")
        if (place, name) != (section, option.dest):
            now = "[" + section + "] " + option.dest
            found.append(dict(found[0], section=place, option=name, now=now))
    return found


def options_of(listed):
    """Take a list apart: pairs of a group (None, a name or an object) and its options."""
    from keystoneauth1 import loading  # the box has it, this machine need not

    found = {}
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


def lists():
    """Give the entry point of each list, by the list's name."""
    try:
        from importlib.metadata import entry_points
    except ImportError:  # Python 2.7
        import pkg_resources

        return {point.name: point for point in pkg_resources.iter_entry_points(LISTS)}
    points = entry_points()
    points = points.select(group=LISTS) if hasattr(points, "select") else points.get(LISTS, ())
    return {point.name: point for point in points}


def main():
    """Ask each list."""
    logging.disable(logging.WARNING)
    known = lists()
    listed = [pair for name in sys.argv[1:] if name in known for pair in known[name].load()()]
    json.dump(options_of(listed), sys.stdout)


if __name__ == "__main__":
    main()
