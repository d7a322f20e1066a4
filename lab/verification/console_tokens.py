"""Tokens of consoles, which their proxies accept, refuse, and refuse after their time; runs on a node, beside tools.py.

A token lives for a minute or two, and a round of the client's commands may take longer: this asks the APIs itself.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from typing import Any
from urllib.parse import urlsplit

from lab.verification.tools import Env, console, http_request

IDENTITY = "http://controller:5000/v3/auth/tokens"
COMPUTE = "http://controller:8774/v2.1"
ACTIONS = {"novnc": "os-getVNCConsole", "xvpvnc": "os-getVNCConsole", "spice": "os-getSPICEConsole"}
TYPES = {"novnc": "novnc", "xvpvnc": "xvpvnc", "spice": "spice-html5"}
"""console: its action and its type in version 2.1 of the Compute API"""


def login(env: Env, secret: str, timeout: float) -> str:
    """Log in as admin, in the project admin; a token of the Identity service.

    Raises:
        OSError: it gave none.
    """
    domain = {"id": "default"}
    user = {"name": "admin", "domain": domain, "password": env.get(secret, "")}
    identity = {"methods": ["password"], "password": {"user": user}}
    body = json.dumps({"auth": {"identity": identity, "scope": {"project": {"name": "admin", "domain": domain}}}})
    parts = urlsplit(IDENTITY)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("POST", parts.path, body=body, headers={"Content-Type": "application/json"})
        answer = connection.getresponse()
        token = answer.getheader("X-Subject-Token")
        if answer.status != 201 or not token:
            raise OSError(f"HTTP {answer.status} from {IDENTITY}")
        return token
    finally:
        connection.close()


def url_of(env: Env, secret: str, server: str, kind: str, timeout: float) -> str:
    """Ask the Compute API for the address of an instance's console, with a new token.

    Raises:
        OSError: it gave none.
    """
    headers = {"X-Auth-Token": login(env, secret, timeout)}
    body = {ACTIONS[kind]: {"type": TYPES[kind]}}
    answer = http_request(env, f"{COMPUTE}/servers/{server}/action", timeout, headers=headers, body=body)
    if answer.get("status") != 200:
        raise OSError(f"{answer.get('error') or 'HTTP ' + str(answer['status'])} from {ACTIONS[kind]}")
    return str(json.loads(answer["body"])["console"]["url"])


def plain(url: str, expect: str, timeout: float) -> dict[str, Any]:
    """Ask a proxy that speaks HTTP once, and lets the console's own bytes follow: {"status", "said"} or {"error"}."""
    parts = urlsplit(url)
    request = f"GET {parts.path or '/'}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n"
    found, deadline = b"", time.monotonic() + timeout
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=timeout) as stream:
            stream.sendall(request.encode())
            while expect.encode("latin-1") not in found and (left := deadline - time.monotonic()) > 0:
                stream.settimeout(left)
                more = stream.recv(4096)
                if not more:
                    break
                found += more
                if not found.startswith(b"HTTP/1.1 200") and b"\r\n\r\n" in found:
                    break
    except OSError as error:
        return {"error": f"{type(error).__name__}: {error}", "said": ""}
    head, _, said = found.partition(b"\r\n\r\n")
    return {"status": head.split(b"\r\n")[0].decode("latin-1"), "said": said[:200].decode("latin-1")}


def console_token(
    env: Env,
    server: str,
    kind: str,
    secret: str,
    expect: str,
    timeout: float,
    send: str = "",
    forge: bool = False,
    wait: float = 0,
) -> dict[str, Any]:
    """Get the address of a console, and open it after `wait` seconds, or with a token that nobody gave (`forge`)."""
    try:
        url = url_of(env, secret, server, kind, timeout)
    except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
        return {"asked": f"{type(error).__name__}: {error}"}
    if forge:
        url = re.sub(r"token=[0-9a-f-]+", "token=00000000-0000-4000-8000-000000000000", url)
    time.sleep(wait)
    return plain(url, expect, timeout) if kind == "xvpvnc" else console(env, url, expect, timeout, send)
