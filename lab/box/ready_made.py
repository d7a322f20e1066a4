"""Ready-made boxes, which the user names with their checksum: fetched once, compared, then a box like any other.

Vagrant would compare the checksum only when it downloads, not at all where the address leads to its own JSON, and uses
what its home has under the same name unchecked. So the checksum is part of the name here, and the file is read
by this program: whatever way the box came, it is the one that was asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import json
import shutil
import tarfile
import time
import urllib.request
from typing import IO, TYPE_CHECKING, Any

from lab.base.addresses import ready_made_box
from lab.base.errors import HostError
from lab.box import store
from lab.box.intact import facts_of_all
from lab.box.make import BoxEvent
from lab.box.manifest import ReadyMade

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.box.store import Box

_VERSION = "1"
"""the one there is: another content has another name"""
_SILENCE_S = 60.0
_PIECE = 2**20


def ensure_ready_made(
    url: str,
    sha256: str,
    cache: Path | None = None,
    on_event: Callable[[BoxEvent], None] = lambda event: None,
    *,
    force: bool = False,
) -> Box:
    """Give the box whose file has this checksum, from the cache, else from the address (http, https or file).

    HostError where the file does not answer, is another one than was asked for, or is no box of libvirt's.
    """
    root = cache or store.cache_directory()
    name = ready_made_box(sha256)
    box, _ = store.find_intact(name, root)
    if box is not None and not force:
        return box

    def waiting(holder: str) -> None:
        on_event(BoxEvent(name, f"waiting: {holder} works on this box"))

    with store.lock(root, store.slug(name), waiting):
        box, damage = store.find_intact(name, root)
        if box is not None and not force:
            return box
        store.sweep(root, name)
        why = f" (the one in the cache is damaged: {damage})" if damage else ""
        on_event(BoxEvent(name, f"fetching {url}{why}"))
        started = time.monotonic()
        box = _fetch(name, url, sha256, root)
    on_event(BoxEvent(name, "ready, its checksum is that of the spec", round(time.monotonic() - started, 1)))
    return box


def _fetch(name: str, url: str, sha256: str, cache: Path) -> Box:
    with store.scratch(cache, name) as scratch:
        files = scratch / "result" / "libvirt"
        files.mkdir(parents=True)
        try:
            with urllib.request.urlopen(url, timeout=_SILENCE_S) as answer:  # the spec admits http, https and file
                _unpack(answer, files, url, sha256)
        except (OSError, ValueError, http.client.HTTPException) as error:  # URLError is an OSError
            raise HostError(
                f"the box at {url} could not be fetched: {error}",
                detail=f"free in {cache}: {shutil.disk_usage(cache).free // 2**20} MiB",
                hint="`box.url` of the spec names it",
            ) from error
        _require_libvirt(files, url)
        manifest = ReadyMade(
            name=name,
            version=_VERSION,
            built=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            files=facts_of_all(files),
            url=url,
            sha256=sha256,
        )
        return store.publish(cache, manifest, scratch / "result")


class _Hashed(io.RawIOBase):
    """A stream that takes the checksum of all that is read of it."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._source.read(size)
        self._digest.update(piece)
        return piece

    def to_its_end(self) -> str:
        while self.read(_PIECE):
            pass
        return self._digest.hexdigest()


def _unpack(source: IO[bytes], target: Path, url: str, sha256: str) -> None:
    """Unpack while the checksum is taken: nobody can change the file between the two. Nothing of it is used before."""
    stream = _Hashed(source)
    refusal = ""
    try:
        with tarfile.open(fileobj=stream, mode="r|*") as archive:
            for member in archive:
                _unpack_one(archive, member, target)
    except (tarfile.TarError, EOFError, ValueError) as error:
        refusal = str(error)
    found = stream.to_its_end()
    if found != sha256:
        raise HostError(
            f"the box at {url} is not the one of the spec: its checksum is another one",
            detail=f"box.sha256: {sha256}\nthe file:   {found}",
            hint="the file was changed, or the download is incomplete: compare it with the checksum of its publisher",
        )
    if refusal:
        raise HostError(f"the file at {url} is no Vagrant box", detail=refusal, hint=_HINT)


def _unpack_one(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    """Write one regular file of the archive's top; folders are passed over, anything else is a ValueError."""
    name = member.name.removeprefix("./")
    if member.isdir():
        return
    if not member.isreg() or "/" in name or name in ("", "..") or (target / name).exists():
        raise ValueError(f"it holds {member.name!r}: a box holds regular files, each once, and no folder")
    content = archive.extractfile(member)
    assert content is not None
    with (target / name).open("xb") as file:
        shutil.copyfileobj(content, file, _PIECE)


_HINT = "a Vagrant box is a tar archive of metadata.json, box.img and a Vagrantfile, packed with gzip, xz or not at all"


def _require_libvirt(files: Path, url: str) -> None:
    """Refuse what vagrant-libvirt cannot use (docs: box format; version 1 has box.img, version 2 a list of disks)."""
    metadata: Any = None
    with contextlib.suppress(OSError, ValueError):
        metadata = json.loads((files / "metadata.json").read_bytes())
    if not isinstance(metadata, dict):
        raise HostError(f"the box at {url} has no metadata.json", hint=_HINT)
    if metadata.get("provider") != "libvirt":
        raise HostError(
            f"the box at {url} is for {metadata.get('provider')!r}, not for libvirt",
            hint="take its publisher's variant for libvirt",
        )
    disks = metadata.get("disks") or [{"path": store.IMAGE}]
    lacking = [d.get("path") for d in disks if not (files / str(d.get("path"))).is_file()]
    if lacking:
        raise HostError(f"the box at {url} has no {lacking[0]}", hint=_HINT)
