"""The tools of a node, with servers on this machine: what they make of logs, pages, consoles and brokers."""

from __future__ import annotations

import hmac
import http.server
import json
import socket
import struct
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from lab.verification.logs import ALWAYS_BAD, allowed_in
from lab.verification.tools import TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(302 if self.path == "/moved" else 200)
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        signed = f"{self.headers['X-Id']} {self.headers['X-Signature']}"
        self.wfile.write(signed.encode() if self.path == "/signed" else b"versions")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(201 if body == {"password": "s3cret"} else 401)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_http(url: str) -> None:
    env, ask = {"NOVA_PASS": "s3cret"}, TOOLS["http"]
    good = ask(env, url=url, timeout=5)
    assert (good["status"], good["body"]) == (200, "versions")
    assert ask(env, url=f"{url}/moved", timeout=5)["status"] == 302
    assert ask(env, url=url, timeout=5, body={"password": "${NOVA_PASS}"})["status"] == 201
    assert ask(env, url=url, timeout=5, body={"password": "${NO_PASS}"})["status"] == 401
    assert "ConnectionRefusedError" in ask(env, url="http://127.0.0.1:1/", timeout=5)["error"]
    sign = {"header": "X-Signature", "secret": "NOVA_PASS", "text": "an id"}
    signed = ask(env, url=f"{url}/signed", timeout=5, headers={"X-Id": "7"}, sign=sign)
    assert signed["body"] == "7 " + hmac.new(b"s3cret", b"an id", "sha256").hexdigest()


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
BANNER = b"RFB 003.008\n"


def serve_once(server: socket.socket, answers: list[bytes], seen: list[bytes]) -> None:
    connection, _ = server.accept()
    with connection:
        for answer in answers:
            seen.append(connection.recv(4096))
            connection.sendall(answer)


def talk(path: str, answers: list[bytes], seen: list[bytes], **operation: Any) -> dict[str, Any]:
    """What a node hears from a server that answers once to each thing that it is sent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve_once, args=(server, answers, seen), daemon=True)
        thread.start()
        url = f"ws://127.0.0.1:{server.getsockname()[1]}/{path}"
        result = TOOLS["console"]({}, url=url, timeout=5, **operation)
        thread.join()
    return result


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (b"\x82\x0c" + BANNER, BANNER),
        (b"\x82\x7e\x00\x0c" + BANNER, BANNER),
        (b"\x82\x7f" + bytes(7) + b"\x0c" + BANNER, BANNER),
        (b"\x88\x02\x03\xe8", b"\x03\xe8"),
    ],
)
def test_what_speaks_behind_the_websocket_is_heard(frame: bytes, said: bytes) -> None:
    seen: list[bytes] = []
    result = talk("vnc_auto.html?path=%3Ftoken%3Dabc", [SWITCH + frame], seen, expect="RFB ")
    assert seen[0].startswith(b"GET /?token=abc HTTP/1.1\r\n")
    assert result["status"] == "HTTP/1.1 101 Switching Protocols"
    assert result["said"].encode("latin-1") == said


def test_what_is_said_is_a_masked_frame_and_the_answer_may_come_in_pieces() -> None:
    seen: list[bytes] = []
    pieces = b"".join(b"\x82\x01" + bytes([byte]) for byte in b"lab-42\r\n")
    result = talk("?token=abc", [SWITCH, pieces], seen, expect="lab-42", send=b"echo\n".hex())
    assert seen == [seen[0], b"\x82\x85\0\0\0\0echo\n"]
    assert "lab-42" in result["said"]


def test_what_was_expected_is_told_whatever_came_behind_it() -> None:
    key = b"REDQ" + bytes(198)  # as SPICE's, with its public key
    result = talk("?token=abc", [SWITCH + b"\x82\x7e\x00\xca" + key], [], expect="REDQ")
    assert result["said"].startswith("REDQ")


def test_a_console_that_refuses_the_token() -> None:
    result = talk("?token=old", [b"HTTP/1.1 403 Forbidden\r\n\r\nRFB "], [], expect="REDQ")
    assert (result["status"], result["said"]) == ("HTTP/1.1 403 Forbidden", "")


class Dashboard(http.server.BaseHTTPRequestHandler):
    """A login as Django's: a cookie and a hidden field that belong together, then another page."""

    def do_GET(self) -> None:
        page = b"<a href='/auth/logout/'>admin</a>"
        if self.path == "/auth/login/":
            page = b"<form><input type='hidden' name='csrf' value='t0k'><input name='username'><input type=submit>"
        self.answer(200 if self.path != "/broken/" else 500, page, "Set-Cookie", "csrf=t0k")

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        good = form == "csrf=t0k&username=admin&password=s3+cret%26" and self.headers["Cookie"] == "csrf=t0k"
        self.answer(302 if good else 200, b"wrong", "Location", "/project/")

    def answer(self, status: int, body: bytes, header: str, value: str) -> None:
        self.send_response(status)
        self.send_header(header, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("path", "password", "found"),
    [
        ("/auth/login/", "s3 cret&", (200, "/project/", "<a href='/auth/logout/'>admin</a>")),
        ("/auth/login/", "other", (200, "/auth/login/", "wrong")),
        ("/broken/", "s3 cret&", (500, "/broken/", "")),
    ],
)
def test_a_login_form_is_filled_as_a_browser_does(path: str, password: str, found: tuple[int, str, str]) -> None:
    env = {"ADMIN_PASS": password}
    with http.server.HTTPServer(("127.0.0.1", 0), Dashboard) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        fields = {"username": "admin", "password": "${ADMIN_PASS}"}
        result = TOOLS["login-form"](env, url=base + path, fields=fields, timeout=5)
        server.shutdown()
    assert (result["status"], result["url"], result["body"]) == (found[0], base + found[1], found[2])


def test_a_login_form_that_is_not_there() -> None:
    assert "refused" in TOOLS["login-form"]({}, url="http://127.0.0.1:1/", fields={}, timeout=5)["error"]


def amqp_frame(method: tuple[int, int], arguments: bytes = b"") -> bytes:
    payload = struct.pack(">HH", *method) + arguments
    return struct.pack(">BHI", 1, 0, len(payload)) + payload + b"\xce"


def broker(server: socket.socket, password: bytes, allowed: bool) -> None:
    """RabbitMQ's side of a login, as captured from 3.10."""
    connection, _ = server.accept()
    with connection:
        assert connection.recv(8) == b"AMQP\0\0\x09\x01"
        connection.sendall(amqp_frame((10, 10), b"\0\x09" + b"\0\0\0\0" + b"\0\0\0\5PLAIN" + b"\0\0\0\5en_US"))
        if b"\0openstack\0" + password not in connection.recv(4096):
            words = b"ACCESS_REFUSED - Login was refused"
            connection.sendall(amqp_frame((10, 50), struct.pack(">HB", 403, len(words)) + words + b"\0\0\0\0"))
            return
        connection.sendall(amqp_frame((10, 30), struct.pack(">HIH", 2047, 131072, 60)))
        received = connection.recv(4096)
        assert struct.pack(">HIH", 2047, 131072, 0) in received
        words = b"NOT_ALLOWED - access to vhost '/' refused"
        refusal = amqp_frame((10, 50), struct.pack(">HB", 530, len(words)) + words + b"\0\0\0\0")
        connection.sendall(amqp_frame((10, 41), b"\0") if allowed else refusal)
        connection.recv(4096)


@pytest.mark.parametrize(
    ("password", "allowed", "expected"),
    [
        (b"s3cret", True, {"open": True}),
        (b"other", True, {"error": "ACCESS_REFUSED - Login was refused"}),
        (b"s3cret", False, {"error": "NOT_ALLOWED - access to vhost '/' refused"}),
    ],
)
def test_amqp_logs_in_and_opens_the_virtual_host(password: bytes, allowed: bool, expected: dict[str, Any]) -> None:
    env = {"RABBIT_PASS": "s3cret"}
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=broker, args=(server, password, allowed), daemon=True)
        thread.start()
        where = {"host": "127.0.0.1", "port": server.getsockname()[1], "timeout": 5}
        result = TOOLS["amqp"](env, user="openstack", secret="RABBIT_PASS", **where)
        thread.join()
    assert result == expected


SAID = (
    r"""{ok, "alarm|{{resource_limit,disk,rabbit@controller},[]}\npermissions|openstack|.*|"|.*\n"""
    r"""consumers|conductor|1\n"}"""
)
TOLD = {
    "alarms": ["{{resource_limit,disk,rabbit@controller},[]}"],
    "permissions": {"openstack": [".*", '"', ".*"]},
    "consumers": {"conductor": 1},
}
NO_BROKER = "erl_call: failed to connect to node rabbit@controller"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (f"grep -q info_all\ncat <<'EOF'\n{SAID}\nEOF", TOLD),
        ("echo '{ok, []}'", {"alarms": [], "permissions": {}, "consumers": {}}),
        (f"echo '{NO_BROKER}' >&2; exit 1", {"error": NO_BROKER}),
        ("echo '{error, undef}'", {"error": "{error, undef}"}),
        ("exit 3", {"error": "erl_call: exit code 3"}),
    ],
)
def test_the_broker_tells_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, expected: dict[str, Any]
) -> None:
    (tmp_path / "erl_call").write_text(f'#!/bin/sh\n[ "$HOME" = /var/lib/rabbitmq ] || exit 9\n{script}\n')
    (tmp_path / "erl_call").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert TOOLS["broker"]({}, timeout=5) == expected


def test_a_broker_without_erl_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "erl_call" in TOOLS["broker"]({}, timeout=5)["error"]


KEYSTONE_404 = """\
2026-11-01 10:00:05.100 7 ERROR keystone.server.flask.application [req-1 a b - - -] Could not find user: nova.
2026-11-01 10:00:05.100 7 ERROR keystone.server.flask.application Traceback (most recent call last):
2026-11-01 10:00:05.100 7 ERROR keystone.server.flask.application   File "x.py", line 1, in y
"""
REAL = """\
2026-11-01 10:00:06.100 7 ERROR keystone.server.flask.application [req-2 a b - - -] (pymysql.err.OperationalError)
2026-11-01 10:00:06.100 7 ERROR keystone.server.flask.application Traceback (most recent call last):
"""


def scan(
    tmp_path: Path, content: str, path: str = "/var/log/keystone/keystone.log", since: str = "", started_us: int = 0
) -> dict[str, Any]:
    log, marker = tmp_path / "x.log", tmp_path / "marker"
    log.write_text(content)
    if since:
        subprocess.run(["touch", "-d", since, str(marker)], check=True)
    rules = {"allow": allowed_in(path), "always": list(ALWAYS_BAD)}
    return TOOLS["log"]({}, path=str(log), marker=str(marker), started_us=started_us, **rules)


def test_log_allows_a_block_by_one_of_its_lines(tmp_path: Path) -> None:
    assert scan(tmp_path, KEYSTONE_404)["blocks"] == 0
    found = scan(tmp_path, KEYSTONE_404 + REAL)
    assert found["blocks"] == 1
    assert "pymysql" in found["lines"][0]
    assert scan(tmp_path, KEYSTONE_404.replace("a b", "- -"), path="/var/log/nova/nova-api.log")["blocks"] == 1


@pytest.mark.parametrize(
    ("context", "error", "blocks"),
    [
        ("req-1 3f0a 91bc - default default", "nova.exception.NoValidHost: No valid host was found.", 0),
        ("None req-1 3f0a 91bc - - default default", "nova.exception.PortLimitExceeded", 0),
        ("req-1 3f0a 91bc - default default", "(pymysql.err.OperationalError) (2003, 'gone')", 1),
        ("req-1 3f0a 91bc - default default", "NameError: name 'x' is not defined", 1),
        ("req-1 - - - - -", "Error updating resources for node compute1.", 1),
        ("req-1 - - - - -", "No compute node record for host compute1", 0),
        ("None req-1 - - - - - -", "Error updating resources for node compute1.", 1),
        ("-", "Unexpected error", 1),
    ],
)
def test_an_error_in_a_request_of_a_user_is_the_users(tmp_path: Path, context: str, error: str, blocks: int) -> None:
    lead = "2026-11-01 10:00:06.1 7 ERROR nova.compute.manager"
    content = f"{lead} [{context}] [instance: 1] failed\n{lead} Traceback (most recent call last):\n{lead} {error}\n"
    assert scan(tmp_path, content, path="/var/log/nova/nova-compute.log")["blocks"] == blocks


@pytest.mark.parametrize(
    ("path", "error", "blocks"),
    [
        ("/var/log/nova/nova-api.log", "<RecoverableConnectionError: unknown error>. Trying again in 1 seconds.", 0),
        ("/var/log/nova/nova-api.log", "[Errno 104] Connection reset by peer. Trying again in 1 seconds.", 0),
        ("/var/log/nova/nova-api.log", "[Errno 111] ECONNREFUSED. Trying again in 1 seconds.", 1),
        ("/var/log/nova/nova-conductor.log", "[Errno 104] Connection reset by peer. Trying again in 1 seconds.", 1),
        (
            "/var/log/neutron/neutron-api.log",
            "Connection failed: [Errno 104] Connection reset by peer (retrying in 1.0 seconds): ConnectionResetError: ",
            0,
        ),
        ("/var/log/neutron/neutron-api.log", "Connection failed: [Errno 111] ECONNREFUSED (retrying in 1 s)", 1),
        # the controller was rebooted under a compute node
        ("/var/log/nova/nova-compute.log", "[Errno 111] ECONNREFUSED. Trying again in 1 seconds.", 0),
        ("/var/log/neutron/neutron-openvswitch-agent.log", "[Errno 111] ECONNREFUSED. Trying again in 1 seconds.", 0),
        ("/var/log/neutron/neutron-rpc-server.log", "[Errno 111] ECONNREFUSED. Trying again in 1 seconds.", 1),
    ],
)
def test_log_allows_a_connection_that_fell_silent(tmp_path: Path, path: str, error: str, blocks: int) -> None:
    line = "2026-11-01 10:00:06.1 7 ERROR oslo.messaging._drivers.impl_rabbit [-] AMQP server on controller:5672 is"
    assert scan(tmp_path, f"{line} unreachable: {error}\n", path=path)["blocks"] == blocks


@pytest.mark.parametrize(
    ("path", "lines", "blocks"),
    [
        (
            "/var/log/neutron/neutron-openvswitch-agent.log",
            "neutron.agent.common.async_process [-] Error received from [ovsdb-client monitor tcp:127.0.0.1:6640]: "
            "00001|reconnect|ERR|tcp:127.0.0.1:6640: no response to inactivity probe after 5 seconds, disconnecting",
            0,
        ),
        (
            "/var/log/neutron/neutron-openvswitch-agent.log",
            "ovsdbapp.backend.ovs_idl.vlog [-] tcp:127.0.0.1:6640: no response to inactivity probe after 1.2e+03 "
            "seconds, disconnecting",
            0,
        ),
        (
            "/var/log/neutron/neutron-openvswitch-agent.log",
            "neutron.agent.common.async_process [-] Error received from [ovsdb-client monitor tcp:127.0.0.1]: None",
            1,
        ),
        (
            "/var/log/nova/nova-conductor.log",
            "oslo.messaging._drivers.impl_rabbit [-] Failed to process message ... skipping it.: "
            "oslo_messaging._drivers.common.DuplicateMessageError: Found duplicate message(66b0c2). Skipping it.",
            0,
        ),
        (
            "/var/log/nova/nova-conductor.log",
            "oslo.messaging._drivers.impl_rabbit [-] Failed to process message ... skipping it.: KeyError: 'x'",
            1,
        ),
    ],
)
def test_log_allows_what_services_say_when_their_machine_was_stopped(
    tmp_path: Path, path: str, lines: str, blocks: int
) -> None:
    assert scan(tmp_path, f"2026-11-01 10:00:06.1 7 ERROR {lines}\n", path=path)["blocks"] == blocks


@pytest.mark.parametrize(
    ("logger", "error", "blocks"),
    [
        ("sqlalchemy.pool.QueuePool", "(2014, 'Command Out of Sync')", 0),
        ("sqlalchemy.pool.impl.QueuePool", "(2014, 'Command Out of Sync')", 0),
        ("sqlalchemy.pool.QueuePool", "(2013, 'Lost connection to MySQL server during query')", 1),
        ("nova.api.openstack.extensions", "(2014, 'Command Out of Sync')", 1),
    ],
)
def test_log_allows_a_service_that_was_stopped_in_a_query(tmp_path: Path, logger: str, error: str, blocks: int) -> None:
    lead = f"2026-11-01 10:00:06.1 7 ERROR {logger}"
    content = (
        f"{lead} [req-1 - - - - -] Exception during reset or similar\n"
        f"{lead} Traceback (most recent call last):\n"
        f"{lead} DBConnectionError: (pymysql.err.OperationalError) {error}\n"
    )
    assert scan(tmp_path, content, path="/var/log/nova/nova-api.log")["blocks"] == blocks


def test_log_counts_only_what_came_after_the_step(tmp_path: Path) -> None:
    assert scan(tmp_path, REAL, since="2026-11-01 10:00:07")["blocks"] == 0
    assert scan(tmp_path, REAL, since="2026-11-01 10:00:06")["blocks"] == 1


def test_log_sees_bare_tracebacks_and_other_programs_words(tmp_path: Path) -> None:
    lines = (
        "2026-11-01 10:00:06 start\nTraceback (most recent call last):\n2026-11-01 10:00:07 0 [ERROR] mariadbd: gone\n"
    )
    assert scan(tmp_path, lines, since="2026-11-01 10:00:00")["blocks"] == 2
    trace = 'Traceback (most recent call last):\n  File "q.py", line 1, in switch\n    x\ngreenlet.error: thread\n'
    found = scan(tmp_path, "2026-11-01 10:00:06 start\n" + trace + trace)
    assert found["blocks"] == 2
    assert found["lines"][1] == "greenlet.error: thread"
    assert scan(tmp_path, "2026-11-01 10:00:06.1 7 INFO nova [-] no ERRORs, ERROR-free\n")["blocks"] == 0


def test_log_that_is_missing() -> None:
    answer = TOOLS["log"]({}, path="/no/such.log", marker="/no", started_us=0, allow=[], always=[])
    assert answer["exists"] is False


def test_log_counts_only_what_came_after_its_unit_was_started(tmp_path: Path) -> None:
    """systemd tells when in microseconds since the boot."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - 60))
    line = f"{stamp}.100 7 ERROR nova.compute.manager [-] boom\n"
    now_us = round(time.monotonic() * 1e6)
    assert scan(tmp_path, line, started_us=now_us)["blocks"] == 0
    assert scan(tmp_path, line, started_us=now_us - 120_000_000)["blocks"] == 1
