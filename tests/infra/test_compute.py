from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lab.verification.cloud import rows, run
from lab.verification.outcome import expect
from lab.verification.parse import effective, upgrade_problems
from lab.verification.registry import asserts

if TYPE_CHECKING:
    from testinfra.host import Host

    from lab.planning.plan import Check
    from lab.verification.suite import Suite

NOVA_COMPUTE = "/etc/nova/nova-compute.conf"


@asserts("virt-type")
def test_virt_type(check: Check, host: Host, suite: Suite) -> None:
    """The plan's type, in the file that nova-compute reads last, and kvm only on a CPU that has it."""
    wanted = suite.virt_types[check.node]
    found = effective(host.file(NOVA_COMPUTE).content_string, "libvirt", "virt_type")
    expect(found == wanted, f"{NOVA_COMPUTE}: [libvirt] virt_type = {wanted}", found or "no such option")
    if wanted == "kvm":
        offered = host.run("grep -Ewq 'vmx|svm' /proc/cpuinfo && test -c /dev/kvm").rc == 0
        expect(offered, "a CPU with svm or vmx, and /dev/kvm", "one of them is missing")


@asserts("upgrade-check")
def test_upgrade_check(host: Host, run_: str) -> None:
    """Exit code 0: every check of the service's own says Success."""
    ran = run(host, run_)
    bad = "; ".join(upgrade_problems(ran.stdout)) or ran.last_line
    expect(ran.rc == 0, f"`{run_}` finds nothing", f"exit code {ran.rc}: {bad}")


def _same(found: object, wanted: object) -> bool:
    """Lists print booleans, numbers and words in more than one way: true is True, and `up` is UP."""
    return found == wanted or str(found).lower() == str(wanted).lower()


@asserts("openstack")
def test_openstack(controller: Host, list_: str, row: dict[str, Any]) -> None:
    """`openstack LIST` has a row with these columns."""
    found = rows(controller, list_)
    columns = f"columns {', '.join(row)} in `openstack {list_}`"
    expect(not found or set(row) <= set(found[0]), columns, f"columns {', '.join(found[0] if found else ())}")
    right = [sum(_same(there[key], value) for key, value in row.items()) for there in found]
    nearest = [there for there, count in zip(found, right, strict=True) if count == max(right)]
    shown = "; ".join(", ".join(f"{key} {there[key]}" for key in row) for there in nearest[:8])
    wanted = ", ".join(f"{key} {value}" for key, value in row.items())
    expect(len(row) in right, f"{wanted} in `openstack {list_}`", shown or "an empty list")


@asserts("openstack-count")
def test_openstack_count(controller: Host, list_: str, count: str, where: dict[str, str] | None) -> None:
    """`openstack LIST` has so many rows; with `where`, so many whose columns are these patterns as a whole."""
    patterns = (where or {}).items()
    found = sum(all(re.fullmatch(text, str(row.get(key))) for key, text in patterns) for row in rows(controller, list_))
    which = "".join(f" with {key} {text}" for key, text in patterns)
    expect(found == int(count), f"{count} rows{which} in `openstack {list_}`", str(found))
