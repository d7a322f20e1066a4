"""Tokens of consoles: got from APIs on this machine, and shown to a proxy that knows one of them."""

from __future__ import annotations

import http.server
import json
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

import pytest

from lab.verification import console_tokens
from lab.verification.console_tokens import console_token
from lab.verification.tools import console

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "1b2c3d4e-0000-4000-8000-123456789abc"


class Cloud(http.server.BaseHTTPRequestHandler):
    """The Identity and the Compute API, and a proxy as nova-xvpvncproxy: plain HTTP, then the bytes of the console."""

    asked: list[Any]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        if self.path == "/auth":
            good = body["auth"]["identity"]["password"]["user"]["password"] == "s3cret"
            self.answer(201 if good else 401, b"{}", "X-Subject-Token", "admins")
        else:
            good = self.headers["X-Auth-Token"] == "admins" and self.path == "/compute/servers/u1/action"
            url = f"http://127.0.0.1:{self.server.server_address[1]}/console?token={TOKEN}"  # type: ignore[index]
            self.answer(200 if good else 401, json.dumps({"console": {"url": url}}).encode(), "X", "y")

    def do_GET(self) -> None:
        if self.path.endswith(TOKEN):
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\nRFB 003.008\n")
            threading.Event().wait(0.2)
        else:
            self.answer(401, b"Not Authorized", "X", "y")

    def answer(self, status: int, body: bytes, header: str, value: str) -> None:
        self.send_response(status)
        self.send_header(header, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    seen: list[Any] = []
    handler = type("Here", (Cloud,), {"asked": seen})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setattr(console_tokens, "IDENTITY", f"{base}/auth")
        monkeypatch.setattr(console_tokens, "COMPUTE", f"{base}/compute")
        yield seen
        server.shutdown()


def opened(password: str = "s3cret", **how: Any) -> dict[str, Any]:
    env = {"ADMIN_PASS": password}
    return console_token(env, "u1", "xvpvnc", "ADMIN_PASS", expect="RFB ", timeout=5, **how)


def test_a_new_token_opens_the_console(asked: list[Any]) -> None:
    assert opened() == {"status": "HTTP/1.1 200 OK", "said": "RFB 003.008\n"}
    assert asked[1] == {"os-getVNCConsole": {"type": "xvpvnc"}}


def test_one_that_nobody_gave_does_not(asked: list[Any]) -> None:
    answer = opened(forge=True)
    assert answer["status"] == "HTTP/1.0 401 Unauthorized"
    assert "RFB" not in answer["said"]


def test_one_is_shown_after_its_time(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("lab.verification.console_tokens.time.sleep", slept.append)
    opened(wait=95)
    assert slept == [95]


def test_without_a_login_there_is_none(asked: list[Any]) -> None:
    assert opened(password="wrong")["asked"].startswith("OSError: HTTP 401 from http://127.0.0.1:")


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", {"status": "HTTP/1.1 101 Switching Protocols", "said": ""}),
        (b"", {"status": "", "said": "", "error": "ConnectionResetError: [Errno 104] Connection reset by peer"}),
    ],
)
def test_a_proxy_that_answered_may_end_the_connection_with_a_reset(head: bytes, expected: dict[str, str]) -> None:
    def refuse(server: socket.socket) -> None:
        stream, _ = server.accept()
        stream.recv(4096)
        stream.sendall(head)
        if head:
            stream.recv(4096)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close(2) resets
        stream.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=refuse, args=(server,), daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/?token={TOKEN}"
        assert console({}, url, "REDQ", timeout=5, send="52454451") == expected
