"""The mirrors that the host's own apt sources name, in both of apt's formats (sources.list(5))."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lab.base.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.box.definition import BoxDefinition

APT = Path("/etc/apt")
KEYRINGS = Path("/usr/share/keyrings")
OS_RELEASE = Path("/etc/os-release")
_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)\s*(?P<components>.*)")


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


@dataclass(frozen=True)
class Distribution:
    """What a machine is: debian, bookworm."""

    name: str
    suite: str


UNKNOWN = Distribution("", "")
_ALIASES = ("stable", "oldstable", "oldoldstable", "testing", "unstable", "sid")
"""names that move from version to version; a mirror that has one has the versions under their own names too"""


def parse_one_line(text: str) -> list[Source]:
    """Read the format of sources.list; source packages and comments are left out."""
    found = []
    for raw in text.splitlines():
        match = _ONE_LINE.fullmatch(raw.split("#", 1)[0].strip())
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


def host_distribution(os_release: Path = OS_RELEASE) -> Distribution:
    """Read what the host is, from os-release(5); both names empty where it does not say."""
    text = os_release.read_text() if os_release.is_file() else ""
    fields = dict(re.findall(r"^(ID|VERSION_CODENAME)=\"?([^\"\n]*)", text, re.MULTILINE))
    return Distribution(fields.get("ID", ""), fields.get("VERSION_CODENAME", ""))


def choose(
    definition: BoxDefinition, host: Iterable[Source], mirror: str | None = None, distribution: Distribution = UNKNOWN
) -> list[Source]:
    """Pick where a box's packages come from.

    With a mirror given: its main suite alone, or its `-updates` too where the definition names them (a security
    archive is another archive, with another address: see security_candidates). Else the host's sources for the
    definition's archives; each archive once for every address that the host gives it. A host whose sources name
    another version of the same distribution, or say `stable` where they mean one, has no sources of the suite, but
    mirrors that carry it: those of its own suite, and for `-security` those of its own.

    Raises:
        HostError: the host names none for the main suite (it is another distribution).
    """
    components = definition.components
    if mirror is not None:
        return [Source(mirror, s, components) for s in definition.archives if not s.endswith("security")]
    chosen = _of_host(definition, list(host), distribution)
    if not any(s.suite == definition.archives[0] for s in chosen):
        raise HostError(
            f"the host's apt sources name no mirror for {definition.archives[0]}",
            hint="name one: `box.mirror` of the spec, an archive of the distribution (Debian's end with /debian)",
        )
    return chosen


def security_candidates(
    definition: BoxDefinition, host: Iterable[Source], mirror: str, distribution: Distribution = UNKNOWN
) -> list[Source]:
    """Name where the security updates beside a mirror may be, the likeliest first; who builds asks which one answers.

    Mirrors keep that archive beside the main one, as debian-security; the host's own sources know one too.
    """
    beside = re.sub(r"/debian(?=/|$)", "/debian-security", mirror)
    suites = [s for s in definition.archives if s.endswith("security")]
    found = [Source(beside, suite, definition.components) for suite in suites if beside != mirror]
    return found + [s for s in _of_host(definition, list(host), distribution) if s.suite in suites and s not in found]


def _of_host(definition: BoxDefinition, host: list[Source], distribution: Distribution) -> list[Source]:
    """Give the host's sources of a definition's archives, else those of its other versions, moved to this one."""
    chosen = _named(definition, host)
    if any(s.suite == definition.archives[0] for s in chosen):
        return chosen
    if definition.keyring != f"{distribution.name}-archive-keyring.gpg":
        return chosen
    return _named(definition, [_of_suite(s, distribution.suite, definition.suite) for s in host])


def _named(definition: BoxDefinition, host: Iterable[Source]) -> list[Source]:
    """Give those of the sources that are archives of the definition, in its order."""
    host = list(host)
    chosen: list[Source] = []
    for archive in definition.archives:
        for source in host:
            kept = tuple(c for c in definition.components if c in source.components)
            item = Source(source.uri, archive, kept)
            if source.suite == archive and kept and item not in chosen:
                chosen.append(item)
    return chosen


def _of_suite(source: Source, own: str, wanted: str) -> Source:
    """Turn bookworm-security, or stable-security, into trixie-security; suites of other archives stay."""
    main, dash, pocket = source.suite.partition("-")
    return replace(source, suite=wanted + dash + pocket) if main in (own, *_ALIASES) else source


def keyring_of(definition: BoxDefinition, keyrings: Path = KEYRINGS) -> Path:
    """Find the keyring that signs the distribution's archives."""
    file = keyrings / definition.keyring
    if not file.is_file():
        raise HostError(
            f"{file} is missing: packages of {definition.suite} cannot be verified",
            hint="apt-get install debian-archive-keyring",
        )
    return file
