"""The cache of built boxes, and their way to Vagrant and into a storage pool without a copy.

CACHE/boxes/compute-lab-VAGRANTSLASH-zed-controller/
    2026.1122.63012/            a version
        manifest.json
        libvirt/                what Vagrant wants of a box (format v1)
            metadata.json  Vagrantfile  box.img
    catalog.json                Vagrant's metadata: `vagrant box add file://…/catalog.json` would work too
CACHE/apt/SUITE/                downloaded packages
CACHE/guests/SUITE/             tiny and proof guests
CACHE/logs/
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from lab.box.manifest import Manifest
from lab.errors import HostError
from lab.runtime.process import run

if TYPE_CHECKING:
    import time
    from collections.abc import Callable, Iterator

IMAGE = "box.img"
_SLASH = "-VAGRANTSLASH-"
_TEMPORARY = ".building-"


@dataclass(frozen=True)
class Box:
    """A built box in the cache."""

    manifest: Manifest
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
    def image(self) -> Path:
        """The qcow2 disk."""
        return self.directory / "libvirt" / IMAGE

    @property
    def volume_name(self) -> str:
        """The base volume's name in the storage pool."""
        return volume_name(self.name, self.version)


def cache_directory() -> Path:
    """Where boxes are kept: $LAB_CACHE, else the user's cache directory (XDG)."""
    if named := os.environ.get("LAB_CACHE"):
        return Path(named).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "openstack-compute-lab"


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


def list_boxes(cache: Path | None = None) -> list[Box]:
    """All whole boxes of the cache, by name, newest first. Leftovers of a broken build are not boxes."""
    root = (cache or cache_directory()) / "boxes"
    found = []
    for file in root.glob("*/*/manifest.json"):
        if file.parent.name.startswith("."):
            continue
        with contextlib.suppress(ValidationError, OSError):
            box = Box(Manifest.model_validate_json(file.read_text()), file.parent)
            if box.image.is_file():
                found.append(box)
    return sorted(sorted(found, key=_age, reverse=True), key=lambda b: b.name)


def find(name: str, cache: Path) -> Box | None:
    """Find the newest box of a name."""
    return next((b for b in list_boxes(cache) if b.name == name), None)


def remove_box(name: str, cache: Path | None = None) -> list[Box]:
    """Remove every version of a box; gives those that were there. A lab that stands on one keeps its base volume."""
    root = cache or cache_directory()
    gone = [b for b in list_boxes(root) if b.name == name]
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
    return _replace(cache / "boxes" / slug(name) / "catalog.json", lambda p: p.write_text(text + "\n"))


def register(box: Box, vagrant_home: Path) -> Path:
    """Show a box to Vagrant: the layout of `vagrant box add`, with hard links instead of copies.

    Gives the directory. Where hard links are not possible (another file system) the image is a symbolic link; what
    Vagrant removes is never the cache's own file. Older versions are dropped there too: they would keep gigabytes that
    the cache has let go.
    """
    target = vagrant_home / "boxes" / slug(box.name) / box.version / "libvirt"
    target.mkdir(parents=True, exist_ok=True)
    for source in sorted((box.directory / "libvirt").iterdir()):
        link = target / source.name
        if not (link.exists() and link.samefile(source)):
            _replace(link, partial(_link, source))
    for old in target.parent.parent.iterdir():
        if old.is_dir() and old.name != box.version:
            shutil.rmtree(old)
    return target


def place_base_volume(box: Box, pool: Path) -> Path:
    """Put the box's image into a storage pool's directory under the name that vagrant-libvirt looks for.

    A reflink where the file system has them, else a hard link, else a copy. libvirt may change the owner of a base
    volume and does so to the linked file as well; its content is never written to, for it is a backing file.
    The caller refreshes the pool, so that libvirt sees it.
    """
    target = pool / box.volume_name
    if target.exists() and target.stat().st_size == box.image.stat().st_size:
        return target
    with _space(pool):
        return _replace(target, lambda p: _clone(box.image, p))


@contextmanager
def lock(cache: Path, name: str, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a lock of the cache; calls `waiting` once where another process holds it. Ends with the process."""
    directory = cache / "locks"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / name).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
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
    directory.mkdir(parents=True)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def publish(cache: Path, manifest: Manifest, built: Path) -> Box:
    """Move a finished version to its place, in one step, and drop the older ones."""
    home = cache / "boxes" / slug(manifest.name)
    target = home / manifest.version
    (built / "manifest.json").write_text(manifest.model_dump_json(indent=1) + "\n")
    built.rename(target)
    for old in list_boxes(cache):
        if old.name == manifest.name and old.version != manifest.version:
            shutil.rmtree(old.directory)
    write_catalog(cache, manifest.name)
    return Box(manifest, target)


def _age(box: Box) -> tuple[int, ...]:
    return tuple(int(part) for part in box.version.split("."))


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        target.symlink_to(source)


def _clone(source: Path, target: Path) -> None:
    if run(["cp", "--reflink=always", source, target], timeout_s=60, check=False).ok:
        return
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        run(["cp", "--sparse=always", source, target], timeout_s=1800)


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
    except OSError as error:
        free = shutil.disk_usage(directory).free // 2**20
        raise HostError(f"cannot write to {directory}: {error.strerror}", detail=f"free there: {free} MiB") from error
