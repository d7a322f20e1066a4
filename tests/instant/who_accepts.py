"""Runs on a controller, as root, with passwords put in: prints as JSON which are let in, and which files have one.

No check of the suite does this: it is told only the passwords of today.
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request

PASSWORDS: dict[str, str] = {}  # by the guide's names: NOVA_DBPASS, NOVA_PASS, RABBIT_PASS ...
ACCOUNT_OF = {"ADMIN_PASS": "admin", "RABBIT_PASS": "openstack"}


def database(user: str, password: str) -> bool:
    argv = ["mysql", "--host=controller", f"--user={user}", "--execute=SELECT 1"]
    return subprocess.run(argv, env={**os.environ, "MYSQL_PWD": password}, capture_output=True).returncode == 0


def queue(user: str, password: str) -> bool:
    # By its standard input: the process list is everybody's.
    argv = ["rabbitmqctl", "authenticate_user", user]
    return subprocess.run(argv, input=f"{password}\n", text=True, capture_output=True).returncode == 0


def identity(user: str, password: str) -> bool:
    domain = {"name": "Default"}
    who = {"methods": ["password"], "password": {"user": {"name": user, "domain": domain, "password": password}}}
    body = json.dumps({"auth": {"identity": who}}).encode()
    request = urllib.request.Request(
        "http://controller:5000/v3/auth/tokens", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return bool(answer.status == 201)
    except urllib.error.HTTPError as error:
        if error.code != 401:
            raise
        return False


def lets_in(name: str, password: str) -> bool:
    account, _, kind = name.rpartition("_")
    user = ACCOUNT_OF.get(name, account.lower())
    if kind == "DBPASS":
        return database(user, password)
    if name == "RABBIT_PASS":
        return queue(user, password)
    return kind == "PASS" and identity(user, password)


def files_with(password: str) -> list[str]:
    argv = ["grep", "-rlF", "--devices=skip", "-f", "-", "/etc", "/root", "/opt/lab"]
    return subprocess.run(argv, input=password, text=True, capture_output=True).stdout.split()


print(
    json.dumps(
        {
            "lets_in": sorted(name for name, password in PASSWORDS.items() if lets_in(name, password)),
            "files": sorted({path for password in PASSWORDS.values() for path in files_with(password)}),
        }
    )
)
