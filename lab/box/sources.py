"""The mirrors that the host's own apt sources name, in both of apt's formats (sources.list(5))."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.box.definition import BoxDefinition

APT = Path("/etc/apt")
KEYRINGS = Path("/usr/share/keyrings")
_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)\s*(?P<components>.*)$")


@dataclass(frozen=True)
class Source:
    """One suite of one archive."""

    uri: str
    suite: str
    components: tuple[str, ...]

    def line(self, keyring: Path | None = None, architecture: str = "") -> str:
        """Write it for sources.list."""
        options = [f"arch={architecture}"] if architecture else []
        options += [f"signed-by={keyring}"] if keyring else []
        shown = f"[{' '.join(options)}] " if options else ""
        return f"deb {shown}{self.uri} {self.suite} {' '.join(self.components)}".rstrip()


def parse_one_line(text: str) -> list[Source]:
    """Read the format of sources.list; source packages and comments are left out."""
    found = []
    for raw in text.splitlines():
        match = _ONE_LINE.match(raw.split("#", 1)[0].strip())
        if match:
            found.append(Source(match["uri"], match["suite"], tuple(match["components"].split())))
    return found


def parse_deb822(text: str) -> list[Source]:
    """Read the format of *.sources: paragraphs of fields, each with one or more types, URIs and suites."""
    found: list[Source] = []
    for paragraph in re.split(r"\n[ \t]*\n", "\n".join(x for x in text.splitlines() if not x.startswith("#"))):
        fields: dict[str, str] = {}
        name = ""
        for line in paragraph.splitlines():
            if line[:1] in " \t" and name:
                fields[name] += f" {line.strip()}"
            elif ":" in line:
                name, value = line.split(":", 1)
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        components = tuple(fields.get("components", "").split())
        found += [Source(u, s, components) for u in fields.get("uris", "").split() for s in fields["suites"].split()]
    return found


def host_sources(apt: Path = APT) -> list[Source]:
    """Read all binary package sources of the host, in apt's order."""
    found: list[Source] = []
    main = apt / "sources.list"
    if main.is_file():
        found += parse_one_line(main.read_text())
    for file in sorted((apt / "sources.list.d").glob("*")):
        if file.suffix == ".list":
            found += parse_one_line(file.read_text())
        elif file.suffix == ".sources":
            found += parse_deb822(file.read_text())
    return found


def choose(definition: BoxDefinition, host: Iterable[Source], mirror: str | None = None) -> list[Source]:
    """Pick where a box's packages come from.

    With a mirror given: its main suite alone, or its `-updates` too where the definition names them (a security
    archive is another archive, with another address). Else the host's sources for the definition's archives; each
    archive once for every address that the host gives it.

    Raises:
        HostError: the host names none for the main suite (it is another distribution, or another version of it).
    """
    components = definition.components
    if mirror is not None:
        return [Source(mirror, s, components) for s in definition.archives if not s.endswith("security")]
    chosen = []
    for archive in definition.archives:
        for source in host:
            kept = tuple(c for c in components if c in source.components)
            item = Source(source.uri, archive, kept)
            if source.suite == archive and kept and item not in chosen:
                chosen.append(item)
    if not any(s.suite == definition.archives[0] for s in chosen):
        raise HostError(
            f"the host's apt sources name no mirror for {definition.archives[0]}",
            hint="give one: --mirror URL, an archive of the distribution (Debian's end with /debian)",
        )
    return chosen


def keyring_of(definition: BoxDefinition, keyrings: Path = KEYRINGS) -> Path:
    """Find the keyring that signs the distribution's archives."""
    file = keyrings / definition.keyring
    if not file.is_file():
        raise HostError(
            f"{file} is missing: packages of {definition.suite} cannot be verified",
            hint="apt-get install debian-archive-keyring",
        )
    return file
