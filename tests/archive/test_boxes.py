"""Units, ports and files of a step are those that the packages in the box bring."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

import pytest

from archive.cases import Case, cases
from archive.test_options import LISTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from archive.box import OpenBox
    from lab.inputs.steps import Role

UNITS = "/usr/lib/systemd/system", "/lib/systemd/system"
PORT_FILES = {
    "mariadb": "/etc/mysql/mariadb.cnf",
    "rabbitmq-server": "/etc/rabbitmq/rabbitmq-env.conf",
    "memcached": "/etc/memcached.conf",
    "apache2": "/etc/apache2/ports.conf",
}
"""where a unit's packages tell its port; those of the others tell it in /etc/init.d, or it is an option's default"""
CONFIGURED_BEFORE = {"nova-serialproxy": "/etc/nova/nova.conf"}
"""the file of a unit's options, where another step sets them than the one that starts it"""


def unit_file(unit: str) -> str:
    return unit if "." in unit else f"{unit}.service"


@pytest.mark.parametrize("case", cases(lambda step: step.facts.units or step.facts.units_off))
def test_the_packages_bring_the_units(case: Case, opened: Callable[[Case, Role], OpenBox]) -> None:
    units = {unit_file(unit) for unit in (*case.step.facts.units, *case.step.facts.units_off)}
    for role in case.step.facts.on:
        paths = opened(case, role).existing([f"{place}/{unit}" for place in UNITS for unit in sorted(units)])
        assert units - {posixpath.basename(path) for path in paths} == set(), role


@pytest.mark.parametrize("case", cases(lambda step: step.facts.sockets))
def test_the_units_listen_on_the_ports(case: Case, opened: Callable[[Case, Role], OpenBox]) -> None:
    ports = {socket.rpartition(":")[2] for socket in case.step.facts.sockets}
    files = [PORT_FILES.get(unit, f"/etc/init.d/{unit}") for unit in case.step.facts.units]
    configured = {option.path for option in case.step.options}
    configured |= {CONFIGURED_BEFORE[unit] for unit in case.step.facts.units if unit in CONFIGURED_BEFORE}
    lists = sorted({name for path in configured for name in LISTS.get(path, ())})
    for role in case.step.facts.on:
        box = opened(case, role)
        told = set(re.findall(r"\d+", box.read(files))) | {option.default for option in box.options(lists).values()}
        assert ports - told == set(), role


@pytest.mark.parametrize("case", cases(lambda step: step.options or step.facts.logs))
def test_the_packages_bring_the_files(case: Case, opened: Callable[[Case, Role], OpenBox]) -> None:
    """`crudini` and `cat >` would make a file that no service reads, without a word."""
    wanted = {option.path for option in case.step.options} | {posixpath.dirname(log) for log in case.step.facts.logs}
    for role in case.step.facts.on:
        assert wanted - opened(case, role).existing(sorted(wanted)) == set(), role
