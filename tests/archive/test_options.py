"""Every option that a step sets is one that the release's service knows, under its present name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ruamel.yaml import YAML

from archive.cases import Case, option_cases

if TYPE_CHECKING:
    from collections.abc import Callable

    from archive.box import OpenBox, Options
    from lab.inputs.release import Release
    from lab.inputs.steps import Role

LISTS: dict[str, list[str]] = YAML(typ="safe").load(Path(__file__).with_name("lists.yaml"))
DEVIATIONS: dict[str, str] = YAML(typ="safe").load(Path(__file__).with_name("deviations.yaml"))


def known_options(box: OpenBox, release: Release, path: str) -> Options:
    """Give the options that the service knows which reads a file."""
    python = f"/opt/{path.split('/')[2]}/bin/python" if release.virtualenvs else "python3"
    return box.options(LISTS[path], python)


def name_of(case: Case) -> str:
    """The option as deviations.yaml writes it."""
    assert case.option is not None
    return f"{case.option.path} [{case.option.section}] {case.option.option}"


def problem(known: Options, section: str, name: str) -> str:
    """Say what is wrong with an option; empty where it is right."""
    option = known.get((section, name))
    if option is None:
        return "no list has it: a typo, or dropped by the release"
    if option.now:
        return f"a former name of {option.now}"
    return f"deprecated: {option.deprecated}" if option.deprecated else ""


@pytest.fixture(scope="session")
def met() -> set[str]:
    """The deviations that were met."""
    return set()


@pytest.mark.parametrize("case", option_cases())
def test_the_service_knows_the_option(case: Case, opened: Callable[[Case, Role], OpenBox], met: set[str]) -> None:
    assert case.option is not None
    for role in case.step.facts.on:
        known = known_options(opened(case, role), case.release, case.option.path)
        found = problem(known, case.option.section, case.option.option)
        if found and name_of(case) in DEVIATIONS:
            met.add(name_of(case))
        else:
            assert found == "", role


def test_every_deviation_is_met(request: pytest.FixtureRequest, met: set[str]) -> None:
    if request.config.option.keyword or any("::" in argument for argument in request.config.args):
        pytest.skip("not all options were looked at")
    assert set(DEVIATIONS) - met == set()


def test_what_would_be_found() -> None:
    from archive.box import Option

    known = {
        ("vnc", "server_listen"): Option("", "", ""),
        ("vnc", "vncserver_listen"): Option("", "", "[vnc] server_listen"),
        ("api", "auth_strategy"): Option("", "only one is left", ""),
    }
    assert problem(known, "vnc", "server_listen") == ""
    assert problem(known, "vnc", "vncserver_listen") == "a former name of [vnc] server_listen"
    assert problem(known, "api", "auth_strategy") == "deprecated: only one is left"
    assert problem(known, "vnc", "server_listne") == "no list has it: a typo, or dropped by the release"
