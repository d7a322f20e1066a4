from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lab.verification.cloud import rows, run
from lab.verification.outcome import expect
from lab.verification.parse import ini, upgrade_problems
from lab.verification.registry import asserts

if TYPE_CHECKING:
    from testinfra.host import Host

    from lab.planning.plan import Check
    from lab.verification.suite import Suite

NOVA_COMPUTE = "/etc/nova/nova-compute.conf"


@asserts("virt-type")
def test_virt_type(check: Check, host: Host, suite: Suite) -> None:
    """The plan's type, in the file that nova-compute reads last, and kvm only on a CPU that has it."""
    wanted = suite.node(check.node).virt_type
    values = ini(host.file(NOVA_COMPUTE).content_string).get(("libvirt", "virt_type"), [])
    found = values[-1] if values else "no such option"
    expect(found == wanted, f"{NOVA_COMPUTE}: [libvirt] virt_type = {wanted}", found)
    if wanted == "kvm":
        offered = host.run("grep -Ewq 'vmx|svm' /proc/cpuinfo && test -c /dev/kvm").rc == 0
        expect(offered, "a CPU with svm or vmx, and /dev/kvm", "one of them is missing")


@asserts("upgrade-check", args="run")
def test_upgrade_check(check: Check, host: Host) -> None:
    """Exit code 0: every check of the service's own says Success."""
    ran = run(host, check.args["run"])
    bad = "; ".join(upgrade_problems(ran.stdout)) or ran.last_line
    expect(ran.rc == 0, f"`{check.args['run']}` finds nothing", f"exit code {ran.rc}: {bad}")


def _same(found: object, wanted: object) -> bool:
    """Lists print booleans, numbers and words in more than one way: true is True, and `up` is UP."""
    return found == wanted or str(found).lower() == str(wanted).lower()


@asserts("openstack", args="list row")
def test_openstack(check: Check, controller: Host) -> None:
    """`openstack LIST` has a row with these columns."""
    listing, wanted = check.args["list"], check.args["row"]
    found = rows(controller, listing)
    columns = f"columns {', '.join(wanted)} in `openstack {listing}`"
    expect(not found or set(wanted) <= set(found[0]), columns, f"columns {', '.join(found[0] if found else ())}")
    right = [sum(_same(row[key], value) for key, value in wanted.items()) for row in found]
    nearest = [row for row, count in zip(found, right, strict=True) if count == max(right)]
    shown = "; ".join(", ".join(f"{key} {row[key]}" for key in wanted) for row in nearest[:8])
    expect(
        len(wanted) in right,
        f"{', '.join(f'{key} {value}' for key, value in wanted.items())} in `openstack {listing}`",
        shown or "an empty list",
    )


@asserts("openstack-count", args="list count", optional="where")
def test_openstack_count(check: Check, controller: Host) -> None:
    """`openstack LIST` has so many rows; with `where`, so many whose columns are these patterns as a whole."""
    listing, wanted, where = check.args["list"], int(check.args["count"]), check.args.get("where", {})
    found = rows(controller, listing)
    count = sum(all(re.fullmatch(text, str(row.get(key))) for key, text in where.items()) for row in found)
    which = "".join(f" with {key} {text}" for key, text in where.items())
    expect(count == wanted, f"{wanted} rows{which} in `openstack {listing}`", str(count))
