"""The cache of built boxes, and their way to Vagrant and into a storage pool without a copy.

CACHE/boxes/compute-lab-VAGRANTSLASH-zed-controller/
    2026.1122.63012/            a version
        manifest.json
        libvirt/                what Vagrant wants of a box (format v1)
            metadata.json  Vagrantfile  box.img  private_key
    catalog.json                Vagrant's metadata: `vagrant box add file://…/catalog.json` would work too
CACHE/ssh/box_key             the private key that all boxes of the cache let in
CACHE/apt/SUITE/                downloaded packages
CACHE/guests/SUITE/             tiny and proof guests
CACHE/logs/
"""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from lab.base import durable, safe, surroundings
from lab.base.errors import HostError
from lab.base.lock import take
from lab.base.process import CommandError, run
from lab.box.intact import damage, damage_of_all
from lab.box.manifest import Manifest, ReadyMade

if TYPE_CHECKING:
    import time
    from collections.abc import Callable, Iterator

    from lab.box.intact import FileFacts

IMAGE = "box.img"
_SLASH = "-VAGRANTSLASH-"
_TEMPORARY = ".building-"
_VERSION = re.compile(r"\d+(\.\d+)*", re.ASCII)
_MANIFEST: TypeAdapter[Manifest | ReadyMade] = TypeAdapter(Manifest | ReadyMade)
LOCK_LIMIT_S = 7200.0
"""for a box that another process builds: its own limits, on a slow mirror, are shorter"""


@dataclass(frozen=True)
class Box:
    """A box in the cache, built or brought."""

    manifest: Manifest | ReadyMade
    directory: Path
    """of its version"""

    @property
    def name(self) -> str:
        """Vagrant's name for it."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """Vagrant's version."""
        return self.manifest.version

    @property
    def files(self) -> Path:
        """The directory that Vagrant is shown."""
        return self.directory / "libvirt"

    @property
    def image(self) -> Path:
        """The qcow2 disk."""
        return self.files / IMAGE

    @property
    def volume_name(self) -> str:
        """The base volume's name in the storage pool."""
        return volume_name(self.name, self.version)


@dataclass(frozen=True)
class DamagedBox:
    """A directory in the place of a box that is none: half written, or changed since."""

    name: str
    directory: Path
    reason: str

    @property
    def version(self) -> str:
        """The version that it would have."""
        return self.directory.name


def cache_directory() -> Path:
    """Where boxes are kept: $LAB_CACHE, else the user's cache directory (XDG)."""
    if named := os.environ.get("LAB_CACHE"):
        return Path(named).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or surroundings.home() / ".cache"
    return Path(base).absolute() / "openstack-compute-lab"


def volume_name(name: str, version: str) -> str:
    """Name the volume that vagrant-libvirt looks for before it uploads a box's image.

    As in vagrant-libvirt 0.11.2, action/handle_box_image.rb, get_volume_name, for a box of format v1.
    """
    return f"{slug(name)}_vagrant_box_image_{version}_box.img"


def slug(name: str) -> str:
    """Write a box's name as Vagrant does for a directory (box_collection.rb, dir_name)."""
    return name.replace("/", _SLASH)


def new_version(now: time.struct_time) -> str:
    """Make a version from a UTC time: a later box has a higher one. No part starts with 0 (RubyGems' rules)."""
    seconds = now.tm_hour * 3600 + now.tm_min * 60 + now.tm_sec
    return f"{now.tm_year}.{now.tm_mon * 100 + now.tm_mday}.{seconds}"


def survey(cache: Path | None = None) -> tuple[list[Box], list[DamagedBox]]:
    """All boxes of the cache, by name, newest first, and what is damaged. Leftovers of a broken build are neither."""
    root = (cache or cache_directory()) / "boxes"
    boxes: list[Box] = []
    damaged: list[DamagedBox] = []
    for directory in sorted(root.glob("*/[!.]*/")):
        try:
            boxes.append(_read(directory))
        except ValueError as error:
            damaged.append(DamagedBox(_name_of(directory.parent), directory, str(error)))
        except FileNotFoundError:  # it was removed, or replaced by a newer one, while we looked
            continue
    return sorted(sorted(boxes, key=_age, reverse=True), key=lambda b: b.name), damaged


def list_boxes(cache: Path | None = None) -> list[Box]:
    """All boxes of the cache, by name, newest first."""
    return survey(cache)[0]


def _read(directory: Path) -> Box:
    """Read a box; ValueError with the reason where it is damaged."""
    try:
        manifest = _MANIFEST.validate_json((directory / "manifest.json").read_bytes())
    except FileNotFoundError:
        if not directory.is_dir():
            raise
        raise ValueError("its manifest.json is missing") from None
    except OSError as error:
        raise ValueError(f"its manifest.json cannot be read: {error.strerror}") from None
    except ValidationError:
        raise ValueError("its manifest.json is damaged, or of another version of this program") from None
    if (slug(manifest.name), manifest.version) != (directory.parent.name, directory.name):
        raise ValueError(f"its manifest.json is of {manifest.name} {manifest.version}")
    if not _VERSION.fullmatch(manifest.version):
        raise ValueError(f"its version {manifest.version} is none")
    box = Box(manifest, directory)
    if reason := damage_of_all(box.files, manifest.files):
        raise ValueError(reason)
    return box


def find(name: str, cache: Path) -> Box | None:
    """Find the newest box of a name."""
    return next((b for b in list_boxes(cache) if b.name == name), None)


def find_intact(name: str, cache: Path) -> tuple[Box | None, str]:
    """Find the newest box of a name, every byte of it read; without one, say what is wrong with what is there."""
    boxes, damaged = survey(cache)
    reasons = [each.reason for each in damaged if each.name == name]
    for box in boxes:
        if box.name == name:
            reason = damage_of_all(box.files, box.manifest.files, thorough=True)
            if not reason:
                return box, ""
            reasons.append(reason)
    return None, "; ".join(reasons)


def remove_box(name: str, cache: Path | None = None) -> list[Box | DamagedBox]:
    """Remove every version of a box, damaged ones too; gives those that were there.

    A lab that runs on one keeps its base volume.
    """
    root = cache or cache_directory()
    boxes, damaged = survey(root)
    gone: list[Box | DamagedBox] = [b for b in boxes if b.name == name]
    gone += [d for d in damaged if d.name == name]
    home = root / "boxes" / slug(name)
    if home.is_dir():
        with lock(root, slug(name)):
            shutil.rmtree(home)
    return gone


def write_catalog(cache: Path, name: str) -> Path:
    """Write Vagrant's metadata of a box (its versions and where they are)."""
    versions = [
        {
            "version": b.version,
            "providers": [{"name": "libvirt", "url": (b.directory / "libvirt").as_uri(), "architecture": "amd64"}],
        }
        for b in list_boxes(cache)
        if b.name == name
    ]
    text = json.dumps({"name": name, "description": "made by openstack-compute-lab", "versions": versions}, indent=1)
    catalog = cache / "boxes" / slug(name) / "catalog.json"
    durable.write_text(catalog, f"{text}\n", mode=0o644)
    return catalog


def register(box: Box, vagrant_home: Path) -> Path:
    """Show a box to Vagrant: the layout of `vagrant box add`, with hard links instead of copies.

    Gives the directory. Where hard links are not possible (another file system) the image is a symbolic link; what
    Vagrant removes is never the cache's own file. Older versions are dropped there too: they would keep gigabytes that
    the cache has removed.
    """
    target = vagrant_home / "boxes" / slug(box.name) / box.version / "libvirt"
    safe.make(target, mode=0o755)
    for source in sorted((box.directory / "libvirt").iterdir()):
        link = target / source.name
        if not (link.exists() and link.samefile(source)):
            _replace(link, partial(_link, source))
    for old in target.parent.parent.iterdir():
        if old.is_dir() and old.name != box.version:
            shutil.rmtree(old)
    return target


def place_base_volume(box: Box, pool: Path) -> Path:
    """Put the box's image into a storage pool's directory under the name that vagrant-libvirt looks for."""
    return place_image(box.image, box.manifest.files[IMAGE], pool / box.volume_name)


def place_image(image: Path, facts: FileFacts, target: Path) -> Path:
    """Put an image that other disks are on top of into a storage pool's directory; gives its path there.

    A reflink where the file system has them, else a copy, and never a hard link: libvirt gives base volumes to the user
    that QEMU runs as, who would then own the cache's file as well. What is there already is kept where it has the
    image's size and time, or its content. The caller refreshes the pool, so that libvirt sees it.
    """
    if target.exists() and not target.samefile(image) and not damage(target, facts):
        return target
    with _space(target.parent):
        return _replace(target, partial(_clone, image))


@contextmanager
def lock(
    cache: Path, name: str, waiting: Callable[[str], None] | None = None, *, limit_s: float = LOCK_LIMIT_S
) -> Iterator[None]:
    """Hold a lock of the cache; tells `waiting` once who holds it, where another does. Ends with the process.

    Raises:
        LockedError: it did not become free.
    """
    directory = safe.make(cache / "locks", mode=0o755)
    with open(directory / name, "a+", opener=safe.private_opener) as file:
        take(file.fileno(), f"{name} of {cache}", limit_s=limit_s, waiting=waiting)
        yield


def sweep(cache: Path, name: str) -> None:
    """Remove what a killed build left; the box's lock must be held."""
    for leftover in (cache / "boxes" / slug(name)).glob(f"{_TEMPORARY}*"):
        shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def scratch(cache: Path, name: str) -> Iterator[Path]:
    """A directory beside the box's versions, on the same file system, that is gone at the end whatever happens."""
    home = cache / "boxes" / slug(name)
    directory = home / f"{_TEMPORARY}{os.getpid()}"
    safe.make(home, mode=0o755)
    directory.mkdir()
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def publish(cache: Path, manifest: Manifest | ReadyMade, built: Path) -> Box:
    """Move a finished version to its place, in one step, once it has reached the disk.

    The older versions and the damaged ones go.
    """
    home = cache / "boxes" / slug(manifest.name)
    target = home / manifest.version
    durable.write_text(built / "manifest.json", manifest.model_dump_json(indent=1) + "\n", mode=0o644)
    if target.exists():  # damaged
        shutil.rmtree(target)
    durable.rename_tree(built, target)
    for old in home.glob("[!.]*/"):
        if old != target:
            shutil.rmtree(old)
    write_catalog(cache, manifest.name)
    return Box(manifest, target)


def _age(box: Box) -> tuple[int, ...]:
    return tuple(int(part) for part in box.version.split("."))


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        target.symlink_to(source)


def _name_of(home: Path) -> str:
    return home.name.replace(_SLASH, "/")


def _clone(source: Path, target: Path) -> None:
    run(["cp", "--reflink=auto", "--preserve=timestamps", source, target], timeout_s=1800)
    durable.sync_file(target)


def _replace(target: Path, make: Callable[[Path], object]) -> Path:
    """Make a file under a temporary name and move it into place, so that nobody sees half of it."""
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    try:
        make(unfinished)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return target


@contextmanager
def _space(directory: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, CommandError) as error:
        free = shutil.disk_usage(directory).free // 2**20
        why = error.strerror if isinstance(error, OSError) else error.result.tail()
        raise HostError(f"cannot write to {directory}: {why}", detail=f"free there: {free} MiB") from error
