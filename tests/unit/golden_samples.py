"""The manifest of a golden lab whose files a test has written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.box.intact import facts_of, facts_of_all
from lab.golden.store import Manifest

if TYPE_CHECKING:
    from pathlib import Path

    from lab.golden.digest import Parts


def manifest_of(partial: Path, parts: Parts, created: float = 1.0) -> Manifest:
    """Describe the disks and controller.mem of a directory that is not complete yet."""
    return Manifest(
        created=created,
        lab="demo",
        release="zed",
        build_dir="/somewhere",
        parts=parts,
        passwords="",
        disks=facts_of_all(partial / "disks"),
        files={"controller.mem": facts_of(partial / "controller.mem")},
    )
