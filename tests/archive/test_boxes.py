"""Units, ports and files of a step are those that the packages in the box bring."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

import pytest

from archive.box import Option
from archive.cases import Case, cases
from archive.test_options import LISTS, known_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from archive.box import OpenBox, Options
    from lab.inputs.steps import Role

UNITS = "/usr/lib/systemd/system", "/lib/systemd/system"
PORT_FILES = {
    "mariadb": "/etc/mysql/mariadb.cnf",
    "rabbitmq-server": "/etc/rabbitmq/rabbitmq-env.conf",
    "memcached": "/etc/memcached.conf",
    "apache2": "/etc/apache2/ports.conf",
}
"""where a unit's packages tell its port; those of the others tell it in /etc/init.d in its unit, or in its program"""
PORT = re.compile(r"^[#\s]*(?:UWSGI_PORT=|NODE_PORT=|port\s*=\s*|Listen\s+|-p\s+)(\d+)\s*$", re.MULTILINE)
"""a line of such a file that tells it, the default in a comment too"""
ARGUMENT = re.compile(r"(?:(?<= --http-socket 0\.0\.0\.0:)|(?<= --port )|(?<=\bdefault_port=))\d+")
"""what tells it in the command of a unit, or in its program"""
PORT_OPTIONS = {
    "glance-api": [("DEFAULT", "bind_port")],
    "neutron-server": [("DEFAULT", "bind_port")],
    "nova-api": [("DEFAULT", "osapi_compute_listen_port"), ("DEFAULT", "metadata_listen_port")],
    "nova-api-metadata": [("DEFAULT", "metadata_listen_port")],
    "nova-novncproxy": [("vnc", "novncproxy_port")],
    "nova-spicehtml5proxy": [("spice", "html5proxy_port")],
    "nova-serialproxy": [("serial_console", "serialproxy_port")],
    "nova-xvpvncproxy": [("vnc", "xvpvncproxy_port")],
}
"""the options whose defaults are a unit's ports, where no file tells them"""
CONFIGURED_BEFORE = {"nova-serialproxy": "/etc/nova/nova.conf"}
"""the file of a unit's options, where another step sets them than the one that starts it"""


def ports_of(unit: str, text: str, options: Options) -> set[str]:
    """Give the ports that a unit listens on: as its files tell them, or its options."""
    told = {*PORT.findall(text), *ARGUMENT.findall(text)}
    return told or {options[name].default for name in PORT_OPTIONS.get(unit, ()) if name in options}


def unit_file(unit: str) -> str:
    return unit if "." in unit else f"{unit}.service"


def port_files(unit: str) -> list[str]:
    """Name the files that may tell a unit's ports."""
    service, _, program = unit.partition("-")
    own = PORT_FILES.get(unit, f"/etc/init.d/{unit}")
    virtualenv = f"/opt/{service}/lib/python2.7/site-packages/{service}/cmd/{program}.py"
    return [own, *(f"{place}/{unit_file(unit)}" for place in UNITS), virtualenv]


@pytest.mark.parametrize("case", cases(lambda step: step.facts.units or step.facts.units_off))
def test_the_packages_bring_the_units(case: Case, opened: Callable[[Case, Role], OpenBox]) -> None:
    units = {unit_file(unit) for unit in (*case.step.facts.units, *case.step.facts.units_off)}
    for role in case.step.facts.on:
        paths = opened(case, role).existing([f"{place}/{unit}" for place in UNITS for unit in sorted(units)])
        assert units - {posixpath.basename(path) for path in paths} == set(), role


@pytest.mark.parametrize("case", cases(lambda step: step.facts.sockets))
def test_the_units_listen_on_the_ports(case: Case, opened: Callable[[Case, Role], OpenBox]) -> None:
    ports = {socket.rpartition(":")[2] for socket in case.step.facts.sockets}
    units = case.step.facts.units
    configured = {option.path for option in case.step.options}
    configured |= {CONFIGURED_BEFORE[unit] for unit in units if unit in CONFIGURED_BEFORE}
    for role in case.step.facts.on:
        box = opened(case, role)
        options: Options = {}
        for path in sorted(configured & LISTS.keys()):
            options |= known_options(box, case.release, path)
        told = set[str]()
        for unit in units:
            told |= ports_of(unit, box.read(port_files(unit)), options)
        assert ports - told == set(), role


def test_a_number_that_is_no_port_is_none() -> None:
    """Else any number of a long script would do, or any option's default."""
    options = {
        ("spice", "html5proxy_port"): Option("6082", "", ""),
        ("DEFAULT", "osapi_compute_listen_port"): Option("8774", "", ""),
        ("DEFAULT", "service_down_time"): Option("60", "", ""),
    }
    script = "# Provides: nova-api 2.0\nUWSGI_PORT=8774\nCUR_PORT=$(( ${UWSGI_PORT} + 1 ))\nsleep 30\nexit 3\n"
    assert ports_of("nova-api", script, options) == {"8774"}
    assert ports_of("nova-conductor", "exit 3\n", options) == set()
    assert ports_of("nova-spicehtml5proxy", "", options) == {"6082"}
    assert ports_of("glance-api", "#UWSGI_PORT=9292\n", options) == {"9292"}
    assert ports_of("memcached", "# -p is the port\n-p 11211\n-m 64\n", {}) == {"11211"}
    assert ports_of("mariadb", "[client-server]\n# port = 3306\n", {}) == {"3306"}
    assert ports_of("apache2", "Listen 80\n<IfModule ssl_module>\n\tListen 443\n</IfModule>\n", {}) == {"80", "443"}
    assert ports_of("rabbitmq-server", "#NODE_PORT=5672\n", {}) == {"5672"}
    assert ports_of("nova-api", "ExecStart=/opt/nova/bin/nova-api --workers 60\n", options) == {"8774"}
    uwsgi = "ExecStart=uwsgi --http-socket 0.0.0.0:5000 --http-socket 0.0.0.0:35357 --buffer-size 65535\n"
    assert ports_of("keystone", uwsgi, {}) == {"5000", "35357"}
    assert ports_of("nova-placement-api", "ExecStart=nova-placement-api --port 8778\n", {}) == {"8778"}
    assert ports_of("glance-registry", "server.start(app, default_port=9191)\n", {}) == {"9191"}


@pytest.mark.parametrize("case", cases(lambda step: step.options or step.facts.logs))
def test_the_packages_bring_the_files(case: Case, opened: Callable[[Case, Role], OpenBox]) -> None:
    """`crudini` and `cat >` would make a file that no service reads, without a word."""
    wanted = {option.path for option in case.step.options} | {posixpath.dirname(log) for log in case.step.facts.logs}
    for role in case.step.facts.on:
        assert wanted - opened(case, role).existing(sorted(wanted)) == set(), role
