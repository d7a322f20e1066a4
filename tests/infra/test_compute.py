from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lab.verification.collectors import Need
from lab.verification.facts import CONTROLLER
from lab.verification.outcome import expect
from lab.verification.parse import upgrade_problems
from lab.verification.registry import asserts

if TYPE_CHECKING:
    from lab.planning.plan import Check
    from lab.verification.facts import NodeFacts

NOVA_COMPUTE = "/etc/nova/nova-compute.conf"


@asserts("virt-type", needs=lambda _: [Need("texts", NOVA_COMPUTE), Need("cpu")])
def test_virt_type(check: Check, node: NodeFacts) -> None:
    """The plan's type, in the file that nova-compute reads last, and kvm only on a CPU that has it."""
    wanted = node.node.virt_type
    values = node.options(NOVA_COMPUTE).get(("libvirt", "virt_type"), [])
    found = values[-1] if values else "no such option"
    expect(found == wanted, f"{NOVA_COMPUTE}: [libvirt] virt_type = {wanted}", found)
    if wanted == "kvm":
        expect(node.offers_kvm(), "a CPU with svm or vmx, and /dev/kvm", "one of them is missing")


@asserts("upgrade-check", args="run", needs=lambda check: [Need("commands", check.args["run"])])
def test_upgrade_check(check: Check, node: NodeFacts) -> None:
    """Exit code 0: every check of the service's own says Success."""
    ran = node.run(check.args["run"])
    bad = "; ".join(upgrade_problems(ran.stdout)) or ran.said
    expect(ran.rc == 0, f"`{check.args['run']}` finds nothing", f"exit code {ran.rc}: {bad}")


def _same(found: object, wanted: object) -> bool:
    """Lists print booleans, numbers and words in more than one way: true is True, and `up` is UP."""
    return found == wanted or str(found).lower() == str(wanted).lower()


@asserts("openstack", args="list row", needs=lambda check: [Need("rows", check.args["list"], CONTROLLER)])
def test_openstack(check: Check, cloud: NodeFacts) -> None:
    """`openstack LIST` has a row with these columns."""
    listing, wanted = check.args["list"], check.args["row"]
    rows = cloud.rows(listing)
    missing = sorted(set(wanted) - set(rows[0])) if rows else []
    expect(
        not missing,
        f"columns {', '.join(wanted)} in `openstack {listing}`",
        f"columns {', '.join(rows[0] if rows else ())}",
    )
    right = [sum(_same(row[key], value) for key, value in wanted.items()) for row in rows]
    nearest = [row for row, count in zip(rows, right, strict=True) if count == max(right)]
    shown = "; ".join(", ".join(f"{key} {row[key]}" for key in wanted) for row in nearest[:8])
    expect(
        len(wanted) in right,
        f"{', '.join(f'{key} {value}' for key, value in wanted.items())} in `openstack {listing}`",
        shown or "an empty list",
    )


@asserts(
    "openstack-count",
    args="list count",
    optional="where",
    needs=lambda check: [Need("rows", check.args["list"], CONTROLLER)],
)
def test_openstack_count(check: Check, cloud: NodeFacts) -> None:
    """`openstack LIST` has so many rows; with `where`, so many whose columns are these patterns as a whole."""
    where = check.args.get("where", {})
    rows = cloud.rows(check.args["list"])
    count = sum(all(re.fullmatch(text, str(row.get(key))) for key, text in where.items()) for row in rows)
    wanted, which = int(check.args["count"]), "".join(f" with {key} {text}" for key, text in where.items())
    expect(count == wanted, f"{wanted} rows{which} in `openstack {check.args['list']}`", str(count))
