"""Golden disks with the real qemu-img: what they hold, what they name, and what is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from lab.base.errors import MachineError, UsageError
from lab.golden import disks

if TYPE_CHECKING:
    from pathlib import Path

BOX = "compute-lab-VAGRANTSLASH-zed-controller_vagrant_box_image_2026.1122.5_box.img"
pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="no qemu-img")


def qemu(*argv: object) -> str:
    return subprocess.run([str(each) for each in argv], check=True, capture_output=True, text=True).stdout


def write(image: Path, byte: int, at: str) -> None:
    qemu("qemu-io", "-f", "qcow2", "-c", f"write -P {byte} {at} 64k", image)


def holds(image: Path, byte: int, at: str) -> bool:
    argv = ["qemu-io", "-r", "-f", "qcow2", "-c", f"read -P {byte} {at} 64k", str(image)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode == 0 and "Pattern verification failed" not in done.stdout


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A lab's disk on top of its box's image, with a snapshot, and what was written after that."""
    pool = tmp_path / "pool"
    pool.mkdir()
    base, own = pool / BOX, pool / "demo-controller.img"
    qemu("qemu-img", "create", "-q", "-f", "qcow2", base, "64M")
    write(base, 1, "0")
    qemu("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, own, "80M")
    write(own, 2, "1M")
    qemu("qemu-img", "snapshot", "-c", "golden", own)
    write(own, 3, "1M")
    return own


def frozen(disk: Path, tmp_path: Path) -> Path:
    directory = tmp_path / "golden"
    directory.mkdir()
    found = disks.inspect(disk)
    disks.keep_base(found, directory, ())
    target = directory / "controller.qcow2"
    disks.freeze(found, "golden", target)
    return target


def test_a_golden_disk_is_the_snapshot_on_top_of_the_image_beside_it(disk: Path, tmp_path: Path) -> None:
    golden = frozen(disk, tmp_path)
    assert disks.base_name(golden) == BOX
    assert golden.stat().st_mode & 0o777 == 0o444
    assert golden.stat().st_blocks * 512 < 2 * 2**20
    shutil.move(golden.parent, tmp_path / "moved")  # as to another cache
    shutil.rmtree(disk.parent)
    lab = tmp_path / "lab.img"
    qemu(*disks.overlay_command(tmp_path / "moved" / golden.name, lab))
    assert holds(lab, 1, "0")
    assert holds(lab, 2, "1M")
    assert '"virtual-size": 83886080' in qemu("qemu-img", "info", "--output=json", lab)
    assert lab.stat().st_blocks * 512 < 2**20


def test_writing_on_top_leaves_the_golden_disk(disk: Path, tmp_path: Path) -> None:
    golden = frozen(disk, tmp_path)
    before = golden.read_bytes()
    lab = tmp_path / "lab.img"
    qemu(*disks.overlay_command(golden, lab))
    write(lab, 9, "1M")
    assert golden.read_bytes() == before
    assert holds(golden, 2, "1M")


def test_the_version_of_the_box_is_read_from_the_disk(disk: Path) -> None:
    assert disks.inspect(disk).box_version == "2026.1122.5"


def test_the_image_of_the_caches_own_box_is_not_copied(disk: Path, tmp_path: Path) -> None:
    class CachedBox:
        """A box of the cache."""

        volume_name = BOX
        image = tmp_path / "box.img"

    shutil.copy(disk.parent / BOX, CachedBox.image)
    directory = tmp_path / "golden"
    directory.mkdir()
    disks.keep_base(disks.inspect(disk), directory, [CachedBox()])  # type: ignore[list-item]
    assert (directory / BOX).samefile(CachedBox.image)
    CachedBox.image.unlink()  # a newer box takes its place
    assert (directory / BOX).exists()


def test_an_image_that_qemus_user_cannot_read_is_copied(disk: Path, tmp_path: Path) -> None:
    class CachedBox:
        """A box of the cache."""

        volume_name = BOX
        image = tmp_path / "box.img"

    shutil.copy(disk.parent / BOX, CachedBox.image)
    CachedBox.image.chmod(0o600)
    directory = tmp_path / "golden"
    directory.mkdir()
    disks.keep_base(disks.inspect(disk), directory, [CachedBox()])  # type: ignore[list-item]
    assert (directory / BOX).stat().st_mode & 0o777 == 0o444
    assert CachedBox.image.stat().st_mode & 0o777 == 0o600


def test_a_lab_on_top_of_a_golden_one_cannot_become_one(disk: Path, tmp_path: Path) -> None:
    lab = tmp_path / "lab.img"
    qemu(*disks.overlay_command(frozen(disk, tmp_path), lab))
    with pytest.raises(MachineError, match="on top of more than a box's image"):
        disks.inspect(lab)
    alone = tmp_path / "alone.img"
    qemu("qemu-img", "create", "-q", "-f", "qcow2", alone, "1M")
    with pytest.raises(MachineError, match="is not on top of a box's image"):
        disks.inspect(alone)


def test_a_full_disk_is_told_and_the_lab_is_as_before(disk: Path, tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    found, before = disks.inspect(disk), disk.read_bytes()
    with pytest.raises(MachineError, match="qemu-img"):
        disks.freeze(found, "golden", tmp_path / "no such directory" / "controller.qcow2")
    assert disk.read_bytes() == before


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside.img", "unknown.img"])
def test_a_golden_disk_that_names_another_file_is_refused(name: str, disk: Path, tmp_path: Path) -> None:
    golden = frozen(disk, tmp_path)
    golden.chmod(0o600)
    names = [golden.name, BOX]
    disks.require_known_bases(golden.parent, names)
    qemu("qemu-img", "rebase", "-u", "-b", name, "-F", "raw", golden)
    with pytest.raises(UsageError, match="names a file that is not of the golden lab"):
        disks.require_known_bases(golden.parent, names)
