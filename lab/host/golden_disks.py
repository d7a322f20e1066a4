"""Which golden lab's disks a private host shows to its machines, read-only.

The note is in the host's state directory and is removed with it, so the users of a golden lab are always known. libvirt
would give the files to QEMU's user; read-only ones it leaves alone (virSecurityDACSetOwnershipInternal, EROFS).
"""

from __future__ import annotations

from pathlib import Path

from lab.base import durable, safe

DISKS_SEEN_AT = Path("/run/compute-lab/golden")
"""the same on all private hosts: disks name their base by this path, in whatever directory the cache is"""
_NOTE = "golden"


def note(state_dir: Path, golden: Path) -> None:
    """Remember a golden lab's directory, before any disk is on top of it."""
    safe.make(state_dir)
    durable.write_text(state_dir / _NOTE, f"{golden.resolve()}\n", mode=0o600)


def noted(state_dir: Path) -> Path | None:
    """Give the golden lab's directory; None if the host uses none."""
    try:
        text = (state_dir / _NOTE).read_text(errors="replace").strip()
    except OSError:
        return None
    return Path(text) if text.startswith("/") else None


def binds(state_dir: Path) -> dict[Path, Path]:
    """Give what is seen where, and make the mount point; nothing if no golden lab is used."""
    golden = noted(state_dir)
    if golden is None or not (golden / "disks").is_dir():
        return {}
    DISKS_SEEN_AT.mkdir(parents=True, exist_ok=True)
    return {DISKS_SEEN_AT: golden / "disks"}
