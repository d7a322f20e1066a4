from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from lab.verification.cloud import tool
from lab.verification.logs import ALWAYS_BAD, allowed_in
from lab.verification.outcome import expect
from lab.verification.registry import asserts

if TYPE_CHECKING:
    from testinfra.host import Host

    from lab.planning.plan import Check

DONE = "/var/lib/lab/done"


@asserts("log")
def test_log(check: Check, host: Host, path: str) -> None:
    """No error or traceback since the step ended or the service was restarted, but those of lab.verification.logs."""
    unit = host.service(PurePosixPath(path).stem).systemd_properties
    by_hand = unit.get("NRestarts") == "0"  # what systemd had to restart by itself is no fresh start
    started_us = int(unit.get("ActiveEnterTimestampMonotonic", 0)) if by_hand else 0
    allow, always = allowed_in(path), list(ALWAYS_BAD)
    marker = f"{DONE}/{check.step}"
    answer = tool(host, "log", path=path, marker=marker, started_us=started_us, allow=allow, always=always)
    found = f"{answer['blocks']}: " + "\n".join(answer["lines"]) if answer["exists"] else str(answer["error"])
    expect(answer["exists"] and answer["blocks"] == 0, f"no error in {path}", found)
