"""Guest images made of two Debian packages: the cloud kernel and a busybox initramfs.

`tiny` is the image of the lab's first instances (Debian packages no cirros); `proof` says one line and switches itself
off, to prove an accelerator. Both are made in a second, without root, by the programs apt-get and dpkg-deb.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.base import durable, resources
from lab.base.errors import HostError
from lab.base.process import run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.box.pool import Pool

GUEST_SCRIPTS = ("tiny-init.sh", "tiny-udhcpc.sh", "proof-init.sh")
PROOF_MARKER = "LAB-PROOF-OK"
"""on the proof guest's serial console when it has booted"""

_MODULES = (  # each after those whose symbols it uses; fewer than ten
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "failover",
    "net_failover",
    "virtio_net",
    "virtio_blk",
)
_KERNEL_PACKAGE = re.compile(r"linux-image-\d[^_]*-cloud-[a-z0-9]+")
_FILE = 0o100755
_DIRECTORY = 0o040755
_ROOT_MIB = 1
_TEMPORARY = ".guests-"


@dataclass(frozen=True)
class Guests:
    """Directories with vmlinuz and initrd.gz; tiny has root.raw too."""

    directory: Path

    @property
    def tiny(self) -> Path:
        """The image of first instances."""
        return self.directory / "tiny"

    @property
    def proof(self) -> Path:
        """The guest that proves an accelerator."""
        return self.directory / "proof"

    def complete(self) -> bool:
        """Tell whether all is there as it was written: the stamp comes last, and none of the files is empty."""
        files = [self.tiny / "root.raw", *(g / n for g in (self.tiny, self.proof) for n in ("vmlinuz", "initrd.gz"))]
        return all(f.is_file() and f.stat().st_size for f in (self.directory / "stamp", *files))


def make_guests(pool: Pool, kernel: str, target: Path) -> Guests:
    """Make both guests under `target`, of the newest kernel that the metapackage `kernel` names; reuse what is there.

    The caller holds the pool's lock. HostError where the mirror has no such kernel.
    """
    named = [d.package for d in pool.resolve([kernel, "busybox-static"])]
    packages = [p for p in named if _KERNEL_PACKAGE.fullmatch(p)]
    if not packages:
        raise HostError(f"{kernel} brings no cloud kernel", hint="the guests need linux-image-cloud-ARCHITECTURE")
    pool.download([packages[0], "busybox-static"])
    kernel_deb = _newest(pool.archives, packages[0])
    busybox_deb = _newest(pool.archives, "busybox-static")
    stamp = "\n".join([kernel_deb.name, busybox_deb.name, *((resources.BOXES / n).read_text() for n in GUEST_SCRIPTS)])
    done = target / "stamp"
    if Guests(target).complete() and done.read_text() == stamp:
        return Guests(target)
    for leftover in target.parent.glob(f"{_TEMPORARY}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=_TEMPORARY) as scratch:
        work = Path(scratch)
        run(["dpkg-deb", "-x", kernel_deb, work / "kernel"], timeout_s=120)
        run(["dpkg-deb", "-x", busybox_deb, work / "busybox"], timeout_s=120)
        vmlinuz = next((work / "kernel/boot").glob("vmlinuz-*"))
        busybox = next(p for p in ((work / "busybox/bin/busybox"), (work / "busybox/usr/bin/busybox")) if p.is_file())
        _write(work / "new", vmlinuz, busybox.read_bytes(), _modules(work / "kernel"))
        (work / "new/stamp").write_text(stamp)
        shutil.rmtree(target, ignore_errors=True)
        durable.rename_tree(work / "new", target)
    return Guests(target)


def _newest(archives: Path, package: str) -> Path:
    return max(archives.glob(f"{package}_*.deb"), key=lambda p: p.stat().st_mtime)


def _modules(kernel: Path) -> dict[str, bytes]:
    """Read the guest's modules, numbered in the order to load them in.

    Those that the kernel has built in are missing. trixie compresses them.
    """
    found = {}
    for number, name in enumerate(_MODULES):
        for file in kernel.rglob(f"{name}.ko*"):
            if file.suffix == ".xz":
                run(["xz", "--decompress", "--keep", file], timeout_s=60)
                file = file.with_suffix("")
            found[f"lib/modules/{number}-{name}.ko"] = file.read_bytes()
    return found


def _write(target: Path, vmlinuz: Path, busybox: bytes, modules: Mapping[str, bytes]) -> None:
    def script(name: str) -> bytes:
        return (resources.BOXES / name).read_bytes()

    for name, files in {
        "proof": {"init": script("proof-init.sh"), "bin/busybox": busybox},
        "tiny": {
            "init": script("tiny-init.sh"),
            "etc/udhcpc.sh": script("tiny-udhcpc.sh"),
            "bin/busybox": busybox,
            **modules,
        },
    }.items():
        directory = target / name
        directory.mkdir(parents=True)
        shutil.copyfile(vmlinuz, directory / "vmlinuz")
        initrd = cpio(files, directories=("proc", "sys", "dev", "run", "tmp", "sbin"))
        (directory / "initrd.gz").write_bytes(gzip.compress(initrd, 9, mtime=0))
        (directory / "vmlinuz").chmod(0o644)
    root = target / "tiny/root.raw"
    root.touch()
    os.truncate(root, _ROOT_MIB * 2**20)


def cpio(files: Mapping[str, bytes], directories: tuple[str, ...] = ()) -> bytes:
    """Pack an initramfs in the kernel's format (newc, Documentation/driver-api/early-userspace/buffer-format).

    All files are executable and root's; parents of files are made. The same input gives the same bytes.
    """
    parents = {str(parent) for name in files for parent in Path(name).parents if str(parent) != "."}
    entries: list[tuple[str, int, bytes]] = [(n, _DIRECTORY, b"") for n in sorted({*parents, *directories})]
    entries += [(n, _FILE, data) for n, data in sorted(files.items())]
    out = bytearray()
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], start=1):
        encoded = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
        out += b"070701" + b"".join(b"%08X" % f for f in fields) + encoded
        out += b"\0" * (-len(out) % 4)
        out += data
        out += b"\0" * (-len(out) % 4)
    return bytes(out)
