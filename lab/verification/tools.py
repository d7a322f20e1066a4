"""What a node is asked that no program answers quickly; runs there, sent by lab.verification.wire beside node.py.

Each tool takes the node's environment, which has the secrets, and the arguments of its question, which have only their
names; it returns what becomes JSON. `timeout` is in seconds.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import re
import socket
import struct
import subprocess
import time
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from typing import Any, Callable  # noqa: UP035 - Python 3.9
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qs, unquote, urlencode, urlsplit
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

BODY_LIMIT = 400_000
"""bytes read of a page"""
BAD_LINE = re.compile(r" (ERROR|CRITICAL|TRACE) |\[(ERROR|error)\]|^Traceback \(most recent call last\)")
OSLO_LINE = re.compile(r"^\S+ \S+ (\d+) (?:ERROR|CRITICAL|TRACE) (\S+) (\[)?")
OF_A_USER = re.compile(r"^\S+ \S+ \d+ \w+ \S+ \[(?:\S+ )?req-\S+ [^\s\]-]")
"""a line of oslo.log in a request, [REQUEST USER PROJECT …]; in the service's own work the user is a dash"""

Env = dict[str, str]


def filled(value: Any, env: Env) -> Any:
    """Put the values of ${NAME} into the texts of what JSON can hold."""
    if isinstance(value, dict):
        return {key: filled(item, env) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, env) for item in value]
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)\}", lambda match: env.get(match.group(1), ""), value)
    return value


def http_request(
    env: Env,
    url: str,
    timeout: float,
    headers: Env | None = None,
    sign: Env | None = None,
    body: Any = None,
) -> dict[str, Any]:
    """One request, redirects not followed: {"status", "body"} or {"error"}.

    A `body` is sent as JSON, ${NAME} filled in.
    `sign` adds a header: {"header": its name, "secret": name in the environment, "text": what is signed}, HMAC-SHA256.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    sent = {"Accept": "*/*", "User-Agent": "lab-verify", **(headers or {})}
    if sign:
        signed = hmac.new(env.get(sign["secret"], "").encode(), sign["text"].encode(), hashlib.sha256)
        sent[sign["header"]] = signed.hexdigest()
    data = None
    if body is not None:
        data, sent["Content-Type"] = json.dumps(filled(body, env)), "application/json"
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    try:
        target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        connection.request("POST" if data else "GET", target, body=data, headers=sent)
        response = connection.getresponse()
        return {"status": response.status, "body": response.read(20_000).decode("utf-8", "replace")}
    except (OSError, http.client.HTTPException) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        connection.close()


class Form(HTMLParser):
    """The fields of a page, with the values that they have."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an input."""
        values = dict(attrs)
        if tag == "input" and values.get("name"):
            self.fields[str(values["name"])] = values.get("value") or ""


def login_form(env: Env, url: str, fields: Env, timeout: float) -> dict[str, Any]:
    """Log in at a page as a browser does: its cookies, its form with the hidden fields, the page that comes then.

    `fields` go over what the form holds; ${NAME} in them comes from the environment.
    """
    opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))
    form = Form()
    try:
        with opener.open(url, timeout=timeout) as page:
            form.feed(page.read(BODY_LIMIT).decode("utf-8", "replace"))
        data = urlencode({**form.fields, **filled(fields, env)}).encode()
        with opener.open(url, data=data, timeout=timeout) as page:
            return {"status": page.status, "url": page.url, "body": page.read(BODY_LIMIT).decode("utf-8", "replace")}
    except HTTPError as error:
        return {"status": error.code, "url": error.url, "body": ""}
    except (URLError, OSError) as error:
        return {"error": f"{type(error).__name__}: {error}"}


def console(_env: Env, url: str, expect: str, timeout: float, send: str = "") -> dict[str, Any]:
    """Open the WebSocket behind a console's URL, `send` bytes (in hex) and read until `expect` comes.

    The page in front of it, where there is one, is a file and answers 200 under any token; what is on the other side of
    the proxy speaks only when the token is good and the instance is there.
    """
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    path = "/" + unquote(query["path"][0]) if "path" in query else "/?" + parts.query
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: bGFiLXZlcmlmeS1rZXk9PQ==\r\nSec-WebSocket-Protocol: binary\r\n\r\n"
    )
    data, wanted = bytes.fromhex(send), expect.encode("latin-1")
    head = rest = b""
    deadline = time.monotonic() + timeout
    problem = ""
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=timeout) as stream:
            stream.sendall(request.encode())
            while wanted not in payload(rest) and (left := deadline - time.monotonic()) > 0:
                stream.settimeout(left)
                more = stream.recv(4096)
                if not more:
                    break
                rest += more
                if not head and b"\r\n\r\n" in rest:
                    head, _, rest = rest.partition(b"\r\n\r\n")
                    if data:  # one frame, binary; a client's bytes are masked, with zeros here
                        stream.sendall(struct.pack(">BBI", 0x82, 0x80 | len(data), 0) + data)
    except (BrokenPipeError, ConnectionResetError) as error:
        # A proxy that refuses a token closes without reading what it was sent. After its answer, that is a normal end.
        problem = "" if head else f"{type(error).__name__}: {error}"
    except OSError as error:
        problem = f"{type(error).__name__}: {error}"
    said = payload(rest).decode("latin-1") if b" 101 " in head else ""
    at = said.find(expect)
    shown = said[at : at + 200] if at >= 0 else said[-200:]
    answer = {"status": (head or rest).split(b"\r\n")[0].decode("latin-1"), "said": shown}
    return {**answer, "error": problem} if problem and expect not in said else answer


def payload(frames: bytes) -> bytes:
    """Join what a server's WebSocket frames hold; a serial line comes in frames of a byte or two."""
    out = b""
    while len(frames) >= 2:
        size, begin = frames[1] & 0x7F, 2
        if size >= 126:
            begin = 4 if size == 126 else 10
            size = int.from_bytes(frames[2:begin], "big")
        out += frames[begin : begin + size]
        frames = frames[begin + size :]
    return out


class Broker:
    """A connection to RabbitMQ, as far as a login goes: AMQP 0-9-1, frames of one method each."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream, self.reader = stream, stream.makefile("rb")

    def say(self, method: tuple[int, int], arguments: bytes) -> None:
        """Send a method."""
        frame = struct.pack(">HH", *method) + arguments
        self.stream.sendall(struct.pack(">BHI", 1, 0, len(frame)) + frame + b"\xce")

    def hear(self, wanted: tuple[int, int]) -> bytes:
        """Read the arguments of the method that must come now."""
        head = self.reader.read(7)
        frame = self.reader.read(struct.unpack(">BHI", head)[2] + 1) if len(head) == 7 else b""
        if not frame.endswith(b"\xce"):
            raise ConnectionError("the broker closed the connection")
        got = struct.unpack(">HH", frame[:4])
        if got == (10, 50):  # Close: code, text
            raise ConnectionError(frame[7 : 7 + frame[6]].decode("utf-8", "replace"))
        if got != wanted:
            raise ConnectionError(f"unexpected answer {got}")
        return frame[4:-1]


def amqp(env: Env, host: str, port: int, user: str, secret: str, timeout: float) -> dict[str, Any]:
    """Log in at RabbitMQ as the services do and open the virtual host; rabbitmqctl would start an Erlang machine.

    Protocol header, Start / Start-Ok (SASL PLAIN), Tune / Tune-Ok, Open / Open-Ok.
    """

    def text(value: bytes, size: str) -> bytes:
        return struct.pack(">" + size, len(value)) + value

    plain = b"\0" + user.encode() + b"\0" + env.get(secret, "").encode()
    # one client property: the broker tells of a refused login instead of closing the connection only
    feature = text(b"authentication_failure_close", "B") + b"t\x01"
    properties = text(text(b"capabilities", "B") + b"F" + text(feature, "I"), "I")
    try:
        with socket.create_connection((host, port), timeout=timeout) as stream:
            broker = Broker(stream)
            stream.sendall(b"AMQP\0\0\x09\x01")
            broker.hear((10, 10))
            broker.say((10, 11), properties + text(b"PLAIN", "B") + text(plain, "I") + text(b"en_US", "B"))
            limits = broker.hear((10, 30))[:6]  # channels and frame size as the broker proposes; then no heartbeat
            broker.say((10, 31), limits + b"\0\0")
            broker.say((10, 40), text(b"/", "B") + b"\0\0")
            broker.hear((10, 41))
            broker.say((10, 50), struct.pack(">H", 200) + text(b"bye", "B") + struct.pack(">HH", 0, 0))
    except OSError as error:
        return {"error": str(error)}
    return {"open": True}


def broker(_env: Env, timeout: float) -> dict[str, Any]:
    """What RabbitMQ says of itself: alarms, permissions by user, consumers by queue of a service.

    Asked with erl_call, which belongs to Erlang and knows the broker's cookie from its home directory: rabbitmqctl
    would start a second Erlang, which takes ten seconds and more on an emulated processor.
    """
    argv = ["erl_call", "-sname", "rabbit", "-timeout", str(round(timeout)), "-e"]
    home = {**os.environ, "HOME": "/var/lib/rabbitmq"}
    try:
        done = subprocess.run(
            argv, input=_ASK_BROKER, env=home, capture_output=True, text=True, timeout=timeout + 5, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"error": f"erl_call: {error}"}
    said = re.fullmatch(r'\{ok, (?:"(.*)"|\[\])\}\s*', done.stdout, re.DOTALL)
    if not said:
        return {"error": (done.stdout + done.stderr).strip()[:300] or f"erl_call: exit code {done.returncode}"}
    found: dict[str, Any] = {"alarms": [], "permissions": {}, "consumers": {}}
    for line in (said[1] or "").replace(r"\n", "\n").splitlines():
        kind, name, *values = line.split("|")
        if kind == "alarm":
            found["alarms"].append(name)
        else:
            found[kind][name] = int(values[0]) if kind == "consumers" else values
    return found


_ASK_BROKER = r"""
lists:flatten([
  [io_lib:format("alarm|~0p~n", [A]) || A <- rabbit_alarm:get_alarms()],
  [io_lib:format("permissions|~ts|~ts|~ts|~ts~n", [proplists:get_value(K, P) || K <- [user, configure, write, read]])
    || P <- rabbit_auth_backend_internal:list_vhost_permissions(<<"/">>)],
  [io_lib:format("consumers|~ts|~b~n", [N, C])
    || [{name, {resource, _, queue, N}}, {consumers, C}] <- rabbit_amqqueue:info_all(<<"/">>, [name, consumers]),
       re:run(N, "[._]") =:= nomatch]
]).
"""
"""a service's own queue has neither of these in its name; those of its processes and replies do, and are many"""


def log(_env: Env, path: str, marker: str, started_us: int, allow: list[str], always: list[str]) -> dict[str, Any]:
    """Errors of a log since its step ended (the time of `marker`) or its unit was started by hand or at boot.

    `started_us` is systemd's monotonic time of that start, 0 for none. oslo.log writes an exception as many lines with
    the same process and logger; the first names the request in brackets. Such lines are one block, and one line that
    `allow` knows allows its block. In somebody's request only the patterns of `always` count: users ask for what cannot
    be, and the log keeps it.
    """
    since = time.time() - time.monotonic() + started_us / 1e6 if started_us else 0.0
    if os.path.exists(marker):
        since = max(since, os.stat(marker).st_mtime)
    start = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since))
    try:
        blocks = error_blocks(path, start if since else "")
    except OSError as error:
        return {"exists": False, "error": error.strerror}

    def matches(rules: list[str], block: list[str]) -> bool:
        return any(re.search(rule, line) for rule in rules for line in block)

    bad = [
        block
        for block in blocks
        if not matches(allow, block) and (not OF_A_USER.match(block[0]) or matches(always, block))
    ]
    first = [line.rstrip()[:300] for block in bad[:3] for line in (block[:1] + block[-1:] if len(block) > 1 else block)]
    return {"exists": True, "since": start, "blocks": len(bad), "lines": first}


def error_blocks(path: str, start: str) -> list[list[str]]:
    """Collect the lines of each error of a log whose time is not before `start`."""
    blocks: list[list[str]] = []
    current: dict[tuple[str, str], list[str]] = {}
    inside = not start
    trace: list[str] = []
    with open(path, encoding="utf-8", errors="replace") as stream:
        for line in stream:
            stamped = line[:2] == "20" and line[4:5] == "-"
            if trace and not stamped:  # a bare traceback: its lines are indented, up to the exception itself
                if not line.startswith(" "):
                    trace.append(line)
                    trace = []
                continue
            trace = []
            if stamped:
                inside = line[:19].replace("T", " ") >= start
            if not inside or not BAD_LINE.search(line):
                continue
            match = OSLO_LINE.match(line)
            key = (match.group(1), match.group(2)) if match else ("", "")
            if match and not match.group(3) and key in current:
                current[key].append(line)
            else:
                current[key] = [line]
                blocks.append(current[key])
                if line.startswith("Traceback"):
                    trace = current[key]
    return blocks


TOOLS: dict[str, Callable[..., dict[str, Any]]] = {
    "amqp": amqp,
    "broker": broker,
    "console": console,
    "http": http_request,
    "log": log,
    "login-form": login_form,
}
