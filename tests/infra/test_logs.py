from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab.verification.collectors import Need
from lab.verification.outcome import expect
from lab.verification.registry import asserts

if TYPE_CHECKING:
    from lab.planning.plan import Check
    from lab.verification.facts import NodeFacts


@asserts("log", args="path", needs=lambda check: [Need("logs", json.dumps([check.step, check.args["path"]]))])
def test_log(check: Check, node: NodeFacts) -> None:
    """No error or traceback since the step ended or the service was restarted, but those of lab.verification.logs."""
    path = check.args["path"]
    answer = node.log(check.step, path)
    found = f"{answer['blocks']}: " + "\n".join(answer["lines"]) if answer.get("exists") else str(answer.get("error"))
    expect(answer.get("exists") is True and answer["blocks"] == 0, f"no error in {path}", found)
