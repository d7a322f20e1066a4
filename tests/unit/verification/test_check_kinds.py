"""Every kind of check: a recorded system where it passes, and the same system broken, where it fails and says why."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from infra_fakes import FakeNode, Recording, a_check, judge, load_suite, ran, text
from sample_plans import SECRETS

from lab.base import resources
from lab.inputs.catalog import load_steps
from lab.inputs.model import Spec
from lab.inputs.release import load_release, release_names
from lab.planning.checks import OPENS_WITHIN_S
from lab.planning.plan import HostFacts, HostProof
from lab.planning.project import decide
from lab.verification.cloud import MADE
from lab.verification.registry import KINDS, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.planning.plan import Check, Plan

load_suite()

NOVA_CONF = "/etc/nova/nova.conf"
COMPUTE_CONF = "/etc/nova/nova-compute.conf"


@dataclass(frozen=True)
class Case:
    """A check, a recording in which it holds, and recordings in which it does not, each with what is said then."""

    kind: str
    args: dict[str, Any]
    good: Recording
    broken: list[tuple[Recording, str]]
    node: str = "controller"
    controller: Recording = field(default_factory=dict)


def show(block: dict[str, str]) -> dict[str, Any]:
    base = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled"}
    base |= {"NRestarts": "0", "Result": "success"}
    return ran("".join(f"{k}={v}\n" for k, v in {**base, **block}.items()))


SS = """\
Netid State  Recv-Q Send-Q      Local Address:Port    Peer Address:Port Process
u_str LISTEN 0      128    /run/mysqld/mysqld.sock 20103            * 0
tcp   LISTEN 0      80              10.0.0.11:3306         0.0.0.0:*
tcp   LISTEN 0      128               0.0.0.0:8774         0.0.0.0:*
tcp   LISTEN 0      128                     *:5672               *:*
tcp   LISTEN 0      128                  [::]:4369            [::]:*
udp   UNCONN 0      0                 0.0.0.0:123          0.0.0.0:*
"""

USAGE = "GRANT USAGE ON *.* TO `nova`@`%` IDENTIFIED BY PASSWORD '*B79B482785488AB91D97EAFCAD7BA8839EF65AD3'"


def grant(database: str, what: str = "ALL PRIVILEGES", rest: str = "") -> str:
    return f"GRANT {what} ON `{database}`.* TO `nova`@`%`{rest}"


def sql(*rows: str, rc: int = 0, stderr: str = "") -> Recording:
    return {"sql": ran("".join(f"{row}\n" for row in rows), rc, stderr)}


def rows(listing: str, value: Any) -> Recording:
    return {f"openstack:{listing}": ran(json.dumps(value) + "\n")}


def batch_error(listing: str, said: str) -> Recording:
    return {f"openstack:{listing}": ran("", 1, said)}


def servers(*rows: str, made: str = "") -> Recording:
    """Rows are name and state, of servers with the ids u1, u2 …"""
    lines = [f"u{number}\t{name}\t{state}" for number, row in enumerate(rows, 1) for name, state in [row.split(" ")]]
    texts = text(made) if made else {"exists": False, "error": "No such file or directory"}
    return {**sql(*lines), f"texts:{MADE}": texts}


def console(server: str, *lines: str) -> Recording:
    said = "".join(f"{line}\n" for line in lines)
    return {f"openstack:console log show '{{server:{server}}}'": ran(said), **servers(f"{server} active")}


def domain(uuid: str, kind: str) -> Recording:
    xml = f"<domain type='{kind}' id='1'>\n  <name>instance-1</name>\n  <uuid>{uuid}</uuid>\n</domain>\n"
    return {"domains": ran(xml)}


def web(url: str, **answer: Any) -> Recording:
    return {f"web:{url}": answer}


def assignment(role: str, user: str = "nova@Default", project: str = "service@Default") -> dict[str, Any]:
    return {"Role": role, "User": user, "Group": "", "Project": project, "Domain": "", "System": "", "Inherited": False}


def endpoint(
    interface: str, url: str, enabled: bool = True, region: str = "RegionOne", name: str = "nova"
) -> dict[str, Any]:
    return {
        "ID": "5d0c",
        "Region": region,
        "Service Name": name,
        "Service Type": "compute",
        "Enabled": enabled,
        "Interface": interface,
        "URL": url,
    }


def service(binary: str, state: str = "up") -> dict[str, Any]:
    return {"ID": "c1", "Binary": binary, "Host": "controller", "Zone": "internal", "Status": "enabled", "State": state}


UPGRADE = """\
+-----------------------------------+
| Upgrade Check Results             |
+-----------------------------------+
| Check: Cells v2                   |
| Result: Failure                   |
| Details: No host mappings found   |
|   but there are compute nodes.    |
+-----------------------------------+
| Check: Placement API              |
| Result: Success                   |
| Details: None                     |
+-----------------------------------+
"""
API = "http://controller:8774/v2.1"
TOKEN, QUEUE, LOGIN, LOG, DASHBOARD = "token", "amqp", "login", "log", "login-form"
HORIZON = "http://controller/horizon/auth/login/"
INSIDE = {"status": 200, "url": "http://controller/horizon/project/", "body": "admin <a href='/horizon/auth/logout/'>"}
VNC = "console url show --novnc {server:vm1}"
SPICE = "console url show --spice {server:vm1}"
SERIAL = "console url show --serial {server:vm1}"
SHOW = "server show {server:vm1}"
TOLD = {
    "server": "vm1",
    "path": "/latest/user-data",
    "signed_with": "${RABBIT_PASS}",
    "status": 200,
    "contains": "hello",
}
SWITCHED = {"status": "HTTP/1.1 101 Switching Protocols", "said": ""}
VM1_ACTIVE = servers("vm1 active")
VM1 = {**VM1_ACTIVE, **rows(SHOW, {"id": "5d0c-1", "project_id": "ab12", "name": "vm1"})}
VNC_URL = {"protocol": "novnc", "url": "http://controller:6080/vnc_auto.html?path=%3Ftoken%3Dabc"}
SPICE_URL = {"protocol": "spice", "url": "http://controller:6082/spice_auto.html?token=abc"}
SERIAL_URL = {"protocol": "serial", "url": "ws://controller:6083/?token=abc"}
CONSOLE = {"server": "vm1", "console": "novnc", "password": "${ADMIN_PASS}"}
TRANSPORT = "[DEFAULT]\ntransport_url = rabbit://openstack:{}@controller:5672/\n"
NOVA_GRANTS = {"user": "nova", "host": "%", "grants": ["nova", "nova_api", "nova_cell0"]}
FULL = (USAGE, grant("nova"), grant("nova_api"), grant("nova_cell0"))

CASES = [
    Case(
        "package",
        {"name": "nova-api"},
        {"packages": ran("install ok installed")},
        [
            ({"packages": ran("", 1, "no packages found"), "abbreviation": ran("", 1)}, "not installed"),
            ({"packages": ran("install ok unpacked"), "abbreviation": ran("iU ")}, "dpkg status iU"),
            ({"packages": ran("deinstall ok config-files"), "abbreviation": ran("rc ")}, "dpkg status rc"),
        ],
    ),
    Case(
        "unit",
        {"name": "nova-compute"},
        {"units": show({})},
        [
            ({"units": show({"ActiveState": "inactive", "SubState": "dead"})}, "inactive (dead), enabled"),
            ({"units": show({"UnitFileState": "disabled"})}, "active (running), disabled"),
            ({"units": show({"LoadState": "not-found", "ActiveState": "inactive"})}, "no such unit"),
            ({"units": show({"ActiveState": "activating", "NRestarts": "7"})}, "restarted 7 times by systemd"),
            ({"units": ran("", 1, "Failed to connect to bus\n")}, "Failed to connect to bus"),
        ],
        node="compute1",
    ),
    Case(
        "unit-off",
        {"name": "nova-serialproxy"},
        {"units": show({"ActiveState": "inactive", "SubState": "dead", "UnitFileState": "disabled"})},
        [
            ({"units": show({"UnitFileState": "disabled"})}, "active (running), disabled"),
            ({"units": show({"ActiveState": "inactive", "SubState": "dead"})}, "inactive (dead), enabled"),
            ({"units": ran("", 1, "Failed to connect to bus\n")}, "Failed to connect to bus"),
        ],
    ),
    Case(
        "socket",
        {"address": "tcp://10.0.0.11:3306"},
        {"sockets": ran(SS)},
        [
            ({"sockets": ran(SS.replace("10.0.0.11:3306", "0.0.0.0:3306"))}, "found 0.0.0.0:3306"),
            ({"sockets": ran("")}, "nothing listens on port 3306"),
        ],
    ),
    *(
        Case("socket", {"address": address}, {"sockets": ran(SS)}, [({"sockets": ran("")}, "nothing listens")])
        for address in ("tcp://:::5672", "tcp://0.0.0.0:8774", "tcp://*:4369")
    ),
    Case(
        "port-closed",
        {"port": 35357},
        {"sockets": ran(SS)},
        [({"sockets": ran(SS + "tcp LISTEN 0 9 [::]:35357 [::]:*\n")}, "found :::35357")],
    ),
    Case(
        "database",
        {"name": "nova_cell0"},
        sql("information_schema", "nova", "nova_cell0"),
        [
            (sql("information_schema", "nova"), "databases information_schema, nova"),
            ({"sql": ran("", 1, "ERROR 2002 (HY000): Can't connect to local server\n")}, "Can't connect"),
        ],
    ),
    Case(
        "grants",
        NOVA_GRANTS,
        sql(*FULL),
        [
            (sql(*FULL[:-1]), "none on nova_cell0"),
            (sql(*FULL, grant("mysql")), "besides: mysql"),
            (sql(*FULL[:-1], grant("nova_cell0", "SELECT, INSERT")), "besides: SELECT, INSERT ON `nova_cell0`.*"),
            (sql(*FULL, grant("*").replace("`*`", "*")), "besides: ALL PRIVILEGES ON *.*"),
            (sql(*FULL[:-1], grant("nova_cell0", rest=" WITH GRANT OPTION")), "WITH GRANT OPTION"),
            (
                sql("GRANT USAGE ON *.* TO `nova`@`localhost`", "GRANT USAGE ON *.* TO `keystone`@`%`"),
                "no account 'nova'@'%'",
            ),
        ],
    ),
    Case(
        "db-login",
        {"user": "nova", "password": "${NOVA_DBPASS}", "database": "nova"},
        {LOGIN: ran("")},
        [
            ({LOGIN: ran("", 1, "ERROR 1045 (28000): Access denied for user 'nova'@'controller'\n")}, "over TCP"),
            ({LOGIN: ran("", 2, "ERROR 1045 (28000): Access denied for user 'nova'@'localhost'\n")}, "local socket"),
        ],
    ),
    Case("cell", {"name": "cell1"}, sql("cell0", "cell1"), [(sql("cell0"), "found cells cell0"), (sql(), "(none)")]),
    Case(
        "schema-head",
        {"command": "nova-manage db version", "head": "^ccb0fa1a2252$"},
        {"commands:nova-manage db version": ran("ccb0fa1a2252\n")},
        [
            ({"commands:nova-manage db version": ran("16f1fbcab42b\n")}, "16f1fbcab42b"),
            ({"commands:nova-manage db version": ran("ccb0fa1a2252\n", 1, "no\n")}, "exit code 1: no"),
        ],
    ),
    Case(
        "queue-user",
        {"name": "openstack", "password": "${RABBIT_PASS}"},
        {QUEUE: {"open": True}},
        [
            ({QUEUE: {"error": "ACCESS_REFUSED - Login was refused"}}, "Login was refused"),
            ({QUEUE: {"error": "[Errno 111] Connection refused"}}, "Connection refused"),
        ],
    ),
    Case(
        "queue-permissions",
        {"name": "openstack"},
        {"broker": {"permissions": {"openstack": [".*", ".*", ".*"]}}},
        [
            ({"broker": {"permissions": {"guest": [".*", ".*", ".*"]}}}, "none"),
            ({"broker": {"permissions": {"openstack": ["", ".*", ".*"]}}}, " .* .*"),
            ({"broker": {"error": "erl_call: failed to connect to node rabbit@controller"}}, "failed to connect"),
        ],
    ),
    Case(
        "queue-consumers",
        {"name": "conductor"},
        {"broker": {"consumers": {"conductor": 1}}},
        [
            ({"broker": {"consumers": {"conductor": 0}}}, "0 consumers"),
            ({"broker": {"consumers": {"scheduler": 1}}}, "no such queue"),
            ({"broker": {"error": "erl_call: failed to connect to node rabbit@controller"}}, "failed to connect"),
        ],
    ),
    Case(
        "queue-alarms",
        {},
        {"broker": {"alarms": []}},
        [({"broker": {"alarms": ["{{resource_limit,disk,rabbit@controller},[]}"]}}, "resource_limit,disk")],
    ),
    Case(
        "identity-user",
        {"name": "nova", "password": "${NOVA_PASS}"},
        {TOKEN: {"status": 201, "body": "{}"}},
        [
            ({TOKEN: {"status": 401, "body": "{}"}}, "HTTP 401"),
            ({TOKEN: {"error": "ConnectionRefusedError: refused"}}, "refused"),
        ],
    ),
    Case(
        "identity-role",
        {"user": "nova", "role": "admin", "project": "service"},
        rows("role assignment list --names", [assignment("admin"), assignment("service")]),
        [
            (rows("role assignment list --names", [assignment("service")]), "found roles service"),
            (rows("role assignment list --names", [assignment("admin", project="admin@Default")]), "roles none"),
            (rows("role assignment list --names", []), "roles none"),
        ],
    ),
    Case(
        "service",
        {"name": "nova", "type": "compute"},
        rows("service list", [{"ID": "1", "Name": "nova", "Type": "compute"}]),
        [
            (rows("service list", [{"ID": "1", "Name": "nova", "Type": "cmopute"}]), "nova (cmopute)"),
            (rows("service list", [{"ID": "1", "Name": "heat", "Type": "compute"}]), "heat (compute)"),
        ],
    ),
    Case(  # a class that goes on to other chapters, or made one twice
        "service",
        {"name": "nova", "type": "compute"},
        rows(
            "service list",
            [
                {"ID": str(n), "Name": a, "Type": b}
                for n, (a, b) in enumerate([*2 * [("nova", "compute")], ("cinder", "volumev3")])
            ],
        ),
        [],
    ),
    Case(
        "endpoint",
        {"service": "nova", "type": "compute", "interface": "internal", "url": API},
        rows("endpoint list", [endpoint("public", API), endpoint("internal", API), endpoint("internal", API)]),
        [
            (rows("endpoint list", [endpoint("public", API)]), "found none"),
            (rows("endpoint list", [endpoint("internal", "http://controller:8774")]), "found http://controller:8774"),
            (
                rows("endpoint list", [endpoint("internal", API), endpoint("internal", "http://x", name="mine")]),
                f"{API}, http://x of service mine (`openstack endpoint delete 5d0c`)",
            ),
            (rows("endpoint list", [endpoint("internal", API, region="RegionTwo")]), "found none"),
            (rows("endpoint list", [endpoint("internal", API, enabled=False)]), "(disabled)"),
            (batch_error("endpoint list", "The request you have made requires authentication."), "authentication"),
        ],
    ),
    Case(  # another region, and a service of the user's own
        "endpoint",
        {"service": "nova", "type": "compute", "interface": "internal", "url": API},
        rows(
            "endpoint list",
            [
                endpoint("internal", API),
                endpoint("internal", "http://two", region="RegionTwo"),
                {
                    **endpoint("internal", "http://controller:8004"),
                    "Service Name": "heat",
                    "Service Type": "orchestration",
                },
            ],
        ),
        [],
    ),
    Case(
        "endpoint-answers",
        {"url": "http://controller:8774/v2.1/%(tenant_id)s"},
        web("http://controller:8774/v2.1/", status=401, body=""),
        [
            (web("http://controller:8774/v2.1/", error="ConnectionRefusedError: refused"), "refused"),
            (web("http://controller:8774/v2.1/", status=503, body=""), "HTTP 503"),
        ],
    ),
    Case(
        "http",
        {"url": API, "status": 200, "contains": '"id": "v2.1"'},
        web(API, status=200, body='{"version": {"id": "v2.1"}}'),
        [
            (web(API, status=404, body=""), "HTTP 404"),
            (web(API, status=200, body="It works!"), "It works!"),
            (web(API, error="TimeoutError: timed out"), "timed out"),
        ],
    ),
    Case(
        "option",
        {"path": NOVA_CONF, "section": "DEFAULT", "option": "my_ip", "value": "10.0.0.11"},
        {f"texts:{NOVA_CONF}": text("[DEFAULT]\n# my_ip = 1.2.3.4\nmy_ip = 10.0.0.11\n[vnc]\nmy_ip = 9.9.9.9\n")},
        [
            ({f"texts:{NOVA_CONF}": text("[DEFAULT]\nmy_ip = 10.0.0.11\nmy_ip = 10.0.0.12\n")}, "found 10.0.0.12"),
            ({f"texts:{NOVA_CONF}": text("[DEFAULT]\n#my_ip = 10.0.0.11\n")}, "no such option"),
            ({f"texts:{NOVA_CONF}": text("[vnc]\nmy_ip = 10.0.0.11\n")}, "no such option"),
            ({f"texts:{NOVA_CONF}": {"exists": False, "error": "No such file or directory"}}, "No such file"),
        ],
    ),
    Case(
        "option",
        {
            "path": NOVA_CONF,
            "section": "DEFAULT",
            "option": "transport_url",
            "value": "rabbit://openstack:${RABBIT_PASS}@controller:5672/",
        },
        {f"texts:{NOVA_CONF}": text(TRANSPORT.format(SECRETS["RABBIT_PASS"]))},
        [
            ({f"texts:{NOVA_CONF}": text(TRANSPORT.format("hunter2"))}, "found rabbit://openstack:***@controller"),
            ({f"texts:{NOVA_CONF}": text(TRANSPORT.format(SECRETS["NOVA_PASS"]))}, "openstack:${NOVA_PASS}@"),
        ],
    ),
    Case(
        "option-absent",
        {"path": NOVA_CONF, "section": "database", "option": "connection"},
        {f"texts:{NOVA_CONF}": text("[DEFAULT]\nmy_ip = 10.0.0.31\n[api_database]\nconnection = x\n")},
        [
            (
                {f"texts:{NOVA_CONF}": text("[database]\nconnection = mysql+pymysql://nova:hunter2@controller/nova\n")},
                "found mysql+pymysql://nova:***@controller/nova",
            ),
            ({f"texts:{NOVA_CONF}": text("[database]\nconnection =\n")}, "an empty value"),
        ],
        node="compute1",
    ),
    Case(
        "file",
        {"path": NOVA_CONF, "owner": "root", "group": "nova", "mode": "0640"},
        {f"files:{NOVA_CONF}": {"exists": True, "owner": "root", "group": "nova", "mode": "0640"}},
        [
            ({f"files:{NOVA_CONF}": {"exists": True, "owner": "root", "group": "nova", "mode": "0644"}}, "0644"),
            ({f"files:{NOVA_CONF}": {"exists": True, "owner": "root", "group": "root", "mode": "0640"}}, "root:root"),
            ({f"files:{NOVA_CONF}": {"exists": False, "error": "No such file or directory"}}, "No such file"),
        ],
    ),
    Case(
        "host-entry",
        {"name": "compute1", "address": "10.0.0.31"},
        {"texts:/etc/hosts": text("127.0.0.1 localhost\n10.0.0.31\tcompute1 compute1.lab # ours\n")},
        [
            ({"texts:/etc/hosts": text("127.0.1.1 compute1\n10.0.0.31 compute1\n")}, "127.0.1.1, 10.0.0.31"),
            ({"texts:/etc/hosts": text("#10.0.0.31 compute1\n")}, "no such name"),
        ],
    ),
    Case(
        "kernel-module",
        {"name": "br-netfilter"},
        {"modules:/sys/module/br_netfilter": ran()},
        [({"modules:/sys/module/br_netfilter": ran("", 1)}, "not loaded")],
    ),
    Case(
        "command",
        {"run": "hostname", "stdout_equals": "controller"},
        {"commands:hostname": ran("controller\n")},
        [
            ({"commands:hostname": ran("debian\n")}, "found 'debian'"),
            ({"commands:hostname": ran("controller\n", 1, "oops\n")}, "found 1: oops"),
            ({"commands:hostname": ran("", 124, "no answer in 120 s")}, "no answer in 120 s"),
        ],
    ),
    Case(
        "command",
        {"run": "ip netns list", "stdout_contains": "qdhcp-"},
        {"commands:ip netns list": ran("qdhcp-1f0c (id: 0)\n")},
        [({"commands:ip netns list": ran("")}, "among others, found ''")],
    ),
    Case(
        "command",
        {"run": "grep -c X /etc/f", "stdout_equals": "0", "exit_code": 1},
        {"commands:grep -c X /etc/f": ran("0\n", 1)},
        [
            ({"commands:grep -c X /etc/f": ran("3\n", 0)}, "exit code 1 of `grep -c X /etc/f`, found 0"),
            ({"commands:grep -c X /etc/f": ran("", 2, "grep: /etc/f: No such file\n")}, "No such file"),
        ],
    ),
    Case(
        "ovs",
        {"bridge": "br-provider", "port": "eth2"},
        {"bridges:br-provider": ran("eth2\nphy-br-provider\n")},
        [
            ({"bridges:br-provider": ran("phy-br-provider\n")}, "ports phy-br-provider"),
            ({"bridges:br-provider": ran("", 1, "ovs-vsctl: no bridge named br-provider\n")}, "no bridge named"),
        ],
    ),
    Case(
        "virt-type",
        {},
        {f"texts:{COMPUTE_CONF}": text("[libvirt]\nvirt_type = kvm\n"), "cpu": ran()},
        [
            ({f"texts:{COMPUTE_CONF}": text("[libvirt]\nvirt_type = qemu\n"), "cpu": ran()}, "found qemu"),
            ({f"texts:{COMPUTE_CONF}": text("[libvirt]\n"), "cpu": ran()}, "no such option"),
            ({f"texts:{COMPUTE_CONF}": text("[libvirt]\nvirt_type = kvm\n"), "cpu": ran("", 1)}, "is missing"),
            ({f"texts:{COMPUTE_CONF}": text("[libvirt]\nvirt_type = kvm\n"), "cpu": ran("", 2)}, "is missing"),
        ],
        node="compute1",
    ),
    Case(
        "upgrade-check",
        {"run": "nova-status upgrade check"},
        {"commands:nova-status upgrade check": ran(UPGRADE.replace("Failure", "Success"))},
        [
            (
                {"commands:nova-status upgrade check": ran(UPGRADE, 2)},
                "Cells v2: Failure (No host mappings",
            ),
            ({"commands:nova-status upgrade check": ran("", 255, "Error: boom\n")}, "exit code 255: Error: boom"),
        ],
    ),
    Case(
        "openstack",
        {
            "list": "compute service list",
            "row": {"Binary": "nova-conductor", "Host": "controller", "Status": "enabled", "State": "up"},
        },
        {},
        [],
        node="compute1",
        controller=rows("compute service list", [service("nova-scheduler"), service("nova-conductor")]),
    ),
    Case(
        "openstack",
        {"list": "compute service list", "row": {"Binary": "nova-conductor", "State": "up"}},
        rows("compute service list", [service("nova-conductor")]),
        [
            (
                rows("compute service list", [service("nova-compute", "down"), service("nova-conductor", "down")]),
                "in `openstack compute service list`, found Binary nova-conductor, State down",
            ),
            (rows("compute service list", []), "an empty list"),
            (rows("compute service list", [{"Name": "x"}]), "found columns Name"),
            (batch_error("compute service list", "Unable to establish connection"), "Unable to establish"),
            (batch_error("compute service list", "no /root/admin-openrc"), "no /root/admin-openrc"),
        ],
    ),
    Case(
        "openstack-count",
        {"list": "endpoint list", "count": "2"},
        rows("endpoint list", [{}, {}]),
        [(rows("endpoint list", [{}]), "2 rows in `openstack endpoint list`, found 1")],
    ),
    Case(  # what is not the lab's does not count
        "openstack-count",
        {"list": "hypervisor list", "where": {"Hypervisor Hostname": "compute[0-9]+"}, "count": "1"},
        rows("hypervisor list", [{"Hypervisor Hostname": name} for name in ("compute1", "mycompute1", "ironic")]),
        [
            (
                rows("hypervisor list", [{"Hypervisor Hostname": name} for name in ("compute1", "compute12")]),
                "1 rows with Hypervisor Hostname compute[0-9]+ in `openstack hypervisor list`, found 2",
            )
        ],
    ),
    Case(
        "instance-active",
        {"server": "vm1"},
        servers("vm1 active", "vm2 paused"),
        [
            (servers("vm1 error"), "found ERROR; `lab up`"),
            (servers("vm1 suspended"), "found SUSPENDED; `lab up` brings it back"),
            (servers("vm1 stopped"), "found SHUTOFF; `lab up` brings it back"),
            (servers("vm1 resized"), "found VERIFY_RESIZE; `lab up` brings it back"),
            (servers("vm1 active\trebooting"), "found ACTIVE (rebooting)"),
            (servers("vm2 active"), "no such instance"),
        ],
    ),
    Case(  # a user's of the same name: the lab's own is the one that it remembers, else the oldest
        "instance-active",
        {"server": "vm1"},
        servers("vm1 paused", "vm1 active", made='{"server vm1": "u2"}'),
        [
            (servers("vm1 paused", "vm1 active"), "found PAUSED"),
            (servers("vm1 paused", "vm1 active", made="damaged"), "found PAUSED"),
            (servers("vm1 active", "vm1 paused", made='{"server vm1": "u2"}'), "found PAUSED"),
        ],
    ),
    Case(
        "instance-console",
        {"server": "vm1", "contains": "TINY: BOOT OK"},
        console("vm1", "Linux version 6.1", "TINY: BOOT OK 2.7"),
        [
            (console("vm1", "Kernel panic - not syncing"), "Kernel panic"),
            (console("vm1"), "console log show vm1"),
            (
                {
                    **servers("vm1 active"),
                    "openstack:console log show '{server:vm1}'": ran("", 1, "No server with a name or ID\n"),
                },
                "No server",
            ),
            ({**console("vm1", "TINY: BOOT OK"), **servers("vm1 paused")}, "instance vm1 ACTIVE, found PAUSED"),
        ],
    ),
    Case(
        "instance-metadata",
        {"server": "vm1"},
        console("vm1", "TINY: ip=203.0.113.104/24 instance-id=i-00000001 hostname=vm1"),
        [
            (console("vm1", "TINY: ip=203.0.113.104/24 instance-id=none hostname=tiny"), "instance-id=none"),
            (console("vm1", "TINY: ip= instance-id=i-00000001 hostname=tiny"), "hostname=tiny"),
            (console("vm1", "Linux version 6.1"), "no such line"),
        ],
    ),
    Case(
        "instance-domain-type",
        {"server": "vm1"},
        domain("u1", "kvm"),
        [
            (domain("u1", "qemu"), "found qemu"),
            (domain("u2", "kvm"), "no domain of that instance"),
            ({"domains": ran("", 1, "error: failed to connect to the hypervisor\n")}, "failed to connect"),
        ],
        node="compute1",
        controller=servers("vm1 active"),
    ),
    Case(
        "dashboard-login",
        {"url": HORIZON, "user": "admin", "password": "${ADMIN_PASS}"},
        {DASHBOARD: INSIDE},
        [
            ({DASHBOARD: {**INSIDE, "url": HORIZON}}, f"found the page {HORIZON}, not logged in"),
            ({DASHBOARD: {**INSIDE, "body": "Log in"}}, "not logged in"),
            ({DASHBOARD: {"status": 500, "url": HORIZON, "body": ""}}, f"found HTTP 500 from {HORIZON}"),
            ({DASHBOARD: {"error": "URLError: refused"}}, "URLError: refused"),
        ],
    ),
    Case(
        "metadata",
        TOLD,
        {**VM1, "metadata": {"status": 200, "body": "echo hello"}},
        [
            ({**VM1, "metadata": {"status": 403, "body": ""}}, "signed with RABBIT_PASS, found HTTP 403"),
            ({**VM1, "metadata": {"status": 200, "body": "good bye"}}, "expected 'hello' in /latest/user-data of vm1"),
            ({**VM1, "metadata": {"error": "ConnectionRefusedError: x"}}, "Refused"),
            ({**VM1_ACTIVE, **batch_error(SHOW, "No server with a name or ID of 'vm1' exists.")}, "No server"),
        ],
    ),
    Case(
        "metadata",
        {**{key: TOLD[key] for key in ("server", "path", "signed_with")}, "status": 403},
        {**VM1, "metadata": {"status": 403, "body": "403 Forbidden"}},
        [({**VM1, "metadata": {"status": 200, "body": "echo hello"}}, "found HTTP 200")],
    ),
    Case(
        "instance-vnc",
        {"server": "vm1"},
        {**VM1_ACTIVE, **rows(VNC, VNC_URL), "console": {**SWITCHED, "said": "RFB 003.008\n"}},
        [
            ({**VM1_ACTIVE, **rows(VNC, VNC_URL), "console": SWITCHED}, "101 Switching Protocols, then 'nothing'"),
            (
                {**VM1_ACTIVE, **rows(VNC, VNC_URL), "console": {"error": "ConnectionRefusedError: x", "said": ""}},
                "Refused",
            ),
            ({**VM1_ACTIVE, **batch_error(VNC, "Instance vm1 could not be found.")}, "could not be found"),
            ({**servers("vm1 paused"), **rows(VNC, VNC_URL)}, "instance vm1 ACTIVE, found PAUSED"),
        ],
    ),
    Case(
        "instance-spice",
        {"server": "vm1"},
        {**VM1_ACTIVE, **rows(SPICE, SPICE_URL), "console": {**SWITCHED, "said": "REDQ\2\0\0\0"}},
        [
            ({**VM1_ACTIVE, **rows(SPICE, SPICE_URL), "console": SWITCHED}, "101 Switching Protocols, then 'nothing'"),
            (
                {**VM1_ACTIVE, **rows(SPICE, SPICE_URL), "console": {"error": "ConnectionRefusedError: x", "said": ""}},
                "Refused",
            ),
            ({**VM1_ACTIVE, **batch_error(SPICE, "Instance vm1 could not be found.")}, "could not be found"),
            ({**servers("vm1 paused"), **rows(SPICE, SPICE_URL)}, "instance vm1 ACTIVE, found PAUSED"),
        ],
    ),
    Case(
        "console-token",
        {**CONSOLE, "token": "good"},
        {**VM1_ACTIVE, "console-token": {**SWITCHED, "said": "RFB 003.008\n"}},
        [
            ({**VM1_ACTIVE, "console-token": SWITCHED}, "101 Switching Protocols, then 'nothing'"),
            ({**VM1_ACTIVE, "console-token": {"asked": "OSError: HTTP 401 from x"}}, "OSError: HTTP 401 from x"),
            (servers("vm1 paused"), "instance vm1 ACTIVE, found PAUSED"),
        ],
    ),
    Case(
        "console-token",
        {**CONSOLE, "token": "expired", "after": 95},
        {**VM1_ACTIVE, "console-token": {"status": "HTTP/1.1 401 Not Authorized", "said": "Not Authorized"}},
        [
            (
                {**VM1_ACTIVE, "console-token": {**SWITCHED, "said": "RFB 003.008\n"}},
                "refuses a token for vm1 that is expired, 95 s old, found HTTP/1.1 101",
            ),
            ({**VM1_ACTIVE, "console-token": {"error": "ConnectionRefusedError: x", "said": ""}}, "Refused"),
            ({**VM1_ACTIVE, "console-token": {"status": "", "said": ""}}, "found no answer"),
        ],
    ),
    Case(
        "instance-serial",
        {"server": "vm1"},
        {
            **VM1_ACTIVE,
            **rows(SERIAL, SERIAL_URL),
            "console": {**SWITCHED, "said": "echo lab-$((6*7))\r\nlab-42\r\n~ # "},
        },
        [
            (
                {**VM1_ACTIVE, **rows(SERIAL, SERIAL_URL), "console": SWITCHED},
                "101 Switching Protocols, then 'nothing'",
            ),
            (
                {
                    **VM1_ACTIVE,
                    **rows(SERIAL, SERIAL_URL),
                    "console": {"error": "ConnectionRefusedError: x", "said": ""},
                },
                "Refused",
            ),
            ({**VM1_ACTIVE, **batch_error(SERIAL, "Instance vm1 could not be found.")}, "could not be found"),
            ({**servers("vm1 paused"), **rows(SERIAL, SERIAL_URL)}, "instance vm1 ACTIVE, found PAUSED"),
        ],
    ),
    Case(
        "log",
        {"path": "/var/log/nova/nova-api.log"},
        {"units": show({}), LOG: {"exists": True, "since": 0.0, "blocks": 0, "lines": []}},
        [
            (
                {"units": show({}), LOG: {"exists": True, "blocks": 2, "lines": ["12:00 7 ERROR nova.api boom"]}},
                "ERROR nova.api boom",
            ),
            ({"units": show({}), LOG: {"exists": False, "error": "No such file or directory"}}, "No such file"),
        ],
    ),
]


def hosts(case: Case, recording: Recording) -> dict[str, FakeNode]:
    if case.node == "controller":
        return {"controller": FakeNode(recording), "compute1": FakeNode({})}
    return {"controller": FakeNode(case.controller), case.node: FakeNode(recording)}


def check_of(case: Case) -> Check:
    return a_check(case.kind, case.args, case.node)


@pytest.mark.parametrize("case", CASES, ids=[f"{number}-{case.kind}" for number, case in enumerate(CASES)])
def test_passes_on_a_good_system(case: Case, tmp_path: Path) -> None:
    assert judge(tmp_path, check_of(case), hosts(case, case.good)) == ""


@pytest.mark.parametrize(
    ("case", "broken", "said"),
    [
        pytest.param(case, broken, said, id=f"{number}-{case.kind}-{said}")
        for number, case in enumerate(CASES)
        for broken, said in case.broken
    ],
)
def test_fails_on_a_broken_system(case: Case, broken: Recording, said: str, tmp_path: Path) -> None:
    message = judge(tmp_path, check_of(case), hosts(case, broken))
    assert message.startswith("expected ")
    assert said in message
    assert "hunter2" not in message
    for secret in SECRETS.values():
        assert secret not in message


def test_clock_in_step_with_the_controller(tmp_path: Path) -> None:
    check = a_check("clock", {"max_seconds": 2}, "compute1")
    ahead = {"controller": FakeNode({}, clock_ahead_s=3600), "compute1": FakeNode({}, clock_ahead_s=3601)}
    assert judge(tmp_path, check, ahead) == ""
    apart = {"controller": FakeNode({}), "compute1": FakeNode({}, clock_ahead_s=-5)}
    assert "clock within 2 s of controller's, found -5.0" in judge(tmp_path, check, apart)
    slow = {"controller": FakeNode({}, slow_s=4), "compute1": FakeNode({}, slow_s=5)}
    assert judge(tmp_path, check, slow) == ""
    proven = {"controller": FakeNode({}, slow_s=4), "compute1": FakeNode({}, clock_ahead_s=12, slow_s=5)}
    assert "found +3.0" in judge(tmp_path, check, proven)
    alone = a_check("clock", {"max_seconds": 2}, "controller")
    wrong = {"controller": FakeNode({}, clock_ahead_s=9), "compute1": FakeNode({})}
    assert "of this machine's, found +9.0" in judge(tmp_path, alone, wrong)


def test_every_kind_has_a_case_that_passes_and_one_that_fails() -> None:
    assert {case.kind for case in CASES} | {"clock", UNKNOWN} == set(KINDS)
    assert {case.kind for case in CASES if case.broken} | {"clock", UNKNOWN} == set(KINDS)


def labs(release: str) -> Iterator[Plan]:
    """A lab of the core alone, and one with each chapter."""
    for chapters in ((), *((name,) for name in load_release(release).chapters)):
        yield decide(Spec(name="demo", release=release, chapters=chapters), HostProof(HostFacts(), "", ""))


@pytest.mark.parametrize("release", release_names())
def test_every_check_of_the_real_steps_has_a_function(release: str) -> None:
    checks = [check for plan in labs(release) for check in plan.checks]
    assert {check.kind for check in checks} <= set(KINDS) - {UNKNOWN}
    problems = [f"{check.id}: {problem}" for check in checks if (problem := KINDS[check.kind].problem(check))]
    assert problems == []


@pytest.mark.parametrize("release", release_names())
def test_what_comes_by_itself_comes_from_units_that_the_lab_starts(release: str) -> None:
    """One that does not run, as a misspelt one, would never be waited for."""
    agents = ("-dhcp-namespace", "-dhcp-server", "-router-namespace", "-integration-bridge", "-metadata-socket")
    wrong, made = [], 0
    for plan in labs(release):
        for check in plan.checks:
            units = {unit for step in plan.steps if check.node in step.nodes for unit in step.units}
            by_an_agent = check.id.endswith(agents)
            made += by_an_agent
            if (check.comes and not set(check.comes.by) <= units) or (by_an_agent and not check.comes):
                wrong.append(check.id)
    assert wrong == []
    assert bool(made) == ("80-first-network" in load_release(release).every_step)


@pytest.mark.parametrize("release", release_names())
def test_no_check_is_waited_for_longer_than_an_api(release: str) -> None:
    """On an emulated lab it is ten times as long, and whoever broke what the check asks for waits all of it."""
    times = {check.id: check.comes.within for plan in labs(release) for check in plan.checks if check.comes}
    assert {name for name, within in times.items() if within > OPENS_WITHIN_S} == set()


def test_no_check_of_a_step_is_left_out_of_the_plans() -> None:
    """An entry for a role that its step does not run on would otherwise be lost without a word."""
    planned = Counter((check.step, check.kind) for plan in labs("zed") for check in plan.checks)
    lost = [
        f"{step.id}: {extra.kind} {extra.name}"
        for step in load_steps(load_release("zed"), resources.PROVISION).values()
        for extra in step.facts.checks
        if planned[step.id, extra.kind] == 0 or (extra.on is not None and extra.on not in step.facts.on)
    ]
    assert lost == []


def test_documented_kinds_are_those_of_the_suite() -> None:
    document = resources.INFRA_SUITE.parent.parent / "docs" / "checks.md"
    documented = {line.split("`")[1] for line in document.read_text().splitlines() if line.startswith("| `")}
    assert documented | {UNKNOWN} == set(KINDS)
