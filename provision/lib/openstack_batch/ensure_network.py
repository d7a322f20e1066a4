"""The `ensure` forms of the Networking service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openstack_batch.api import Api
    from openstack_batch.made import Made


def _set(api: Api, kind: str, thing: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Put right what differs."""
    changes = {key: value for key, value in wanted.items() if thing.get(key) != value}
    if not changes:
        return "present"
    api.ask("network", "PUT", f"/{kind}s/{thing['id']}", json={kind: changes})
    return f"set {', '.join(f'{key} {value}' for key, value in changes.items())}"


def _named(api: Api, made: Made, kind: str, name: str) -> list[dict[str, Any]]:
    """List the things of a name, and the one that the lab made under it, if it has another name now."""
    found = api.named(kind, name)
    own = made.id_of(kind, name)
    if own and not any(thing["id"] == own for thing in found):
        found += [thing for thing in api.find(kind) if thing["id"] == own]
    return found


class _OfTheLab:
    """A kind of which the lab may have made one under the name that a command has."""

    def __init__(self, api: Api, made: Made) -> None:
        self._api = api
        self._made = made

    def name(self, args: Any) -> str:
        """As the command has it."""
        return str(args.name)


class Networks(_OfTheLab):
    """`network create`: the lab's own is the one on its physical network, or in the login's project."""

    kind = "network"

    def things(self, args: Any) -> list[dict[str, Any]]:
        """Those of the name, and the lab's own if it was renamed.

        Raises:
            LookupError: somebody's network of another name has the physical network, which is for one network alone.
        """
        found = _named(self._api, self._made, "network", args.name)
        if args.physical_network and not any(self.fits(network, args) for network in found):
            for other in self._api.find("network"):
                if self.fits(other, args):
                    raise LookupError(
                        f"network {other['name']} ({other['id']}) has the physical network {args.physical_network}: "
                        f"`openstack network set --name {args.name} {other['id']}` makes it the lab's, "
                        f"`openstack network delete {other['id']}` makes room for the lab's own"
                    )
        return found

    def fits(self, thing: dict[str, Any], args: Any) -> bool:
        """On the same physical network; without one, in the login's project."""
        if args.physical_network:
            place = thing.get("provider:physical_network"), thing.get("provider:network_type")
            return place == (args.physical_network, args.provider_network_type)
        return thing.get("project_id") == self._api.project_id and not thing.get("provider:physical_network")

    def repair(self, thing: dict[str, Any], args: Any) -> str:
        """Up, and shared and external where the command says so."""
        wanted = {"name": args.name, "admin_state_up": True}
        wanted.update({"shared": True} if args.share else {})
        wanted.update({"router:external": True} if args.external else {})
        return _set(self._api, "network", thing, wanted)


class Subnets(_OfTheLab):
    """`subnet create`: the one of these addresses on the lab's network, whatever its name is."""

    kind = "subnet"

    def things(self, args: Any) -> list[dict[str, Any]]:
        """Those of the name, and those of the addresses, which would be in the way."""
        found = [*self._api.named("subnet", args.name), *self._api.find("subnet", cidr=args.subnet_range)]
        return [subnet for subnet in found if self.fits(subnet, args)]

    def fits(self, thing: dict[str, Any], args: Any) -> bool:
        """These addresses on this network."""
        networks = (args.network, self._made.id_of("network", args.network))
        return thing["cidr"] == args.subnet_range and thing["network_id"] in networks

    def repair(self, thing: dict[str, Any], args: Any) -> str:
        """Its name, gateway and pool, and DHCP."""
        wanted: dict[str, Any] = {"name": args.name, "enable_dhcp": True}
        if args.gateway != "auto":
            wanted["gateway_ip"] = args.gateway
        if args.allocation_pools:
            wanted["allocation_pools"] = args.allocation_pools
        return _set(self._api, "subnet", thing, wanted)


class Routers(_OfTheLab):
    """`router create`."""

    kind = "router"

    def things(self, args: Any) -> list[dict[str, Any]]:
        """Those of the name, and the lab's own if it was renamed: it has the subnet's gateway address."""
        return _named(self._api, self._made, "router", args.name)

    def fits(self, thing: dict[str, Any], args: Any) -> bool:  # noqa: ARG002
        """One of the login's project."""
        return thing.get("project_id") == self._api.project_id

    def repair(self, thing: dict[str, Any], args: Any) -> str:
        """Up, under its name."""
        return _set(self._api, "router", thing, {"name": args.name, "admin_state_up": True})


class RouterSubnets:
    """`router add subnet`, of a router and a subnet by id; the command itself fails where it was done before."""

    kind = ""

    def __init__(self, api: Api) -> None:
        self._api = api

    def name(self, args: Any) -> str:
        """Without a name of its own."""
        return f"{args.router} {args.subnet}"

    def things(self, args: Any) -> list[dict[str, Any]]:
        """The router's ports on the subnet."""
        ports = self._api.find("port", device_id=args.router)
        return [port for port in ports if any(ip["subnet_id"] == args.subnet for ip in port["fixed_ips"])]

    def fits(self, thing: dict[str, Any], args: Any) -> bool:  # noqa: ARG002
        """Any such port."""
        return True

    def repair(self, thing: dict[str, Any], args: Any) -> str:  # noqa: ARG002
        """Nothing to do."""
        return "present"


class Rules:
    """`security group rule create`, in the group of that name of the login's own project."""

    kind = ""

    def __init__(self, api: Api) -> None:
        self._api = api

    def name(self, args: Any) -> str:
        """A rule has none."""
        return str(args.group)

    def things(self, args: Any) -> list[dict[str, Any]]:
        """None: the service itself refuses a second one. The group becomes an id: each project has a `default`."""
        groups = self._api.find("security_group", name=args.group, project_id=self._api.project_id)
        if not groups:
            raise LookupError(f"no security group named {args.group}")
        args.words[-1] = groups[0]["id"]
        return []

    def fits(self, thing: dict[str, Any], args: Any) -> bool:  # noqa: ARG002
        """Never asked."""
        return False

    def repair(self, thing: dict[str, Any], args: Any) -> str:  # noqa: ARG002
        """Never asked."""
        return ""
