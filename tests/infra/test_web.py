from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lab.verification.collectors import Need
from lab.verification.outcome import expect
from lab.verification.registry import asserts
from lab.verification.values import secret_name

if TYPE_CHECKING:
    from lab.planning.plan import Check
    from lab.verification.facts import NodeFacts


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


def _login(check: Check) -> list[str]:
    return [check.args["url"], check.args["user"], secret_name(check.args["password"])]


@asserts(
    "dashboard-login",
    args="url user password",
    needs=lambda check: [Need("dashboard-logins", json.dumps(_login(check)))],
)
def test_dashboard_login(check: Check, node: NodeFacts) -> None:
    """The page behind the login, which a wrong password does not reach, names the user and offers to log out."""
    url, user, secret = _login(check)
    answer = node.dashboard_login(url, user, secret)
    expected = f"the dashboard's first page for {user} with {secret}"
    expect(answer.get("status") == 200, expected, f"{_said(answer)} from {answer.get('url', url)}")
    inside = "/auth/login" not in answer["url"] and "/auth/logout" in answer["body"] and user in answer["body"]
    expect(inside, expected, f"the page {answer['url']}, not logged in")
