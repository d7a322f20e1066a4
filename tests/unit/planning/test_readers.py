"""A unit of one step that reads a file of another: the step that writes the file lets the unit read it again."""

from __future__ import annotations

import re
from itertools import permutations

from lab.base import resources
from lab.inputs.catalog import load_steps
from lab.inputs.release import load_release, release_names

_RESTARTS = re.compile(r"^ *restart_if_\w+ (.+)$", re.MULTILINE)
_WRITTEN = re.compile(r"crudini --merge ([/\w.-]+)")
_BLOCK = re.compile(r'source "\$LAB_DIR/(blocks/[\w.-]+)"')


def scripts() -> dict[str, tuple[frozenset[str], str]]:
    """Give the kinds of nodes and the text of each step, with its blocks, without continued lines and variables."""
    found: dict[str, tuple[frozenset[str], str]] = {}
    for name in release_names():
        release = load_release(name)
        for step in load_steps(release, resources.PROVISION).values():
            if release.edition == "first-edition" or step.id in found:
                continue
            text = step.script.read_text(encoding="utf-8").replace("\\\n", " ")
            text += "".join((resources.PROVISION / block).read_text(encoding="utf-8") for block in _BLOCK.findall(text))
            for variable, value in re.findall(r"^(\w+)=(/\S+)$", text, re.MULTILINE):
                text = text.replace(f'"${variable}"', value)
            text = text.replace("$LAB_UNITS", " ".join(step.facts.units))
            found[step.id] = (frozenset(step.facts.on), text)
    return found


def readers(text: str) -> set[tuple[str, str]]:
    """Give each unit that a script restarts, with each file for whose change it does so."""
    found = set()
    for words in _RESTARTS.findall(text):
        files = {word for word in words.split("#")[0].split() if word.startswith("/")}
        found |= {(unit, file) for unit in re.findall(r"(?<!\S)[a-z][\w-]+(?!\S)", words) for file in files}
    return found


def test_who_writes_a_file_restarts_those_that_read_it() -> None:
    steps = scripts()
    read = {step: readers(text) for step, (_, text) in steps.items()}
    assert ("neutron-l3-agent", "/etc/neutron/neutron.conf") in read["62-router"]
    missing = [
        f"{writer} writes {file}, which {unit} of {reader} reads"
        for writer, reader in permutations(steps, 2)
        if steps[writer][0] & steps[reader][0]
        for unit, file in read[reader]
        if file in _WRITTEN.findall(steps[writer][1]) and (unit, file) not in read[writer]
    ]
    assert not missing, "\n".join(missing)
