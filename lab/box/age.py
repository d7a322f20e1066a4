"""How old a box is, and which security updates it lacks: a built box keeps the packages of its day."""

from __future__ import annotations

import calendar
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab.base.errors import LabError
from lab.base.process import run
from lab.box.definition import BoxDefinition, load_definition
from lab.box.manifest import Manifest
from lab.box.pool import Pool
from lab.box.sources import Source, choose, host_distribution, host_sources, security_candidates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lab.box.store import Box

OLD_DAYS = 30
ADVICE = "`lab box build --force` builds the boxes of a spec again, `lab up --recreate` creates its lab from them"
_PATIENCE_S = 5.0
_STANZA = re.compile(r"^Package: (\S+)$(?:\n.+)*?\nVersion: (\S+)$", re.MULTILINE)

Offer = dict[str, frozenset[str]]
"""a package's name to the versions of it that an archive has"""


def age_days(box: Box, now: float | None = None) -> int:
    """Count the days since a box was built or came; 0 where its manifest has no time that can be read."""
    try:
        built = calendar.timegm(time.strptime(box.manifest.built, "%Y-%m-%dT%H:%M:%SZ"))
    except ValueError:
        return 0
    return max(0, int(((time.time() if now is None else now) - built) // 86400))


def warnings(box: Box, offer: Mapping[str, frozenset[str]] | None, now: float | None = None) -> list[str]:
    """Give the reasons to build a box again; `offer` is that of its security archive, None where it is unknown.

    A ready-made box has no warnings: its checksum was chosen by hand.
    """
    if not isinstance(box.manifest, Manifest):
        return []
    days = age_days(box, now)
    found = [f"it is {days} days old"] if days > OLD_DAYS else []
    updates = missing_updates(box.manifest.packages, offer or {})
    if updates:
        shown = ", ".join(updates[:5]) + (f" and {len(updates) - 5} more" if len(updates) > 5 else "")
        found.append(f"its security archive has updates for {len(updates)} of its packages: {shown}")
    return found


def missing_updates(packages: Mapping[str, str], offer: Mapping[str, frozenset[str]]) -> list[str]:
    """Name the packages of which the archive has a newer version than the box; `packages`: name to version."""
    return sorted(
        name
        for name, version in packages.items()
        if any(_newer(other, version) for other in offer.get(name, frozenset()) - {version})
    )


def _newer(version: str, than: str) -> bool:
    return run(["dpkg", "--compare-versions", version, "gt", than], timeout_s=30, check=False).ok


def known_offer(suite: str, cache: Path) -> Offer:
    """Read what the last build of a box found in the suite's security archive; asks nobody."""
    return _offer((cache / "apt" / suite / "lists").glob("*security*_Packages"))


def asked_offer(suite: str, mirror: str) -> Offer | None:
    """Ask the security archive that a build would use; None where none answers within seconds.

    apt asks, so that signatures, proxies and passwords are as in a build; in a directory of its own, so that no lock is
    waited for and no root is needed.
    """
    try:
        definition = load_definition(suite)
        host, distribution = host_sources(), host_distribution()
        if mirror:
            candidates = security_candidates(definition, host, mirror, distribution)
        else:
            candidates = [s for s in choose(definition, host, None, distribution) if s.suite.endswith("security")]
        return next((offer for s in candidates if (offer := offer_of(definition, s)) is not None), None)
    except (LabError, OSError):
        return None


def offer_of(definition: BoxDefinition, source: Source) -> Offer | None:
    """Read what one archive has; None where it does not answer within seconds."""
    with tempfile.TemporaryDirectory(prefix="lab-archive-") as scratch:
        place = Path(scratch)
        pool = Pool(place, definition, [source], place / "log", patience_s=_PATIENCE_S)
        try:
            pool.update()
        except LabError:
            return None
        return _offer((place / "lists").glob("*_Packages"))


def _offer(files: Iterable[Path]) -> Offer:
    found: dict[str, set[str]] = {}
    for file in files:
        for name, version in _STANZA.findall(file.read_text(encoding="utf-8", errors="replace")):
            found.setdefault(name, set()).add(version)
    return {name: frozenset(versions) for name, versions in found.items()}
