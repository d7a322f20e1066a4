from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.infra.collectors import Need
from lab.infra.outcome import expect
from lab.infra.registry import asserts

if TYPE_CHECKING:
    from lab.infra.facts import NodeFacts
    from lab.plan import Check


def _said(answer: dict[str, Any]) -> str:
    return f"HTTP {answer['status']}" if "status" in answer else str(answer.get("error"))


def _base(check: Check) -> str:
    """A catalog's URL without the project's place in it, as newton's …/v2.1/%(tenant_id)s."""
    return str(check.args["url"]).split("%(")[0]


@asserts("http", args="url status", optional="contains", needs=lambda check: [Need("web", check.args["url"])])
def test_http(check: Check, node: NodeFacts) -> None:
    """Asked from the check's own node; redirects are not followed."""
    url, status, text = check.args["url"], int(check.args["status"]), check.args.get("contains", "")
    answer = node.web(url)
    expect(answer.get("status") == status, f"HTTP {status} from {url}", _said(answer))
    expect(text in answer["body"], f"{text!r} in what {url} answers", repr(answer["body"][:160]))


@asserts("endpoint-answers", args="url", needs=lambda check: [Need("web", _base(check))])
def test_endpoint_answers(check: Check, node: NodeFacts) -> None:
    """Any answer of the service itself: 200, 300 (versions) or 401 (log in first), but no error of a server."""
    url = _base(check)
    answer = node.web(url)
    expect(answer.get("status") in (200, 300, 401), f"{url} answers", _said(answer))
