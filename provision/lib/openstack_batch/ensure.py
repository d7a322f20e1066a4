"""The `ensure` forms: what is missing is created, what the lab made and somebody changed is put right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from openstack_batch.api import Api
from openstack_batch.ensure_compute import Flavors, Quotas
from openstack_batch.ensure_identity import EnsureIdentity
from openstack_batch.ensure_image import Images
from openstack_batch.ensure_network import Networks, Routers, RouterSubnets, Rules, Subnets
from openstack_batch.ensure_server import Servers
from openstack_batch.made import Made

if TYPE_CHECKING:
    from openstack_batch.client import Result


class Form(Protocol):
    """The `ensure` form of one command of `openstack`. `args` is what the command's own parser understands."""

    kind: str
    """of the things that it makes, in the record; empty where they have no name"""

    def name(self, args: Any) -> str:
        """The name that the thing is to have."""

    def things(self, args: Any) -> list[dict[str, Any]]:
        """What is there already under that name, whoever made it."""

    def fits(self, thing: dict[str, Any], args: Any) -> bool:
        """Whether it is what the command would make, as far as that cannot be put right later."""

    def repair(self, thing: dict[str, Any], args: Any) -> str:
        """Put right what differs; `present`, or what was done. Empty: it is gone, and is to be created."""


class Ensure:
    """All `ensure` forms."""

    def __init__(self, client: Any, made: Made | None = None, api: Any = None) -> None:
        self._client = client
        self._made = made or Made()
        self._identity = EnsureIdentity()
        api = api or Api(client)
        self._api = api
        self.servers = Servers(api)
        self._forms: dict[str, Form] = {
            "flavor create": Flavors(api),
            "quota set": Quotas(api),
            "image create": Images(api, client),
            "network create": Networks(api, self._made),
            "subnet create": Subnets(api, self._made),
            "router create": Routers(api, self._made),
            "router add subnet": RouterSubnets(api),
            "security group rule create": Rules(api),
            "server create": self.servers,
        }
        self.id = ""
        """of what the last form made or found"""

    def run(self, words: list[str]) -> Result:
        """Make the result of WORDS true."""
        if self._identity.knows(words):
            return self._identity.run(words)
        form = next((form for name, form in self._forms.items() if words[: len(name.split())] == name.split()), None)
        if form is None:
            return 2, "", f"ensure knows only: {', '.join([*EnsureIdentity.FORMS, *self._forms])}"
        try:
            args = self._client.parse(words)
            args.words = words
            return self._run(form, args)
        except (LookupError, *self._client.refusals) as error:
            return 1, "", f"{type(error).__name__}: {error}"

    def own(self, kind: str, name: str) -> str:
        """Give the id of the lab's own thing of a name: the name itself where there is none of that name."""
        thing = self._made.choose(kind, name, self._api.named(kind, name), lambda _: True)
        return str(thing["id"]) if thing else name

    def _run(self, form: Form, args: Any) -> Result:
        things, name = form.things(args), form.name(args)
        thing = self._made.choose(form.kind, name, things, lambda one: form.fits(one, args))
        if thing is not None:
            if done := form.repair(thing, args):
                self._keep(form, name, thing)
                return 0, done, ""
            things = form.things(args)
        code, output, said = self._client.run(args.words)
        if code and "already exists" in said and not form.kind:  # a rule, which has no name to be looked up by
            return 0, "present", ""
        if code:
            return code, output, said
        if form.kind:
            before = {one["id"] for one in things}
            self._keep(form, name, next((one for one in form.things(args) if one["id"] not in before), None))
        return 0, "created", ""

    def _keep(self, form: Form, name: str, thing: dict[str, Any] | None) -> None:
        self.id = str(thing["id"]) if thing else ""
        if form.kind and self.id:
            self._made.keep(form.kind, name, self.id)
