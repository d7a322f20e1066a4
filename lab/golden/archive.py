"""A golden lab in one file, for another machine or another cache: a tar archive, its manifest first.

It holds everything: disks, memory, passwords and keys. An import makes virtual machines of root's libvirt from it, so
it has to come from somebody who is trusted. What can be seen to be wrong is refused all the same.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from pydantic import ValidationError

from lab.base import durable, safe
from lab.base.errors import HostError, UsageError
from lab.base.manifest import FILE
from lab.box.intact import damage_of_all
from lab.golden.disks import require_known_bases
from lab.golden.store import VERSION, Golden, Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.golden.store import GoldenLabs

_MANIFEST_LIMIT = 10 * 2**20
"""bytes"""
_MEMBER = re.compile(
    r"disks/[\w.+-]+|[\w-]+\.(mem|xml)|vagrant/[\w-]+/[a-z_]+|(plan|state|rotated)\.json|seed|ssh_config|known_hosts"
)


def export(golden: Golden, file: Path) -> int:
    """Write a golden lab to a file that its owner alone can read; gives its bytes.

    Raises:
        HostError: it cannot be written; nothing is left.
    """
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with (
            open(unfinished, "xb", opener=safe.private_opener) as out,
            tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, dereference=True) as archive,
        ):
            _add(archive, golden.directory / FILE, FILE)
            for path in sorted(golden.directory.rglob("*")):
                name = path.relative_to(golden.directory).as_posix()
                if path.is_file() and name != FILE:
                    _add(archive, path, name)
        durable.sync_file(unfinished)
        unfinished.replace(file)
        durable.sync_directory(file.parent)
    except OSError as error:
        raise HostError(
            f"cannot write {file}: {error.strerror}", hint="free some space, or name another file"
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return file.stat().st_size


def import_file(file: Path, store: GoldenLabs) -> Golden:
    """Add a golden lab to a cache; disks and memory are compared with its manifest first.

    Raises:
        UsageError: the file is not a golden lab's, is damaged, or the cache has that golden lab.
        HostError: it cannot be written; nothing is left.
    """
    with _opened(file) as archive, store.lock():
        manifest = _manifest_of(archive, file)
        name = f"{manifest.release}-{manifest.parts.digest[:8]}"
        if not re.fullmatch(r"[a-z0-9.-]+", name):
            raise _not_one(file, f"it names the release {manifest.release!r}")
        if store.exists(name):
            raise UsageError(f"golden lab {name} exists", hint=f"`lab golden remove {name}` first")
        partial = store.partial(name)
        try:
            store.begin(name)
            _extract(archive, partial, file)
            why = damage_of_all(partial / "disks", manifest.disks, thorough=True)
            why = why or damage_of_all(partial, manifest.files, thorough=True)
            if why:
                raise _not_one(file, why)
            require_known_bases(partial / "disks", manifest.disks)
            return store.finish(partial, manifest)
        except OSError as error:
            raise HostError(f"cannot write to {store.root}: {error.strerror}", hint="free some space there") from error
        finally:
            store.abandon(partial)


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    """Add one file without its owner and time: those of this machine mean nothing on another."""
    with path.open("rb") as content:
        info = tarfile.TarInfo(name)
        info.size = os.fstat(content.fileno()).st_size
        archive.addfile(info, content)


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(file, mode="r:") as archive:
            yield archive
    except FileNotFoundError:
        raise UsageError(f"{file} does not exist") from None
    except tarfile.TarError as error:
        raise _not_one(file, str(error)) from None


def _manifest_of(archive: tarfile.TarFile, file: Path) -> Manifest:
    first = archive.next()
    if first is None or first.name != FILE or not first.isfile() or first.size > _MANIFEST_LIMIT:
        raise _not_one(file, "its first entry is not a manifest")
    content = archive.extractfile(first)
    assert content is not None  # a plain file has one
    try:
        return Manifest.model_validate_json(content.read())
    except ValidationError:
        raise _not_one(
            file, f"its manifest is damaged, or of another version of lab (this one knows {VERSION})"
        ) from None


def _extract(archive: tarfile.TarFile, partial: Path, file: Path) -> None:
    while (member := archive.next()) is not None:
        if not member.isfile() or not _MEMBER.fullmatch(member.name):
            raise _not_one(file, f"it has a {member.name!r} in it")
        content = archive.extractfile(member)
        assert content is not None
        path = PurePosixPath(member.name)
        (partial / path.parent).mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(content, partial / path, 0o444 if path.parent.name == "disks" else 0o600)


def _write(content: IO[bytes], target: Path, mode: int) -> None:
    with open(target, "xb", opener=safe.private_opener) as out:
        shutil.copyfileobj(content, out, 2**20)
    durable.sync_file(target, mode)


def _not_one(file: Path, why: str) -> UsageError:
    return UsageError(
        f"{file} is not a golden lab that can be used: {why}", hint="`lab golden export` makes such files"
    )
