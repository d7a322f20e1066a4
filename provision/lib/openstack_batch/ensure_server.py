"""The `ensure` form of servers: the lab's own are brought back from every state that a user can put them into."""

from __future__ import annotations

import re
import time
from calendar import timegm
from typing import TYPE_CHECKING, Any

from openstack_batch.limits import pause, scaled

if TYPE_CHECKING:
    from openstack_batch.api import Api
    from openstack_batch.client import Result

DELETE_WAIT_S = 20
SETTLE_WAIT_S = 60
WAKE: dict[str, str] = {
    "PAUSED": "unpause",
    "SUSPENDED": "resume",
    "SHELVED": "unshelve",
    "SHELVED_OFFLOADED": "unshelve",
    "SHUTOFF": "os-start",
    "RESCUE": "unrescue",
    "VERIFY_RESIZE": "revertResize",
    "SOFT_DELETED": "restore",
}
"""status → the action of the Compute API that leads back"""
BUSY = ("BUILD", "REBOOT", "HARD_REBOOT", "REBUILD", "RESIZE", "REVERT_RESIZE", "MIGRATING", "PASSWORD")
GOES_ON = ("unpause", "resume")
"""the guest goes on where it was, and does not boot"""
MOST_ACTIONS = 4
"""one after the other: a resize that is under way is to be reverted when it has ended"""


class Servers:
    """`server create`."""

    kind = "server"

    def __init__(self, api: Api) -> None:
        self._api = api
        self._went_on: set[str] = set()

    def name(self, args: Any) -> str:
        """As the command has it."""
        return str(args.server_name)

    def things(self, args: Any) -> list[dict[str, Any]]:
        """Those of the name in the login's project."""
        return self._api.named("server", args.server_name)

    def fits(self, thing: dict[str, Any], args: Any) -> bool:
        """On the compute node that the command names."""
        return self._host(args) in ("", thing.get("OS-EXT-SRV-ATTR:host"))

    def repair(self, thing: dict[str, Any], args: Any) -> str:
        """ACTIVE, on its compute node, with the lab's image; one that cannot be brought there is deleted."""
        done: list[str] = []
        server = thing
        for _ in range(MOST_ACTIONS):
            status, action = server["status"], WAKE.get(server["status"], "")
            if status == "ACTIVE" and not server.get("OS-EXT-STS:task_state"):
                if self.fits(server, args) and not self._other_image(server, args):
                    return ", ".join(done) or "present"
                if not self.fits(server, args):
                    break
                action = "rebuild"
            if action:
                body = {"imageRef": args.image} if action == "rebuild" else None
                self._api.ask("compute", "POST", f"/servers/{server['id']}/action", json={action: body})
                (self._went_on.add if action in GOES_ON else self._went_on.discard)(server["id"])
                done.append(f"{status}: {action}")
            elif status not in BUSY and status != "ACTIVE":  # ERROR
                break
            before, server = status, self._settled(server["id"])
            if action and server["status"] == before != "ACTIVE":  # the service could not
                break
        self._delete(server["id"])
        return ""

    def booted(self, client: Any, seconds: int, pattern: str, server: str) -> Result:
        """Wait until a server's console shows it; one that went on without a boot, or too long, is rebooted once."""
        limit, rebooted, started = scaled(seconds), False, time.time()
        while True:
            code, output, said = client.run(["console", "log", "show", server])
            if code == 0 and re.search(pattern, output, re.MULTILINE):
                again = ", rebooted" if rebooted else ""
                return 0, f"waited {time.time() - started:.0f} s for {pattern}{again}", ""
            state = self._show(server)
            since = timegm(time.strptime(state["updated"], "%Y-%m-%dT%H:%M:%SZ"))
            if state["status"] == "ACTIVE" and (server in self._went_on or time.time() - since > limit):
                if rebooted:
                    last = "\n".join((output or said).splitlines()[-20:])
                    return 1, "", f"waited {time.time() - started:.0f} s for {pattern}, in vain; the console:\n{last}"
                self._api.ask("compute", "POST", f"/servers/{server}/action", json={"reboot": {"type": "HARD"}})
                self._went_on.discard(server)
                rebooted = True
                self._settled(server)
            elif state["status"] not in ("ACTIVE", *BUSY):
                return 1, "", f"the server is {state['status']}, which shows nothing"
            pause()

    def _host(self, args: Any) -> str:
        return str(args.availability_zone or "").partition(":")[2]

    def _other_image(self, server: dict[str, Any], args: Any) -> bool:
        """Tell whether it was rebuilt from another image. One that is gone was the lab's, before it was made again."""
        found = (server.get("image") or {}).get("id")
        if found == args.image:
            return False
        content = {image["id"]: image.get("checksum") for image in self._api.find("image")}
        return found in content and args.image in content and content[found] != content[args.image]

    def _show(self, server: str) -> dict[str, Any]:
        return dict(self._api.ask("compute", "GET", f"/servers/{server}")["server"])

    def _settled(self, server: str) -> dict[str, Any]:
        """Wait until nothing is being done with it; as it is then, or at the limit."""
        until = time.monotonic() + scaled(SETTLE_WAIT_S)
        while True:
            found = self._show(server)
            idle = not found.get("OS-EXT-STS:task_state") and found["status"] not in BUSY
            if idle or time.monotonic() > until:
                return found
            pause()

    def _delete(self, server: str) -> None:
        until = time.monotonic() + scaled(DELETE_WAIT_S)
        self._api.ask("compute", "DELETE", f"/servers/{server}")
        while any(each["id"] == server for each in self._api.find("server")):
            if time.monotonic() > until:
                raise LookupError(f"server {server} is still there, {scaled(DELETE_WAIT_S):.0f} s after it was deleted")
            pause()
