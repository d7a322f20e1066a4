"""The `ensure` forms of the Compute service, but for servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openstack_batch.api import Api

UNLIMITED = -1


class Flavors:
    """`flavor create`. A name and an id are each there once; an instance keeps the flavor that it was made with."""

    kind = "flavor"

    def __init__(self, api: Api) -> None:
        self._api = api

    def name(self, args: Any) -> str:
        """As the command has it."""
        return str(args.name)

    def things(self, args: Any) -> list[dict[str, Any]]:
        """The one of the name; where somebody's other flavor has the id, ours gets another."""
        flavors = self._api.find("flavor", is_public="None")
        taken = any(flavor["id"] == args.id and flavor["name"] != args.name for flavor in flavors)
        if taken and "--id" in args.words:
            at = args.words.index("--id")
            del args.words[at : at + 2]
        return [flavor for flavor in flavors if flavor["name"] == args.name]

    def fits(self, thing: dict[str, Any], args: Any) -> bool:  # noqa: ARG002 - nobody else's can have the name
        """Whatever has the name."""
        return True

    def repair(self, thing: dict[str, Any], args: Any) -> str:
        """Replace one of other content: it cannot be changed."""
        wanted = {"ram": args.ram, "vcpus": args.vcpus, "disk": args.disk, "os-flavor-access:is_public": True}
        if all(thing.get(key, value) == value for key, value in wanted.items()):
            return "present"
        self._api.ask("compute", "DELETE", f"/flavors/{thing['id']}")
        return ""


class Quotas:
    """`quota set`: limits are raised to this much, and never lowered; those of the login's project."""

    kind = ""

    def __init__(self, api: Api) -> None:
        self._api = api

    def name(self, args: Any) -> str:
        """As the command has it."""
        return str(args.project)

    def things(self, args: Any) -> list[dict[str, Any]]:
        """Nothing where a limit is too low: then the command is made to raise just these."""
        limits = self._api.ask("compute", "GET", f"/os-quota-sets/{self._api.project_id}")["quota_set"]
        low = {
            name: wanted
            for name in ("instances", "cores", "ram")
            if (wanted := getattr(args, name)) is not None and UNLIMITED < limits[name] < wanted
        }
        options = [word for name, wanted in low.items() for word in (f"--{name}", str(wanted))]
        args.words[2:-1] = options
        return [] if low else [{"id": self._api.project_id}]

    def fits(self, thing: dict[str, Any], args: Any) -> bool:  # noqa: ARG002
        """What is there is enough."""
        return True

    def repair(self, thing: dict[str, Any], args: Any) -> str:  # noqa: ARG002
        """Nothing to do."""
        return "present"
