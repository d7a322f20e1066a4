from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lab.verification import parse
from lab.verification.cloud import output, run, sql
from lab.verification.outcome import expect
from lab.verification.registry import asserts
from lab.verification.values import secret_name

if TYPE_CHECKING:
    from testinfra.host import Host

GRANTS = """\
set -o pipefail
mariadb -NBre "SELECT CONCAT('SHOW GRANTS FOR ', QUOTE(user), '@', QUOTE(host), ';') FROM mysql.user WHERE host <> ''" |
    mariadb -NBr --force"""
"""of all accounts: a client takes an emulated node half a second to start"""
LOGIN = """\
export MYSQL_PWD="${secret}"
mariadb --no-defaults --protocol=tcp --host="$CONTROLLER_IP" {query} >/dev/null || exit 1
[ "$LAB_ROLE" = controller ] || exit 0
mariadb --no-defaults --protocol=socket {query} >/dev/null || exit 2"""


@asserts("database")
def test_database(host: Host, name: str) -> None:
    found = sql(host, "SHOW DATABASES")
    expect(name in found, f"database {name}", f"databases {', '.join(sorted(found))}")


@asserts("grants")
def test_grants(host: Host, user: str, host_: str, grants: list[str]) -> None:
    """Exactly ALL PRIVILEGES on these databases: nothing less, nothing more, and no right to grant."""
    account, wanted = f"'{user}'@'{host_}'", frozenset(grants)
    expected = f"ALL PRIVILEGES for {account} on exactly {', '.join(sorted(wanted))}"
    found = parse.grants(output(host, "mariadb", GRANTS).splitlines(), user, host_)
    expect(found is not None, expected, f"no account {account}")
    databases, others = found or (frozenset(), ())
    missing, extra = sorted(wanted - databases), [*sorted(databases - wanted), *others]
    words = [f"none on {', '.join(missing)}"] if missing else []
    words += [f"besides: {'; '.join(extra)}"] if extra else []
    expect(not words, expected, "; ".join(words))


@asserts("db-login")
def test_db_login(host: Host, user: str, password: str, database: str) -> None:
    """The password opens the database over TCP, as the services do, and on the controller through the socket."""
    secret = secret_name(password)
    query = host.backend.quote("--user %s -NBe 'SELECT 1' %s", user, database)
    ran = run(host, LOGIN.format(secret=secret, query=query), secrets=[secret])
    way = "through the local socket" if ran.rc == 2 else "over TCP"
    expect(ran.rc == 0, f"{user} opens database {database} with {secret}", f"{way}: {ran.last_line}")


@asserts("cell")
def test_cell(host: Host, name: str) -> None:
    """The mapping is read from nova_api itself: nova-manage takes fifteen seconds to say the same."""
    found = sql(host, "SELECT name FROM nova_api.cell_mappings")
    expect(name in found, f"a mapping of {name} in nova_api", f"cells {', '.join(sorted(found)) or '(none)'}")


@asserts("schema-head")
def test_schema_head(host: Host, command: str, database: str | None, head: str | None) -> None:  # noqa: ARG001
    """The command names the schema's version; `head` is what it must look like (default: alembic's word for it)."""
    head, ran = head or r"\(head\)", run(host, command)
    good = ran.rc == 0 and re.search(head, ran.stdout) is not None
    expect(good, f"schema at {head}", f"exit code {ran.rc}: {ran.last_line}")
