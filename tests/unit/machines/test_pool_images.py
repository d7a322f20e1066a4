"""How boxes come into libvirt's pool."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

from lab.box.store import IMAGE
from lab.machines import boxes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.box.store import Box
    from lab.host.host import Host


@dataclass
class Files:
    files: dict[str, int]


@dataclass
class FakeBox:
    """As much of a box as is looked at."""

    directory: Path
    name: str = "compute-lab/demo"
    version: str = "1"
    volume_name: str = "demo_vagrant_box_image_1_box.img"
    manifest: Files = field(default_factory=lambda: Files({IMAGE: 5}))

    @property
    def image(self) -> Path:
        return self.directory / "libvirt" / IMAGE


class FakeHost:
    """A libvirt whose pool is this directory."""

    def __init__(self, pool_dir: Path) -> None:
        self.pool_dir = pool_dir
        self.refreshed = 0

    @contextlib.contextmanager
    def hypervisor(self) -> Iterator[FakeHost]:
        yield self

    def refresh_pool(self) -> None:
        self.refreshed += 1


@pytest.mark.parametrize(("uid", "is_writable", "placed"), [(0, False, True), (1000, True, True), (1000, False, False)])
def test_who_may_not_write_in_the_pool_leaves_the_image_to_libvirt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: int, is_writable: bool, placed: bool
) -> None:
    """Vagrant uploads an image that the pool lacks; a user of the group libvirt may do so, but not copy files."""
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant"))
    (tmp_path / "pool").mkdir()
    box = FakeBox(tmp_path / "box")
    (box.directory / "libvirt").mkdir(parents=True)
    box.image.write_text("image")
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(os, "access", lambda *_: is_writable)
    host = FakeHost(tmp_path / "pool")
    boxes.show_to_vagrant([cast("Box", box)], cast("Host", host))
    assert (tmp_path / "pool" / box.volume_name).exists() == placed
    assert (tmp_path / "vagrant/boxes/compute-lab-VAGRANTSLASH-demo/1/libvirt" / IMAGE).exists()
    assert host.refreshed == 1
