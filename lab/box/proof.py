"""The guest that proves this host's accelerator: its kernel and initrd, in seconds, without a box and without root."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.base import safe
from lab.base.errors import HostError
from lab.box import store
from lab.box.definition import built_suites, load_definition
from lab.box.guests import Guests, make_guests
from lab.box.pool import Pool
from lab.box.sources import choose, host_distribution, host_sources

if TYPE_CHECKING:
    from pathlib import Path

    from lab.box.definition import BoxDefinition


def proof_images(cache: Path | None = None, suite: str | None = None, mirror: str | None = None) -> tuple[Path, Path]:
    """Give (kernel, initrd) of the proof guest; made on first use from two packages of the host's own mirror.

    The guest prints PROOF_MARKER on its first serial port and switches itself off:
    `qemu-system-x86_64 -nographic -no-reboot -m 128 -kernel K -initrd I -append "console=ttyS0 panic=-1"`.

    Args:
        cache: see lab.box.store.
        suite: whose kernel; by default that of the first definition for which the host names a mirror.
        mirror: address of an archive, instead of the host's.

    Raises:
        HostError: no mirror for any known suite, or it does not answer; or others can reach into the cache.
    """
    root = safe.require(cache or store.cache_directory())
    suites = [suite] if suite else built_suites()
    for known in suites:
        made = Guests(root / "guests" / known)
        if made.complete():
            return made.proof / "vmlinuz", made.proof / "initrd.gz"
    failure: HostError | None = None
    for known in suites:
        try:
            made = _made(load_definition(known), root, mirror)
        except HostError as error:  # the mirror may carry another suite
            failure = failure or error
            continue
        return made.proof / "vmlinuz", made.proof / "initrd.gz"
    raise failure or HostError("there is no box definition to take a kernel from")


def _made(definition: BoxDefinition, root: Path, mirror: str | None) -> Guests:
    sources = choose(definition, host_sources(), mirror, host_distribution())
    for directory in ("apt", "guests", "logs"):
        safe.make(root / directory, mode=0o755)
    suite = definition.suite
    with store.lock(root, f"apt-{suite}"):
        pool = Pool(root / "apt" / suite, definition, sources, root / "logs" / f"download-{suite}.log")
        pool.update()
        return make_guests(pool, definition.kernel, root / "guests" / suite)
