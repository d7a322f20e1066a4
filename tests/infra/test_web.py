from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.verification.cloud import met, tool
from lab.verification.outcome import ServerError, expect
from lab.verification.registry import asserts
from lab.verification.values import secret_name

if TYPE_CHECKING:
    from testinfra.host import Host


@asserts("http")
def test_http(host: Host, url: str, status: str, contains: str | None) -> None:
    """Asked from the check's own node; redirects are not followed."""
    wanted, text = int(status), contains or ""
    answer = tool(host, "http", url=url, seconds=20)
    _expect(answer, (wanted,), f"HTTP {wanted} from {url}")
    expect(text in answer["body"], f"{text!r} in what {url} answers", repr(answer["body"][:160]))


@asserts("endpoint-answers")
def test_endpoint_answers(host: Host, url: str) -> None:
    """Any answer of the service itself: 200, 300 (versions) or 401 (log in first), but no error of a server."""
    url = url.split("%(")[0]  # without the project's place in it, as …/v2.1/%(tenant_id)s
    answer = tool(host, "http", url=url, seconds=20)
    _expect(answer, (200, 300, 401), f"{url} answers")


def _expect(answer: dict[str, Any], statuses: tuple[int, ...], expected: str) -> None:
    status = answer.get("status", 0)
    if status >= 500 and status not in statuses:
        raise ServerError(expected, met(answer))
    expect(status in statuses, expected, met(answer))


@asserts("dashboard-login")
def test_dashboard_login(host: Host, url: str, user: str, password: str) -> None:
    """The page behind the login, which a wrong password does not reach, names the user and offers to log out."""
    secret = secret_name(password)
    fields = {"domain": "Default", "username": user, "password": f"${{{secret}}}"}
    answer = tool(host, "login-form", url=url, fields=fields, seconds=60)
    expected = f"the dashboard's first page for {user} with {secret}"
    expect(answer.get("status") == 200, expected, f"{met(answer)} from {answer.get('url', url)}")
    inside = "/auth/login" not in answer["url"] and "/auth/logout" in answer["body"] and user in answer["body"]
    expect(inside, expected, f"the page {answer['url']}, not logged in")
