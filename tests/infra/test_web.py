from __future__ import annotations

from typing import TYPE_CHECKING

from lab.verification.cloud import status, tool
from lab.verification.outcome import expect
from lab.verification.registry import asserts
from lab.verification.values import secret_name

if TYPE_CHECKING:
    from testinfra.host import Host

    from lab.planning.plan import Check
    from lab.verification.suite import Suite


@asserts("http", args="url status", optional="contains")
def test_http(check: Check, host: Host, suite: Suite) -> None:
    """Asked from the check's own node; redirects are not followed."""
    url, wanted, text = check.args["url"], int(check.args["status"]), check.args.get("contains", "")
    answer = tool(host, "http", url=url, timeout=20 * suite.scale)
    expect(answer.get("status") == wanted, f"HTTP {wanted} from {url}", status(answer))
    expect(text in answer["body"], f"{text!r} in what {url} answers", repr(answer["body"][:160]))


@asserts("endpoint-answers", args="url")
def test_endpoint_answers(check: Check, host: Host, suite: Suite) -> None:
    """Any answer of the service itself: 200, 300 (versions) or 401 (log in first), but no error of a server."""
    url = str(check.args["url"]).split("%(")[0]  # without the project's place in it, as …/v2.1/%(tenant_id)s
    answer = tool(host, "http", url=url, timeout=20 * suite.scale)
    expect(answer.get("status") in (200, 300, 401), f"{url} answers", status(answer))


@asserts("dashboard-login", args="url user password")
def test_dashboard_login(check: Check, host: Host, suite: Suite) -> None:
    """The page behind the login, which a wrong password does not reach, names the user and offers to log out."""
    url, user, secret = check.args["url"], check.args["user"], secret_name(check.args["password"])
    fields = {"domain": "Default", "username": user, "password": f"${{{secret}}}"}
    answer = tool(host, "login-form", url=url, fields=fields, timeout=60 * suite.scale)
    expected = f"the dashboard's first page for {user} with {secret}"
    expect(answer.get("status") == 200, expected, f"{status(answer)} from {answer.get('url', url)}")
    inside = "/auth/login" not in answer["url"] and "/auth/logout" in answer["body"] and user in answer["body"]
    expect(inside, expected, f"the page {answer['url']}, not logged in")
