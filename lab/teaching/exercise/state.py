"""A digest of what exercises may change on a node, by topic, so that a difference has a name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# Which units are enabled, masked or changed is in the last two and in /etc: systemctl takes a minute to list them on a
# busy emulated node, and gives up when its bus does not answer in 25 seconds.
PLACES = (
    *("/etc", "/root", "/srv", "/usr/local", "/var/backups", "/var/lib/glance", "/var/lib/misc", "/var/lib/nova"),
    *("/var/local", "/var/mail", "/var/opt", "/var/spool", "/var/cache/apt", "/var/cache/man"),
    *("/run/systemd/system", "/usr/lib/systemd/system"),
)
# The DHCP client of a node writes its resolv.conf each time it asks, for example after a restore.
STATE = r"""
import hashlib, json, os, re, stat, subprocess, sys
TIMELESS = ["/etc/resolv.conf"]
QUERIES = {
    "accounts": "SELECT User, Host, Priv FROM mysql.global_priv ORDER BY 1, 2",
    "rights": "SELECT * FROM mysql.db ORDER BY Host, Db, User",
    "endpoints": "SELECT id, interface, region_id, url, enabled, service_id FROM keystone.endpoint ORDER BY id",
    "users": "SELECT id, enabled FROM keystone.user ORDER BY id",
    "passwords": "SELECT local_user_id, password_hash FROM keystone.password ORDER BY 1, 2",
    "roles": "SELECT type, actor_id, target_id, role_id FROM keystone.assignment ORDER BY 1, 2, 3, 4",
    "cells": "SELECT name, transport_url, database_connection, disabled FROM nova_api.cell_mappings ORDER BY 1",
    "hosts": "SELECT host, cell_id FROM nova_api.host_mappings ORDER BY 1",
    "mapped": "SELECT host, mapped FROM nova.compute_nodes WHERE deleted = 0 ORDER BY 1",
    "services": "SELECT host, `binary`, disabled, forced_down FROM nova.services WHERE deleted = 0 ORDER BY 1, 2",
    "allocations": "SELECT consumer_id, resource_class_id, used FROM placement.allocations ORDER BY 1, 2",
    "schema": "SELECT version_num FROM placement.alembic_version",
}
topics = {}
def add(topic, text):
    data = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    topics.setdefault(topic, hashlib.sha256()).update(data)
def content(path, facts):
    if stat.S_ISLNK(facts.st_mode):
        return os.readlink(path).encode()
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > 1 << 22:
        return b""
    with open(path, "rb") as file:
        return file.read()
for place in PLACES:
    for top, directories, files in os.walk(place):
        directories[:] = sorted(name for name in directories if name != "instances")
        for name in (*directories, *sorted(files)):
            path = os.path.join(top, name)
            try:
                facts = os.lstat(path)
                text = content(path, facts)
            except OSError as error:
                facts, text = None, str(error).encode()
            topic = "/".join(path.split("/")[:3]) if place == "/etc" else place
            written = facts and path not in TIMELESS and facts.st_mtime_ns
            shown = facts and (facts.st_mode, facts.st_uid, facts.st_gid, facts.st_size, written)
            add(topic, "%s %s " % (path, shown))
            add(topic, text)
def said(*words):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        sys.exit("%s: %s" % (" ".join(words), done.stderr.decode("utf-8", "replace")))
    return done.stdout.decode("utf-8", "replace")
add("packet filter", re.sub(r"\[\d+:\d+\]|(?m:^#.*$)", "", said("iptables-save", "-t", "filter")))
add("listeners", "\n".join(sorted({" ".join(line.split()[3:4]) for line in said("ss", "-Hltn").splitlines()})))
if os.path.isdir("/var/lib/mysql/nova"):
    for topic, query in QUERIES.items():
        add("database: " + topic, said("mariadb", "--batch", "--skip-column-names", "--execute", query))
print(json.dumps({topic: found.hexdigest()[:16] for topic, found in topics.items()}))
"""


def script(places: Sequence[str] = PLACES) -> str:
    """Write the command for a node; it prints one line."""
    return f"python3 -I -S - <<'EOF'\nPLACES = {list(places)}\n{STATE}\nEOF\n"


def read(said: str) -> dict[str, str]:
    """Read what it printed: topic -> digest."""
    found: dict[str, str] = json.loads(said.strip().splitlines()[-1])
    return found


def differences(before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Name what is not as before: topic on node."""
    return list(_differences(before, after))


def _differences(before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for node in before:
        old, new = before[node], after.get(node, {})
        for topic in sorted(old.keys() | new.keys()):
            if old.get(topic) != new.get(topic):
                yield f"{topic} on {node}"
