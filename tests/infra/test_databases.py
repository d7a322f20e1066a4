from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lab.verification import parse
from lab.verification.cloud import run, sql
from lab.verification.outcome import CannotTell, expect
from lab.verification.registry import asserts
from lab.verification.values import secret_name

if TYPE_CHECKING:
    from testinfra.host import Host

    from lab.planning.plan import Check

LOGIN = """\
export MYSQL_PWD="${secret}"
mariadb --no-defaults --protocol=tcp --host="$CONTROLLER_IP" {query} >/dev/null || exit 1
[ "$LAB_ROLE" = controller ] || exit 0
mariadb --no-defaults --protocol=socket {query} >/dev/null || exit 2"""


@asserts("database", args="name")
def test_database(check: Check, host: Host) -> None:
    name, found = check.args["name"], sql(host, "SHOW DATABASES")
    expect(name in found, f"database {name}", f"databases {', '.join(sorted(found))}")


@asserts("grants", args="user host grants")
def test_grants(check: Check, host: Host) -> None:
    """Exactly ALL PRIVILEGES on these databases: nothing less, nothing more, and no right to grant."""
    account = f"'{check.args['user']}'@'{check.args['host']}'"
    wanted = frozenset(check.args["grants"])
    expected = f"ALL PRIVILEGES for {account} on exactly {', '.join(sorted(wanted))}"
    try:
        found = parse.grants(sql(host, f"SHOW GRANTS FOR {account}"))
    except CannotTell as error:
        expect("no such grant" not in str(error), expected, f"no account {account}")
        raise
    missing = sorted(wanted - found.databases)
    extra = [*sorted(found.databases - wanted), *found.others]
    words = [f"none on {', '.join(missing)}"] if missing else []
    words += [f"besides: {'; '.join(extra)}"] if extra else []
    expect(not words, expected, "; ".join(words))


@asserts("db-login", args="user password database")
def test_db_login(check: Check, host: Host) -> None:
    """The password opens the database over TCP, as the services do, and on the controller through the socket."""
    user, secret, database = check.args["user"], secret_name(check.args["password"]), check.args["database"]
    query = host.backend.quote("--user %s -NBe 'SELECT 1' %s", user, database)
    ran = run(host, LOGIN.format(secret=secret, query=query), secrets=[secret])
    way = "through the local socket" if ran.rc == 2 else "over TCP"
    expect(ran.rc == 0, f"{user} opens database {database} with {secret}", f"{way}: {ran.last_line}")


@asserts("cell", args="name")
def test_cell(check: Check, host: Host) -> None:
    """The mapping is read from nova_api itself: nova-manage takes fifteen seconds to say the same."""
    name, found = check.args["name"], sql(host, "SELECT name FROM nova_api.cell_mappings")
    expect(name in found, f"a mapping of {name} in nova_api", f"cells {', '.join(sorted(found)) or '(none)'}")


@asserts("schema-head", args="command", optional="database head")
def test_schema_head(check: Check, host: Host) -> None:
    """The command names the schema's version; `head` is what it must look like (default: alembic's word for it)."""
    head = str(check.args.get("head", r"\(head\)"))
    ran = run(host, check.args["command"])
    good = ran.rc == 0 and re.search(head, ran.stdout) is not None
    expect(good, f"schema at {head}", f"exit code {ran.rc}: {ran.last_line}")
