"""The guest that proves this host's accelerator: its kernel and initrd, in seconds, without a box and without root."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.box import store
from lab.box.definition import built_suites, load_definition
from lab.box.guests import Guests, make_guests
from lab.box.pool import Pool
from lab.box.sources import choose, host_sources
from lab.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path


def proof_images(cache: Path | None = None, suite: str | None = None, mirror: str | None = None) -> tuple[Path, Path]:
    """Give (kernel, initrd) of the proof guest; made on first use from two packages of the host's own mirror.

    The guest prints PROOF_MARKER on its first serial port and switches itself off:
    `qemu-system-x86_64 -nographic -no-reboot -m 128 -kernel K -initrd I -append "console=ttyS0 panic=-1"`.

    Args:
        cache: see lab.box.store.
        suite: whose kernel; by default that of the first definition for which the host names a mirror.
        mirror: address of an archive, instead of the host's.

    Raises:
        HostError: no mirror for any known suite, or it does not answer.
    """
    root = cache or store.cache_directory()
    suites = [suite] if suite else built_suites()
    for known in suites:
        made = Guests(root / "guests" / known)
        if (made.proof / "initrd.gz").is_file():
            return made.proof / "vmlinuz", made.proof / "initrd.gz"
    failure: HostError | None = None
    for known in suites:
        definition = load_definition(known)
        try:
            sources = choose(definition, host_sources(), mirror)
        except HostError as error:
            failure = failure or error
            continue
        for directory in ("apt", "guests", "logs"):
            (root / directory).mkdir(parents=True, exist_ok=True)
        with store.lock(root, f"apt-{known}"):
            pool = Pool(root / "apt" / known, definition, sources, root / "logs" / f"download-{known}.log")
            pool.update()
            guests = make_guests(pool, definition.kernel, root / "guests" / known)
        return guests.proof / "vmlinuz", guests.proof / "initrd.gz"
    raise failure or HostError("there is no box definition to take a kernel from")
