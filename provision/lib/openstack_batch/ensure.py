"""The `ensure` forms of all services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openstack_batch.ensure_identity import EnsureIdentity
from openstack_batch.limits import scaled

if TYPE_CHECKING:
    from collections.abc import Callable

    from openstack_batch.client import Result

DELETE_WAIT_S = 20
MISSING = "missing"


class Ensure:
    """The `ensure` forms of the other services. Each returns MISSING, or what it found or mended in a word."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._identity = EnsureIdentity()
        self._forms: dict[str, Callable[[Any], str]] = {
            "image create": self._image,
            "flavor create": self._flavor,
            "network create": self._network,
            "subnet create": self._subnet,
            "security group rule create": self._rule,
            "server create": self._server,
        }

    def run(self, words: list[str]) -> Result:
        """Make the result of WORDS true."""
        if self._identity.knows(words):
            return self._identity.run(words)
        form = next((form for name, form in self._forms.items() if words[: len(name.split())] == name.split()), None)
        if form is None:
            return 2, "", f"ensure knows only: {', '.join([*EnsureIdentity.FORMS, *self._forms])}"
        from keystoneauth1 import exceptions
        from openstack import exceptions as sdk_exceptions

        try:
            args = self._client.parse(words)
            args.words = words
            done = form(args)
        except (exceptions.ClientException, sdk_exceptions.SDKException, LookupError) as error:
            return 1, "", f"{type(error).__name__}: {error}"
        if done == MISSING:
            code, output, said = self._client.run(words)
            if code and "already exists" in said:  # a rule, which has no name to be looked up by
                return 0, "present", ""
            return code, "created" if code == 0 else output, said
        return 0, done, ""

    def _image(self, args: Any) -> str:
        whole = False
        for image in self._client.sdk.image.images(name=args.name):
            if image.status == "active":
                whole = True
            else:
                self._client.sdk.image.delete_image(image)
        return "present" if whole else MISSING

    def _flavor(self, args: Any) -> str:
        flavors = self._client.sdk.compute.flavors(is_public=None)
        return "present" if any(flavor.name == args.name for flavor in flavors) else MISSING

    def _network(self, args: Any) -> str:
        return "present" if list(self._client.sdk.network.networks(name=args.name)) else MISSING

    def _subnet(self, args: Any) -> str:
        return "present" if list(self._client.sdk.network.subnets(name=args.name)) else MISSING

    def _rule(self, args: Any) -> str:
        """Create in the login's own project: an administrator sees a group `default` of every project."""
        groups = list(self._client.sdk.network.security_groups(name=args.group, project_id=self._client.project_id))
        if not groups:
            raise LookupError(f"no security group named {args.group}")
        args.words[-1] = groups[0].id
        return MISSING

    def _server(self, args: Any) -> str:
        compute = self._client.sdk.compute
        servers = [server for server in compute.servers(details=True) if server.name == args.server_name]
        if not servers:
            return MISSING
        server = servers[0]
        if server.status == "ERROR":
            compute.delete_server(server)
            compute.wait_for_delete(server, wait=scaled(DELETE_WAIT_S))
            return MISSING
        if server.status == "SHUTOFF":
            compute.start_server(server)
            return "started"
        return "present"
