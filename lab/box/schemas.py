"""The lines of the steps by which the services' databases get their schemas: a box is built with what they make."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lab.base import resources

if TYPE_CHECKING:
    from lab.box.definition import BoxSpec

_LINES = re.compile(
    r"^put_file /etc/mysql/\S+ <<EOF\n(?:.*\n)*?EOF$"  # the database's configuration, which decides the character set
    r"|^sync_schema (?:.*\\\n)*.*$",
    re.MULTILINE,
)


def schema_lines(spec: BoxSpec) -> str:
    """Give the database's configuration and each `sync_schema`, as the steps' scripts have them, for boxes/schemas.sh.

    Empty where the box has none: no service with a database, or packages that are not installed yet.
    """
    if spec.flavour != "installed":
        return ""
    found = [match[0] for script in spec.scripts for match in _LINES.finditer(resources.text(script))]
    return "".join(f"{lines}\n" for lines in found) if any(lines.startswith("sync_schema") for lines in found) else ""
