"""Runs on a node, as root, with nothing but Python's standard library: answers a list of operations with JSON.

lab.verification.remote sends this file's own text and one request; it keeps to the Python of Debian 11 (3.9).
The request holds names of secrets only. Their values come from /opt/lab/env on the node, and a command gets in its
environment those that it names, no other.

Request:  {"env": file to source, "secrets": names, "jobs": n, "limit": seconds after which the agent ends itself,
           "operations": {key: {"op": "run" | "file" | "http" | "login-form" | "log" | "console" | "amqp", ...}}}
Response: {"began": seconds since the epoch, "ended": the same, "results": {key: {...}}}, printed as one line.
"""

from __future__ import annotations

import calendar
import json
import os
import re
import shlex
import signal
import struct
import subprocess
import sys
import threading
import time
from typing import Any

LIMIT = 400_000
"""characters kept of an output, so that a runaway command cannot fill the reader's memory"""
BAD_LINE = re.compile(r" (ERROR|CRITICAL|TRACE) |\[(ERROR|error)\]|^Traceback \(most recent call last\)")
OSLO_LINE = re.compile(r"^\S+ \S+ (\d+) (?:ERROR|CRITICAL|TRACE) (\S+) (\[)?")
OF_A_USER = re.compile(r"^\S+ \S+ \d+ \w+ \S+ \[(?:\S+ )?req-\S+ [^\s\]-]")
"""a line of oslo.log in a request, [REQUEST USER PROJECT …]; in the service's own work the user is a dash"""


def environment(path: str) -> dict[str, str]:
    """Give the process environment with the NAME=VALUE lines of a file added; a shell would take 100 ms to say so."""
    env = dict(os.environ, LC_ALL="C.UTF-8", PATH="/usr/sbin:/usr/bin:/sbin:/bin")
    if path and os.path.exists(path):
        with open(path, encoding="utf-8") as stream:
            words = shlex.split(stream.read(), comments=True)
        env.update((word.partition("=")[0], word.partition("=")[2]) for word in words if "=" in word)
    return env


def run(operation: dict[str, Any], env: dict[str, str], secrets: set[str]) -> dict[str, Any]:
    """Run a bash script with a time limit; the whole process group ends with it."""
    hidden = secrets - set(operation.get("secrets", ()))
    env = {name: value for name, value in env.items() if name not in hidden}
    process = subprocess.Popen(
        ["bash", "-c", operation["script"]],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=operation["timeout"])
        code = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        err += "no answer in {:.0f} s".format(operation["timeout"]).encode()
        code = 124
    return {
        "rc": code,
        "stdout": out.decode("utf-8", "replace")[:LIMIT],
        "stderr": err.decode("utf-8", "replace")[-4000:],
    }


def file(operation: dict[str, Any]) -> dict[str, Any]:
    """Owner, group and mode of a path, and its text where that is asked for."""
    import grp
    import pwd
    import stat

    path = operation["path"]
    try:
        facts = os.stat(path)
    except OSError as error:
        return {"exists": False, "error": error.strerror}

    def name(find: Any, number: int) -> str:
        try:
            return str(find(number)[0])
        except KeyError:
            return str(number)

    answer: dict[str, Any] = {
        "exists": True,
        "directory": stat.S_ISDIR(facts.st_mode),
        "owner": name(pwd.getpwuid, facts.st_uid),
        "group": name(grp.getgrgid, facts.st_gid),
        "mode": f"{stat.S_IMODE(facts.st_mode):04o}",
    }
    if operation.get("text"):
        with open(path, "rb") as stream:
            answer["text"] = stream.read(LIMIT).decode("utf-8", "replace")
    return answer


def login_form(operation: dict[str, Any], env: dict[str, str]) -> dict[str, Any]:
    """Log in at a page as a browser does: its cookies, its form with the hidden fields, the page that comes then.

    `fields` go over what the form holds; ${NAME} in them comes from the environment.
    """
    from html.parser import HTMLParser
    from http.cookiejar import CookieJar
    from urllib.error import HTTPError, URLError
    from urllib.parse import urlencode
    from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

    form: dict[str, str] = {}

    class Inputs(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            values = dict(attrs)
            if tag == "input" and values.get("name"):
                form[str(values["name"])] = values.get("value") or ""

    def filled(value: str) -> str:
        return re.sub(r"\$\{(\w+)\}", lambda match: env.get(match.group(1), ""), value)

    url, timeout = operation["url"], operation["timeout"]
    opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))
    try:
        with opener.open(url, timeout=timeout) as page:
            Inputs().feed(page.read(LIMIT).decode("utf-8", "replace"))
        form.update((name, filled(value)) for name, value in operation["fields"].items())
        with opener.open(url, data=urlencode(form).encode(), timeout=timeout) as page:
            body = page.read(LIMIT).decode("utf-8", "replace")
            return {"status": page.status, "url": page.url, "body": body}
    except HTTPError as error:
        return {"status": error.code, "url": error.url, "body": ""}
    except (URLError, OSError) as error:
        return {"error": f"{type(error).__name__}: {error}"}


def http(operation: dict[str, Any], env: dict[str, str]) -> dict[str, Any]:
    """One request, redirects not followed; ${NAME} in the JSON body comes from the environment.

    `sign` adds a header: {"header": its name, "secret": name in the environment, "text": what is signed}, HMAC-SHA256.
    """
    import hashlib
    import hmac
    import http.client
    from urllib.parse import urlsplit

    url = urlsplit(operation["url"])
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    body = None
    headers = {"Accept": "*/*", "User-Agent": "lab-verify", **operation.get("headers", {})}
    if "sign" in operation:
        sign = operation["sign"]
        digest = hmac.new(env.get(sign["secret"], "").encode(), sign["text"].encode(), hashlib.sha256)
        headers[sign["header"]] = digest.hexdigest()
    if "json" in operation:

        def fill(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: fill(item) for key, item in value.items()}
            if isinstance(value, list):
                return [fill(item) for item in value]
            if isinstance(value, str):
                return re.sub(r"\$\{(\w+)\}", lambda match: env.get(match.group(1), ""), value)
            return value

        body = json.dumps(fill(operation["json"]))
        headers["Content-Type"] = "application/json"
    connection = kind(url.hostname or "", url.port, timeout=operation["timeout"])
    try:
        target = (url.path or "/") + ("?" + url.query if url.query else "")
        connection.request("POST" if body else "GET", target, body=body, headers=headers)
        response = connection.getresponse()
        return {"status": response.status, "body": response.read(20_000).decode("utf-8", "replace")}
    except (OSError, http.client.HTTPException) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        connection.close()


def console(operation: dict[str, Any]) -> dict[str, Any]:
    """Open the WebSocket behind a console's URL, `send` bytes (in hex) and read until `expect` comes.

    The page in front of it, where there is one, is a file and answers 200 under any token; what is on the other side of
    the proxy speaks only when the token is good and the instance is there.
    """
    import socket
    from urllib.parse import parse_qs, unquote, urlsplit

    url = urlsplit(operation["url"])
    query = parse_qs(url.query)
    path = "/" + unquote(query["path"][0]) if "path" in query else "/?" + url.query
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {url.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: bGFiLXZlcmlmeS1rZXk9PQ==\r\nSec-WebSocket-Protocol: binary\r\n\r\n"
    )
    send, expect = bytes.fromhex(operation.get("send", "")), operation["expect"].encode("latin-1")
    head = rest = b""
    deadline = time.monotonic() + operation["timeout"]
    problem = ""
    try:
        with socket.create_connection((url.hostname or "", url.port or 80), timeout=operation["timeout"]) as stream:
            stream.sendall(request.encode())
            while expect not in payload(rest) and (left := deadline - time.monotonic()) > 0:
                stream.settimeout(left)
                data = stream.recv(4096)
                if not data:
                    break
                rest += data
                if not head and b"\r\n\r\n" in rest:
                    head, _, rest = rest.partition(b"\r\n\r\n")
                    if send:  # one frame, binary; a client's bytes are masked, with zeros here
                        stream.sendall(struct.pack(">BBI", 0x82, 0x80 | len(send), 0) + send)
    except OSError as error:
        problem = f"{type(error).__name__}: {error}"
    said = payload(rest).decode("latin-1") if b" 101 " in head else ""
    at = said.find(operation["expect"])
    shown = said[at : at + 200] if at >= 0 else said[-200:]
    answer = {"status": (head or rest).split(b"\r\n")[0].decode("latin-1"), "said": shown}
    return {**answer, "error": problem} if problem and operation["expect"] not in said else answer


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


def amqp(operation: dict[str, Any], env: dict[str, str]) -> dict[str, Any]:
    """Log in at RabbitMQ as the services do and open the virtual host; rabbitmqctl would start an Erlang machine.

    AMQP 0-9-1: protocol header, Start / Start-Ok (SASL PLAIN), Tune / Tune-Ok, Open / Open-Ok.
    """
    import socket

    def text(value: bytes, size: str) -> bytes:
        return struct.pack(">" + size, len(value)) + value

    def method(class_and_method: tuple[int, int], arguments: bytes) -> bytes:
        payload = struct.pack(">HH", *class_and_method) + arguments
        return struct.pack(">BHI", 1, 0, len(payload)) + payload + b"\xce"

    def read(stream: Any, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = stream.recv(size - len(data))
            if not more:
                raise ConnectionError("the broker closed the connection")
            data += more
        return data

    def frame(stream: Any, want: tuple[int, int]) -> bytes:
        _, _, size = struct.unpack(">BHI", read(stream, 7))
        payload = read(stream, size + 1)[:-1]
        got = struct.unpack(">HH", payload[:4])
        if got == (10, 50):  # Close: code, text
            raise ConnectionError(payload[7 : 7 + payload[6]].decode("utf-8", "replace"))
        if got != want:
            raise ConnectionError(f"unexpected answer {got}")
        return payload[4:]

    password = env.get(operation["secret"], "")
    plain = b"\0" + operation["user"].encode() + b"\0" + password.encode()
    # one client property: the broker tells of a refused login instead of closing the connection only
    feature = text(b"authentication_failure_close", "B") + b"t\x01"
    properties = text(text(b"capabilities", "B") + b"F" + text(feature, "I"), "I")
    address = (operation["host"], operation["port"])
    try:
        with socket.create_connection(address, timeout=operation["timeout"]) as stream:
            stream.sendall(b"AMQP\0\0\x09\x01")
            frame(stream, (10, 10))
            stream.sendall(method((10, 11), properties + text(b"PLAIN", "B") + text(plain, "I") + text(b"en_US", "B")))
            limits = frame(stream, (10, 30))[:6]  # channels and frame size as the broker proposes; then no heartbeat
            stream.sendall(method((10, 31), limits + b"\0\0"))
            stream.sendall(method((10, 40), text(b"/", "B") + b"\0\0"))
            frame(stream, (10, 41))
            stream.sendall(method((10, 50), struct.pack(">H", 200) + text(b"bye", "B") + struct.pack(">HH", 0, 0)))
    except OSError as error:
        return {"error": str(error)}
    return {"open": True}


def unit_starts(names: list[str], env: dict[str, str]) -> dict[str, float]:
    """When each unit was last started by hand or at boot; units that systemd had to restart by itself are left out."""
    if not names:
        return {}
    command = ["systemctl", "show", "--timestamp=utc", "-p", "Id,ActiveEnterTimestamp,NRestarts", "--"]
    try:
        process = subprocess.run(
            command + [name + ".service" for name in names], env=env, stdout=subprocess.PIPE, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    starts = {}
    for block in process.stdout.decode().split("\n\n"):
        facts = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        stamp = facts.get("ActiveEnterTimestamp", "")
        if stamp not in ("", "n/a") and facts.get("NRestarts") == "0":
            began = time.strptime(stamp, "%a %Y-%m-%d %H:%M:%S UTC")
            starts[facts["Id"][: -len(".service")]] = float(calendar.timegm(began))
    return starts


def log(operation: dict[str, Any], starts: dict[str, float]) -> dict[str, Any]:
    """Errors of a log since its step ended or its unit was restarted, whichever is later, in blocks not allowed.

    oslo.log writes an exception as many lines with the same process and logger; the first names the request in
    brackets. Such lines are one block, and one allowed line allows its block. In somebody's request only the patterns
    of `always` count: users ask for what cannot be, and the log keeps it.
    """
    path = operation["path"]
    try:
        since = os.stat(operation["marker"]).st_mtime
    except OSError:
        since = 0.0
    since = max(since, starts.get(operation["unit"], 0.0))
    start = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since))
    allowed = [re.compile(text) for text in operation["allow"]]
    always = [re.compile(text) for text in operation.get("always", ())]
    blocks: list[list[str]] = []
    current: dict[tuple[str, str], list[str]] = {}
    try:
        stream = open(path, encoding="utf-8", errors="replace")  # noqa: SIM115
    except OSError as error:
        return {"exists": False, "error": error.strerror}
    with stream:
        inside = since == 0.0
        trace: list[str] = []
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

    def counts(block: list[str]) -> bool:
        if any(rule.search(line) for rule in allowed for line in block):
            return False
        return not OF_A_USER.match(block[0]) or any(rule.search(line) for rule in always for line in block)

    bad = [block for block in blocks if counts(block)]
    first = [line.rstrip()[:300] for block in bad[:3] for line in (block[:1] + block[-1:] if len(block) > 1 else block)]
    return {"exists": True, "since": start, "blocks": len(bad), "lines": first}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Do all operations, some at once."""
    began = time.time()
    env = environment(request.get("env", ""))
    secrets = set(request.get("secrets", ()))
    operations = request["operations"]
    units = sorted({item["unit"] for item in operations.values() if item["op"] == "log" and item["unit"]})
    starts = unit_starts(units, env)

    def one(item: dict[str, Any]) -> dict[str, Any]:
        began = time.monotonic()
        try:
            if item["op"] == "run":
                result = run(item, env, secrets)
            elif item["op"] == "file":
                result = file(item)
            elif item["op"] == "http":
                result = http(item, env)
            elif item["op"] == "login-form":
                result = login_form(item, env)
            elif item["op"] == "amqp":
                result = amqp(item, env)
            elif item["op"] == "console":
                result = console(item)
            else:
                result = log(item, starts)
        except Exception as error:  # one bad operation must not take the others' answers with it
            result = {"error": f"{type(error).__name__}: {error}"}
        result["seconds"] = round(time.monotonic() - began, 2)
        return result

    results: dict[str, Any] = dict.fromkeys(operations)
    waiting = list(operations.items())

    def work() -> None:
        while waiting:
            try:
                key, item = waiting.pop(0)
            except IndexError:  # the other thread was faster
                return
            results[key] = one(item)

    threads = [threading.Thread(target=work) for _ in range(request.get("jobs", 2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"began": began, "results": results, "ended": time.time()}


if __name__ == "__main__":
    question = json.loads(sys.argv[1])
    signal.alarm(question.get("limit", 0))  # whatever hangs, the agent ends
    sys.stdout.write("\n" + json.dumps(answer(question)) + "\n")
