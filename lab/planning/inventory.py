"""All that a release has, and how two releases differ."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

from lab.base import resources
from lab.inputs.catalog import load_steps
from lab.inputs.components import load_components
from lab.planning.resolve import choose_steps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.inputs.catalog import LoadedStep
    from lab.inputs.release import Release

Inventory = dict[str, list[str]]
"""by kind, as packages: each thing in one line, sorted"""


def inventory(release: Release) -> Inventory:
    """List all that a release's steps install, start and set, by kind; what only a chapter does, with its name."""
    steps = load_steps(release, resources.PROVISION)
    core = _found(choose_steps(release, steps, ()).values())
    found = {kind: sorted(lines) for kind, lines in core.items()}
    for chapter in release.chapters:
        for kind, lines in _found(choose_steps(release, steps, (chapter,)).values()).items():
            found[kind] += [f"{line}, chapter {chapter}" for line in sorted(lines - core[kind])]
    capabilities = sorted(name for name, has in release.capabilities.items() if has)
    components = [f"{c.name}: {c.in_release(release) or 'gone'}" for c in load_components()]
    return {"components": components, **found, "capabilities": capabilities}


def _found(steps: Iterable[LoadedStep]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {
        kind: set() for kind in ("steps", "packages", "units", "ports", "databases", "endpoints", "options")
    }
    for step in steps:
        facts = step.facts
        for role in facts.on:
            found["steps"].add(f"{step.id} ({', '.join(facts.on)})")
            found["packages"] |= {f"{name} ({role})" for name in facts.packages}
            found["units"] |= {f"{name} ({role})" for name in facts.units}
            found["ports"] |= {f"{socket.rsplit(':', 1)[1]} ({role})" for socket in facts.sockets}
            found["options"] |= {
                f"{role}: {option.path} [{option.section}] {option.option}"
                + (f" = {option.value}" if option.value is not None else "")
                for option in step.options
            }
        found["databases"] |= {database.name for database in facts.databases}
        found["endpoints"] |= {f"{service.type} {service.url}" for service in facts.services}
    return found


def difference(before: Inventory, after: Inventory) -> Iterable[str]:
    """Give the lines of the kinds that differ, each kind under its name; below a component, what became of it."""
    histories = {component.name: component.history for component in load_components()}
    for kind, lines in before.items():
        changes = [f"- {line}" for line in lines if line not in after[kind]]
        changes += [f"+ {line}" for line in after[kind] if line not in lines]
        if not changes:
            continue
        yield f"{kind}:"
        for what, group in groupby(sorted(changes, key=lambda line: (_what(line), line[0] == "+", line)), _what):
            yield from (f"  {line}" for line in group)
            if kind == "components":
                yield from (f"    {line}" for line in histories.get(what, ()))


def _what(line: str) -> str:
    """Tell what a line of a difference is about: an option without its value, a component, the type of an endpoint."""
    return re.split(r" = |: (?!/)| http|, chapter ", line[2:])[0]
