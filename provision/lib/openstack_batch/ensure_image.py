"""The `ensure` form of the Image service."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openstack_batch.api import Api

CUT_SHORT = ("queued", "saving", "uploading", "importing", "killed")


class Images:
    """`image create`: the lab's own is known by its content; others of its name are left alone."""

    kind = "image"

    def __init__(self, api: Api, client: Any) -> None:
        self._api = api
        self._client = client

    def name(self, args: Any) -> str:
        """As the command has it."""
        return str(args.name)

    def things(self, args: Any) -> list[dict[str, Any]]:
        """Those of the name; one of the login's whose upload was cut short is deleted."""
        found = []
        for image in self._api.named("image", args.name):
            if image["status"] in CUT_SHORT and image.get("owner") == self._api.project_id:
                self._api.ask("image", "DELETE", f"/images/{image['id']}")
            else:
                found.append(image)
        return found

    def fits(self, thing: dict[str, Any], args: Any) -> bool:
        """Of the file's content; a checksum is MD5, which the service computes at the upload."""
        # In a newer client the option's value has another name.
        file = Path(getattr(args, "filename", None) or args.file)
        content = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
        return (thing.get("checksum"), thing.get("disk_format")) == (content, args.disk_format)

    def repair(self, thing: dict[str, Any], args: Any) -> str:
        """Active again, public, with the properties; one of the record with other content cannot be put right."""
        done = []
        if not self.fits(thing, args):
            return ""
        if thing["status"] == "deactivated":
            self._api.ask("image", "POST", f"/images/{thing['id']}/actions/reactivate")
            done.append("reactivated")
        properties = {key: value for key, value in (args.properties or {}).items() if thing.get(key) != value}
        words = [word for key, value in properties.items() for word in ("--property", f"{key}={value}")]
        if "--public" in args.words and thing.get("visibility") != "public":
            words.append("--public")
        if words:
            code, _, said = self._client.run(["image", "set", *words, thing["id"]])
            if code:
                raise LookupError(said)
            done.append(f"set {' '.join(words)}")
        return ", ".join(done) or "present"
