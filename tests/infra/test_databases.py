from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from lab.verification import parse
from lab.verification.collectors import Need
from lab.verification.outcome import CannotTell, expect
from lab.verification.registry import asserts
from lab.verification.values import secret_name

if TYPE_CHECKING:
    from lab.planning.plan import Check
    from lab.verification.facts import NodeFacts

DATABASES = "SHOW DATABASES"
CELLS = "SELECT name FROM nova_api.cell_mappings"


def _show_grants(check: Check) -> str:
    return f"SHOW GRANTS FOR '{check.args['user']}'@'{check.args['host']}'"


def _login(check: Check) -> list[str]:
    return [check.args["user"], secret_name(check.args["password"]), check.args["database"]]


@asserts("database", args="name", needs=lambda _: [Need("sql", DATABASES)])
def test_database(check: Check, node: NodeFacts) -> None:
    name = check.args["name"]
    found = node.sql(DATABASES)
    expect(name in found, f"database {name}", f"databases {', '.join(sorted(found))}")


@asserts("grants", args="user host grants", needs=lambda check: [Need("sql", _show_grants(check))])
def test_grants(check: Check, node: NodeFacts) -> None:
    """Exactly ALL PRIVILEGES on these databases: nothing less, nothing more, and no right to grant."""
    account = f"'{check.args['user']}'@'{check.args['host']}'"
    wanted = frozenset(check.args["grants"])
    expected = f"ALL PRIVILEGES for {account} on exactly {', '.join(sorted(wanted))}"
    try:
        found = parse.grants(node.sql(_show_grants(check)))
    except CannotTell as error:
        expect("no such grant" not in str(error), expected, f"no account {account}")
        raise
    missing = sorted(wanted - found.databases)
    extra = [*sorted(found.databases - wanted), *found.others]
    words = [f"none on {', '.join(missing)}"] if missing else []
    words += [f"besides: {'; '.join(extra)}"] if extra else []
    expect(not words, expected, "; ".join(words))


@asserts("db-login", args="user password database", needs=lambda check: [Need("logins", json.dumps(_login(check)))])
def test_db_login(check: Check, node: NodeFacts) -> None:
    """The password opens the database, over TCP as the services do and, on the controller, through the socket."""
    user, secret, database = _login(check)
    ran = node.login(user, secret, database)
    way = "through the local socket" if ran.rc == 2 else "over TCP"
    expect(ran.rc == 0, f"{user} opens database {database} with {secret}", f"{way}: {ran.said}")


@asserts("cell", args="name", needs=lambda _: [Need("sql", CELLS)])
def test_cell(check: Check, node: NodeFacts) -> None:
    """The mapping is read from nova_api itself: nova-manage takes fifteen seconds to say the same."""
    name = check.args["name"]
    found = node.sql(CELLS)
    expect(name in found, f"a mapping of {name} in nova_api", f"cells {', '.join(sorted(found)) or '(none)'}")


@asserts(
    "schema-head",
    args="command",
    optional="database head",
    needs=lambda check: [Need("commands", check.args["command"])],
)
def test_schema_head(check: Check, node: NodeFacts) -> None:
    """The command names the schema's version; `head` is what it must look like (default: alembic's word for it)."""
    head = str(check.args.get("head", r"\(head\)"))
    ran = node.run(check.args["command"])
    good = ran.rc == 0 and re.search(head, ran.stdout) is not None
    expect(good, f"schema at {head}", f"exit code {ran.rc}: {ran.said}")
