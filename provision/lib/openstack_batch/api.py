"""The services' APIs as they are: openstacksdk's objects change from release to release, the JSON does not."""

from __future__ import annotations

from typing import Any

KINDS: dict[str, tuple[str, str]] = {
    "flavor": ("compute", "/flavors/detail"),
    "image": ("image", "/images"),
    "network": ("network", "/networks"),
    "port": ("network", "/ports"),
    "router": ("network", "/routers"),
    "security_group": ("network", "/security-groups"),
    "server": ("compute", "/servers/detail"),
    "subnet": ("network", "/subnets"),
}
"""kind: its service, and the path of its list; the list's key is the kind's plural"""


class Api:
    """Requests through the client's own session."""

    def __init__(self, client: Any) -> None:
        self._client = client

    @property
    def project_id(self) -> str:
        """The project of the login."""
        return str(self._client.project_id)

    def find(self, kind: str, **filters: str) -> list[dict[str, Any]]:
        """List the things of a kind that match, the oldest first where the kind tells its age."""
        service, path = KINDS[kind]
        if kind == "image":  # it gives 25 where nobody asks for more
            filters["limit"] = "1000"
        found = list(self.ask(service, "GET", path, params=filters)[f"{kind}s"])
        return sorted(found, key=lambda thing: str(thing.get("created_at") or thing.get("created") or ""))

    def named(self, kind: str, name: str) -> list[dict[str, Any]]:
        """List those of exactly this name; servers of the login's own project only."""
        filters = {"flavor": {"is_public": "None"}, "server": {}}.get(kind, {"name": name})
        return [thing for thing in self.find(kind, **filters) if thing["name"] == name]

    def ask(self, service: str, method: str, path: str, **what: Any) -> Any:
        """Send one request (`json`, `params`); the answer as JSON, None when it has none.

        Raises:
            openstack.exceptions.HttpException: the service refused it.
        """
        from openstack import exceptions

        answer = getattr(self._client.sdk, service).request(path, method, **what)
        exceptions.raise_from_response(answer)
        return answer.json() if answer.content else None
