"""What is known of the nodes: asked for once, in the background, then read by the checks."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.verification import parse
from lab.verification.collectors import CHEAP, COLLECTORS, Need, Operations
from lab.verification.outcome import CannotTell, Unreachable
from lab.verification.remote import Answer, Host, Remote, question_limit_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lab.planning.plan import Node, Plan
    from lab.verification.values import Values

CONTROLLER = "controller"
_CONNECT_LIMIT_S = 120.0
"""for a connection; ssh itself gives up sooner, and says why"""
MADE = "/var/lib/lab/made.json"
"""ids of what the lab made, by kind and name; written by openstack-batch on the controller"""
SERVERS = (
    "SELECT i.uuid, i.display_name, i.vm_state, COALESCE(i.task_state, '') FROM nova.instances i "
    "JOIN keystone.project p ON p.id = i.project_id "
    "WHERE i.deleted = 0 AND p.name = 'admin' ORDER BY i.created_at"
)
"""the instances in the project of the lab's own, the oldest first"""


@dataclass(frozen=True)
class Ran:
    """A command that ran on a node."""

    rc: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        """Its last line, preferably of stderr: why it failed."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return lines[-1].strip()[:300] if lines else f"(no output, exit code {self.rc})"


class NodeFacts:
    """Facts of one node. Every reader raises CannotTell where the node did not tell, Unreachable where it is away."""

    def __init__(self, node: Node, remote: Remote, values: Values, scale: float) -> None:
        self.node = node
        self.values = values
        self._remote = remote
        self._scale = scale
        self._items: dict[str, list[str]] = {}
        self._lanes: dict[int, Future[Answer]] = {}
        self._lane_of: dict[str, int] = {}
        self._limit_s = 0.0

    def prefetch(self, needs: Iterable[Need], *, at_once: bool = False) -> None:
        """Begin to ask for everything, in threads that a hanging node cannot make the process wait for.

        With `at_once` there is one question only: right where nothing slow is asked, for each question costs an ssh
        session, sudo and a Python of its own, seconds on a busy emulated node.
        """
        for need in needs:
            items = self._items.setdefault(need.collector, [])
            if need.item not in items:
                items.append(need.item)
        lanes: dict[int, Operations] = {CHEAP: {}}
        for collector, items in self._items.items():
            lane, build = COLLECTORS[collector]
            lane = CHEAP if at_once else lane
            lanes.setdefault(lane, {}).update(build(items, self._scale))
            self._lane_of[collector] = lane
        self._lanes = {lane: Future() for lane in lanes}
        asked = [question_limit_s(operations) for operations in lanes.values()]
        self._limit_s = _CONNECT_LIMIT_S * self._scale + sum(asked)
        _background(self._fetch, lanes)

    def _fetch(self, lanes: dict[int, Operations]) -> None:
        """Lane 0 alone, for it makes the connection that the others share; then all others at once."""
        if not self._fetch_lane(CHEAP, lanes.pop(CHEAP)):
            for lane in lanes:
                self._lanes[lane].set_exception(self._lanes[CHEAP].exception() or CannotTell("no answer"))
            return
        for lane, operations in lanes.items():
            _background(self._fetch_lane, lane, operations)

    def _fetch_lane(self, lane: int, operations: Operations) -> bool:
        """Ask; false when the node is out of reach."""
        try:
            self._lanes[lane].set_result(self._remote.ask(operations))
        except Unreachable as error:
            self._lanes[lane].set_exception(error)
            return False
        except Exception as error:  # it belongs to the checks that wait for it
            self._lanes[lane].set_exception(error)
        return True

    def _answer(self, collector: str, item: str = "") -> Answer:
        if item not in self._items.get(collector, ()):
            raise LookupError(f"the check reads {collector} {item!r}, which its registration does not name as a need")
        return self._wait_for(self._lane_of[collector])

    def _wait_for(self, lane: int) -> Answer:
        try:
            return self._lanes[lane].result(self._limit_s)
        except TimeoutError:
            raise CannotTell(f"no answer from {self.node.name} within {self._limit_s:.0f} s") from None

    def _result(self, collector: str, item: str = "", *, merged: bool = False) -> dict[str, Any]:
        key = collector if merged or not item else f"{collector}:{item}"
        return self._answer(collector, item).results[key]

    def _ran(self, collector: str, item: str = "", *, merged: bool = False) -> Ran:
        result = self._result(collector, item, merged=merged)
        if "rc" not in result:
            raise CannotTell(str(result.get("error", result)))
        ran = Ran(result["rc"], result["stdout"], result["stderr"])
        if ran.rc == 124 and "no answer in" in ran.stderr:
            raise CannotTell(f"{ran.said} from {item or collector}")
        return ran

    def reach(self) -> None:
        """Raise Unreachable when the node is away."""
        self._wait_for(CHEAP)

    def package(self, name: str) -> tuple[str, str] | None:
        """Status (`ii` is installed) and version of a package; None when dpkg does not know it."""
        return parse.packages(self._ran("packages", name, merged=True).stdout).get(name)

    def unit(self, name: str) -> parse.Unit:
        """Tell of a systemd unit."""
        ran = self._ran("units", name, merged=True)
        found = parse.units(ran.stdout, self._items["units"]).get(name)
        if found is None:
            raise CannotTell(f"systemctl: {ran.said}")
        return found

    def listeners(self) -> list[parse.Listener]:
        """Every listening TCP socket."""
        ran = self._ran("sockets")
        if ran.rc:
            raise CannotTell(f"ss: {ran.said}")
        return parse.listeners(ran.stdout)

    def file(self, path: str) -> dict[str, Any]:
        """Tell owner, group, mode (0640) of a path, and whether it exists."""
        return self._result("files", path)

    def text(self, path: str) -> str:
        """Text of a file."""
        result = self._result("texts", path)
        if not result.get("exists"):
            raise CannotTell(f"{path}: {result['error']}")
        return str(result["text"])

    def options(self, path: str) -> parse.Options:
        """Options of an ini file."""
        return parse.ini(self.text(path))

    def kernel_modules(self) -> set[str]:
        """Modules that are loaded, or built in with parameters."""
        return set(self._ran("modules").stdout.split())

    def offers_kvm(self) -> bool:
        """Whether the CPU has svm or vmx and /dev/kvm is there."""
        count, _, device = self._ran("cpu").stdout.strip().partition("\n")
        return count.isdigit() and int(count) > 0 and device == "kvm"

    def bridge_ports(self, bridge: str) -> list[str]:
        """Ports of an Open vSwitch bridge."""
        ran = self._ran("bridges", bridge)
        if ran.rc:
            raise CannotTell(f"ovs-vsctl: {ran.said}")
        return ran.stdout.split()

    def sql(self, statement: str) -> list[str]:
        """Rows that a statement gives to MariaDB's root, columns separated by tabs.

        Raises:
            CannotTell: with the server's words when the statement failed.
        """
        ran = self._ran("sql", statement, merged=True)
        number = self._items["sql"].index(statement)
        for line in ran.stderr.splitlines():
            if line.startswith("ERROR") and f" at line {2 * number + 2}" in f"{line} ".replace(":", " "):
                raise CannotTell(line)
        blocks = dict(block.split("\n", 1) for block in f"\n{ran.stdout}".split("\n@@")[1:])
        if str(number) not in blocks:
            raise CannotTell(f"mariadb: {ran.said}")
        return [row for row in blocks[str(number)].split("\n") if row]

    def login(self, user: str, secret: str, database: str) -> Ran:
        """Whether an account opens its database: rc 1 over TCP it does not, rc 2 through the socket."""
        return self._ran("logins", json.dumps([user, secret, database]))

    def token(self, user: str, secret: str) -> dict[str, Any]:
        """What the Identity service answered to a user's login: status 201 is good."""
        return self._result("tokens", json.dumps([user, secret]))

    def queue_login(self, user: str, secret: str) -> dict[str, Any]:
        """Log in at RabbitMQ and open the virtual host /: {"open": True}, or {"error": why not}."""
        return self._result("queue-logins", json.dumps([user, secret]))

    def queue_permissions(self) -> list[dict[str, str]]:
        """Permissions on the virtual host /."""
        ran = self._ran("queue-permissions")
        try:
            rows: list[dict[str, str]] = json.loads(ran.stdout)
        except ValueError:
            raise CannotTell(f"rabbitmqctl: {ran.said}") from None
        return rows

    def web(self, url: str) -> dict[str, Any]:
        """Status and body that a URL answers from this node, or {"error": why it does not}."""
        return self._result("web", url)

    def dashboard_login(self, url: str, user: str, secret: str) -> dict[str, Any]:
        """What a login at the dashboard led to: status, address and body of the page, or {"error": why not}."""
        return self._result("dashboard-logins", json.dumps([url, user, secret]))

    def run(self, script: str) -> Ran:
        """What a check's own command said."""
        return self._ran("commands", script)

    def log(self, step: str, path: str) -> dict[str, Any]:
        """Errors of a log since its step ended or its unit was restarted."""
        return self._result("logs", json.dumps([step, path]))

    def clock_offset(self) -> tuple[float, float]:
        """Bounds of the seconds by which the node's clock is ahead of this machine's; they are apart on a slow node."""
        return self._answer("clock").clock_offset_s

    def domains(self) -> list[str]:
        """XML of each libvirt domain on the node."""
        ran = self._ran("domains")
        if ran.rc:
            raise CannotTell(f"virsh: {ran.said}")
        return ran.stdout.split("@@\n")[1:]

    def rows(self, listing: str) -> list[dict[str, Any]]:
        """Rows of an `openstack` list command, or the one object of a show command."""
        ran = self._ran("rows", listing, merged=True)
        try:
            answers = json.loads(ran.stdout.strip().splitlines()[-1])
            found = answers[listing]
        except (ValueError, IndexError, KeyError):
            raise CannotTell(f"openstack {listing}: {ran.said}") from None
        if isinstance(found, dict) and "error" in found and "exit_code" in found:
            raise CannotTell(f"openstack {listing}: {str(found['error']).strip().splitlines()[-1:]}")
        return found if isinstance(found, list) else [found]

    def console(self, server: str) -> str:
        """Give the console log of an instance."""
        ran = self._ran("consoles", server, merged=True)
        for block in f"\n{ran.stdout}".split("\n$ openstack console log show ")[1:]:
            name, _, body = block.partition("\n")
            if name.strip("'") == f"{{server:{server}}}" and body.strip():
                return "\n".join(line[4:] for line in body.split("\n"))
        raise CannotTell(f"openstack console log show {server}: {ran.said}")

    def own_server(self, name: str) -> parse.Server | None:
        """Give the lab's own instance of a name: the one that it remembers, else the oldest; None without any."""
        found = [server for server in parse.servers(self.sql(SERVERS)) if server.name == name]
        try:
            made = str(json.loads(self.text(MADE)).get(f"server {name}"))
        except (CannotTell, ValueError, AttributeError):
            made = ""
        return next((server for server in found if server.id == made), found[0] if found else None)

    def talk(self, url: str, expect: str, send: bytes = b"") -> dict[str, Any]:
        """Say something to what is behind a console's URL, now: {"status", "said"}, also "error" where it failed."""
        operation = {"op": "console", "url": url, "send": send.hex(), "expect": expect, "timeout": 30 * self._scale}
        return self._remote.ask({"console": operation}).results["console"]

    def metadata(self, path: str, instance: str, project: str, secret: str) -> dict[str, Any]:
        """What nova-api-metadata tells of an instance, now, to one that signs as neutron-metadata-agent does."""
        operation = {
            "op": "http",
            "url": f"http://controller:8775{path}",
            "headers": {"X-Instance-ID": instance, "X-Tenant-ID": project},
            "sign": {"header": "X-Instance-ID-Signature", "secret": secret, "text": instance},
            "timeout": 30 * self._scale,
        }
        return self._remote.ask({"metadata": operation}).results["metadata"]


class LabFacts:
    """Facts of all nodes."""

    def __init__(self, plan: Plan, connect: Callable[[str], Host], values: Callable[[str], Values]) -> None:
        self.plan = plan
        scale = max(1.0, plan.wait_factor)
        self._nodes = {
            node.name: NodeFacts(node, Remote(node.name, connect(node.name), plan.secrets), values(node.name), scale)
            for node in plan.nodes
        }

    def prefetch(self, needs: Sequence[Need], *, at_once: bool = False) -> None:
        """Begin to ask every node that a need names; `node` is filled in each of them."""
        for name, facts in self._nodes.items():
            mine = [need for need in needs if need.node == name]
            if mine:
                facts.prefetch(mine, at_once=at_once)

    def node(self, name: str) -> NodeFacts:
        """Facts of a node."""
        return self._nodes[name]

    @property
    def controller(self) -> NodeFacts:
        """Facts of the controller, which answers for the cloud."""
        return self._nodes[CONTROLLER]


def _background(function: Callable[..., object], *args: object) -> None:
    threading.Thread(target=function, args=args, daemon=True).start()
