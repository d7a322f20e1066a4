"""The guide's commands and options (lab/teaching/guide.yaml), looked up in the scripts of the edition that follows it
to the letter: nothing is left out, and nothing is added.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.base import resources
from lab.generator.render import render
from lab.inputs.blocks import config_options
from lab.inputs.catalog import load_steps
from lab.inputs.model import Spec
from lab.inputs.release import load_release, release_names
from lab.planning.plan import HostFacts
from lab.planning.resolve import resolve
from lab.planning.secrets import Secrets
from lab.teaching.guide import load_guide

RELEASE = next(release for release in map(load_release, release_names()) if release.edition == "first-edition")
NOT_DONE = {
    "echo $NOVA_DBPASS": "shows a password",
    "echo $NOVA_PASS": "shows a password",
    "echo $NOVA_DBPASS $RABBIT_PASS $NOVA_PASS": "shows passwords",
    "mysql -u root -p": "asks for a password; root needs none",
    "sudo vi /etc/nova/nova.conf": "is the crudini block of that file",
}
"""commands of the guide that no script has, and why"""


@dataclass
class Chapter:
    """What the guide says and one step does."""

    commands: list[str] = field(default_factory=list)
    """command lines and SQL, in order"""
    options: list[tuple[str, str, str, str]] = field(default_factory=list)
    """file, section, option, value"""


def read() -> dict[str, Chapter]:
    chapters: dict[str, Chapter] = {}
    for section in load_guide().sections:
        (step,) = (step for step in section.step if step in RELEASE.steps)
        chapter = chapters.setdefault(step, Chapter())
        for statement in section.statements:
            if statement.option:
                chapter.options.append((section.file, *statement.parts))
            elif statement.kind in ("command", "sql"):
                chapter.commands.append(statement.text)
    return chapters


def by_name(text: str) -> str:
    """Show a variable as the guide does, by its bare name: NOVA_PASS for "$NOVA_PASS" and ${NOVA_PASS}."""
    return re.sub(r'"?\$\{?([A-Z][A-Z_]+)\}?"?', r"\1", text)


@pytest.fixture(scope="module")
def scripts() -> dict[str, str]:
    """What the nodes of a lab have: the steps' scripts and values, by file name."""
    spec = Spec(name="demo", release=RELEASE.name)
    plan = resolve(spec, RELEASE, load_steps(RELEASE, resources.PROVISION), HostFacts())
    files = render(plan, Secrets.derive("0" * 64, plan.secrets, {}))
    return {Path(path).name: file.text for path, file in files.items() if "/steps/" in path}


CHAPTERS = read()


@pytest.mark.parametrize("step", CHAPTERS)
def test_every_option_of_the_guide_and_no_other(step: str, scripts: dict[str, str]) -> None:
    files = {file for file, *_ in CHAPTERS[step].options}
    found = [
        (option.path, option.section, option.option, by_name(option.value or ""))
        for option in config_options(scripts[f"{step}.sh"])
        if option.path in files and not option.where  # those of a chapter are not the guide's
    ]
    assert found == CHAPTERS[step].options


@pytest.mark.parametrize("step", CHAPTERS)
def test_every_command_of_the_guide_in_its_order(step: str, scripts: dict[str, str]) -> None:
    code = [by_name(line) for line in scripts[f"{step}.sh"].splitlines() if not line.lstrip().startswith("#")]
    at = -1
    for command in dict.fromkeys(CHAPTERS[step].commands):
        if command in NOT_DONE:
            continue
        if command.startswith("apt-get install "):
            values = dict(line.split("=", 1) for line in scripts[f"{step}.env"].splitlines())
            (packages,) = shlex.split(values["LAB_PACKAGES"])
            assert command == f"apt-get install {packages} -y"
            continue
        where = [number for number, line in enumerate(code) if by_name(command) in line]
        assert where, f"no script line has: {command}"
        assert where[-1] > at, f"too early: {command}"
        at = where[-1]


def test_the_guide_is_read_whole() -> None:
    assert {step: (len(c.commands), len(c.options)) for step, c in CHAPTERS.items()} == {
        "50-compute-controller": (28, 24),
        "55-compute-node": (4, 23),
        "71-verify": (2, 0),
    }
    commands = {command for chapter in CHAPTERS.values() for command in chapter.commands}
    assert set(NOT_DONE) <= commands
