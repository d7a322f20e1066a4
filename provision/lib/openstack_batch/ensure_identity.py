"""The `ensure` forms of the Identity service, by its API."""

from __future__ import annotations

import argparse
import time
import urllib.error
from typing import TYPE_CHECKING, Any, ClassVar

from openstack_batch.identity import Identity
from openstack_batch.limits import pause, scaled

if TYPE_CHECKING:
    from openstack_batch.client import Result

RETRY_S = 10


class EnsureIdentity:
    """The `ensure` forms of the Identity service. Each returns what it did in a word."""

    FORMS: ClassVar[dict[str, tuple[str, ...]]] = {
        "project create": ("--domain", "--description", "name"),
        "user create": ("--domain", "--password", "name"),
        "role create": ("name",),
        "role add": ("--project", "--user", "role"),
        "service create": ("--name", "--description", "type"),
        "endpoint create": ("--region", "service", "interface", "url"),
    }
    """command: its options and arguments, as the guide writes them"""

    def __init__(self) -> None:
        self._identity: Identity | None = None
        self._own: dict[str, str] = {}
        """type → id of the service that a line before made, or found"""

    @property
    def identity(self) -> Identity:
        """Log in at the first use."""
        if self._identity is None:
            self._identity = Identity()
        return self._identity

    def knows(self, words: list[str]) -> bool:
        """Tell whether WORDS is a command of the Identity service."""
        return " ".join(words[:2]) in self.FORMS

    def run(self, words: list[str]) -> Result:
        """Make the result of WORDS true."""
        name = " ".join(words[:2])
        parser = argparse.ArgumentParser(prog=f"ensure {name}", add_help=False, exit_on_error=False)
        for argument in self.FORMS[name]:
            if argument.startswith("--"):
                parser.add_argument(argument, default="")
            else:
                parser.add_argument(argument)
        try:
            args = parser.parse_args(words[2:])
        except (argparse.ArgumentError, SystemExit) as error:
            return 2, "", f"expected {name} {' '.join(self.FORMS[name])}: {error}"
        form = getattr(self, "_" + name.replace(" ", "_"))
        until = time.monotonic() + scaled(RETRY_S)
        while True:
            try:
                return 0, form(args), ""
            except urllib.error.HTTPError as error:
                return 1, "", f"{error.code} {error.reason}: {error.read().decode(errors='replace')[:500]}"
            except LookupError as error:
                return 1, "", str(error)
            except OSError as error:  # no answer: a busy service drops connections
                if time.monotonic() > until:
                    return 1, "", f"the Identity service does not answer: {error}"
                pause()

    def _project_create(self, args: Any) -> str:
        found = self.identity.find("projects", name=args.name, domain_id=args.domain)
        if found and not found[0].get("enabled", True):
            self.identity.ask("PATCH", f"projects/{found[0]['id']}", {"project": {"enabled": True}})
            return "set enabled"
        if found:
            return "present"
        project = {"name": args.name, "domain_id": args.domain, "description": args.description}
        self.identity.ask("POST", "projects", {"project": project})
        return "created"

    def _role_create(self, args: Any) -> str:
        if self.identity.find("roles", name=args.name):
            return "present"
        self.identity.ask("POST", "roles", {"role": {"name": args.name}})
        return "created"

    def _user_create(self, args: Any) -> str:
        found = self.identity.find("users", name=args.name, domain_id=args.domain)
        if not found:
            user = {"name": args.name, "domain_id": args.domain, "password": args.password}
            self.identity.ask("POST", "users", {"user": user})
            return "created"
        changes: dict[str, Any] = {}
        if not found[0]["enabled"]:
            changes["enabled"] = True
            self.identity.ask("PATCH", f"users/{found[0]['id']}", {"user": {"enabled": True}})
        if not self.identity.logs_in(found[0]["id"], args.password):
            changes["password"] = True
            self.identity.ask("PATCH", f"users/{found[0]['id']}", {"user": {"password": args.password}})
        return f"set {', '.join(changes)}" if changes else "present"

    def _role_add(self, args: Any) -> str:
        role = self.identity.named("roles", args.role)["id"]
        user = self.identity.named("users", args.user, domain_id="default")["id"]
        project = self.identity.named("projects", args.project, domain_id="default")["id"]
        filters = {"role.id": role, "user.id": user, "scope.project.id": project}
        if self.identity.find("role_assignments", **filters):
            return "present"
        self.identity.ask("PUT", f"projects/{project}/users/{user}/roles/{role}")
        return "created"

    def _service_create(self, args: Any) -> str:
        wanted = {"name": args.name, "type": args.type, "description": args.description, "enabled": True}
        service = self._service(args.type, args.name)
        if service is None:
            service = self.identity.ask("POST", "services", {"service": wanted})["service"]
            done = "created"
        elif all(service.get(key) == value for key, value in wanted.items()):
            done = "present"
        else:
            self.identity.ask("PATCH", f"services/{service['id']}", {"service": wanted})
            done = "set"
        self._own[args.type] = service["id"]
        return done

    def _service(self, kind: str, name: str) -> dict[str, Any] | None:
        """Find the lab's own of the services of a type, of which there may be more, also of the same name.

        That is the one of the name that has endpoints, else one of the name, else the only one, which was renamed.
        """
        found = self.identity.find("services", type=kind)
        if len(found) < 2:
            return found[0] if found else None
        named = [service for service in found if service.get("name") == name]
        for service in named:
            if self.identity.find("endpoints", service_id=service["id"]):
                return service
        return named[0] if named else None

    def _endpoint_create(self, args: Any) -> str:
        service = self._own.get(args.service, "")
        if (
            not service
        ):  # made by another program, as keystone-manage bootstrap: the one with such endpoints is the lab's
            services = self.identity.find("services", type=args.service)
            if not services:
                raise LookupError(f"no service of type {args.service}")
            known = self.identity.find("endpoints", interface=args.interface, region_id=args.region)
            with_url = {endpoint.get("service_id") for endpoint in known if endpoint.get("url") == args.url}
            service = next((one["id"] for one in services if one["id"] in with_url), services[0]["id"])
        found = self.identity.find("endpoints", service_id=service, interface=args.interface, region_id=args.region)
        wanted = {"url": args.url, "enabled": True}
        if not found:
            place = {"service_id": service, "interface": args.interface, "region_id": args.region}
            self.identity.ask("POST", "endpoints", {"endpoint": {**place, **wanted}})
            return "created"
        for extra in found[1:]:
            self.identity.ask("DELETE", f"endpoints/{extra['id']}")
        if all(found[0].get(key) == value for key, value in wanted.items()):
            return "removed a second one" if found[1:] else "present"
        self.identity.ask("PATCH", f"endpoints/{found[0]['id']}", {"endpoint": wanted})
        return "set"
