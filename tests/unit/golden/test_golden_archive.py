"""A golden lab in a file, and from it into another cache; what is not one is refused, and nothing is left."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest
from golden_samples import manifest_of

from lab.base.errors import UsageError
from lab.golden.archive import export, import_file
from lab.golden.digest import Parts
from lab.golden.store import Golden, GoldenLabs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="no qemu-img")
PARTS = Parts(disks={"release": "zed"}, memory={})
NAME = f"zed-{PARTS.digest[:8]}"


@pytest.fixture
def golden(tmp_path: Path) -> Golden:
    store = GoldenLabs(tmp_path / "first", state_root=tmp_path)
    partial = store.begin(NAME)
    for name, more in (("box.img", []), ("controller.qcow2", ["-b", "box.img", "-F", "qcow2"])):
        argv = ["qemu-img", "create", "-q", "-f", "qcow2", *more, name, "1M"]
        subprocess.run(argv, cwd=partial / "disks", check=True)
    (partial / "controller.mem").write_bytes(b"memory")
    (partial / "seed").write_text("ab" * 32)
    (partial / "vagrant" / "controller").mkdir(parents=True)
    (partial / "vagrant" / "controller" / "id").write_text("uuid")
    return store.finish(partial, manifest_of(partial, PARTS))


@pytest.fixture
def other(tmp_path: Path) -> GoldenLabs:
    return GoldenLabs(tmp_path / "other", state_root=tmp_path)


def content(directory: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): (path.read_bytes(), path.stat().st_mode & 0o777) for path in files}


def test_it_arrives_complete_and_closed(golden: Golden, other: GoldenLabs, tmp_path: Path) -> None:
    file = tmp_path / "golden.tar"
    assert export(golden, file) == file.stat().st_size
    assert file.stat().st_mode & 0o777 == 0o600
    arrived = import_file(file, other)
    assert arrived.manifest == golden.manifest
    assert arrived.damage() == ""
    assert {name: data for name, (data, _) in content(arrived.directory).items()} == {
        name: data for name, (data, _) in content(golden.directory).items()
    }
    modes = {name: mode for name, (_, mode) in content(arrived.directory).items()}
    assert {mode for name, mode in modes.items() if not name.startswith("disks/")} == {0o600}
    assert {mode for name, mode in modes.items() if name.startswith("disks/")} == {0o444}


def test_one_that_is_there_is_not_replaced(golden: Golden, other: GoldenLabs, tmp_path: Path) -> None:
    export(golden, tmp_path / "golden.tar")
    import_file(tmp_path / "golden.tar", other)
    with pytest.raises(UsageError, match=f"golden lab {NAME} exists"):
        import_file(tmp_path / "golden.tar", other)
    assert [each.name for each in other.complete()] == [NAME]


def repacked(file: Path, change: Callable[[tarfile.TarInfo, bytes], tuple[tarfile.TarInfo, bytes] | None]) -> None:
    with tarfile.open(file) as archive:
        members = [(each, archive.extractfile(each).read()) for each in archive if each.isfile()]  # type: ignore[union-attr]
    with tarfile.open(file, "w") as archive:
        for member, data in members:
            if (new := change(member, data)) is not None:
                new[0].size = len(new[1])
                archive.addfile(new[0], io.BytesIO(new[1]))


def _renamed(old: str, new: str) -> Callable[[tarfile.TarInfo, bytes], tuple[tarfile.TarInfo, bytes] | None]:
    def change(member: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
        member.name = new if member.name == old else member.name
        return member, data

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_renamed("seed", "../seed"), "it has a '../seed' in it"),
        (_renamed("seed", "/etc/seed"), "it has a '/etc/seed' in it"),
        (_renamed("seed", "disks/../../seed"), "it has a 'disks/../../seed' in it"),
        (_renamed("manifest.json", "seed"), "its first entry is not a manifest"),
        (lambda m, d: (m, d[:-1] + b"X") if m.name == "controller.mem" else (m, d), "controller.mem is not what"),
        (lambda m, d: None if m.name == "disks/box.img" else (m, d), "box.img is missing"),
        (lambda m, d: (m, b"{}") if m.name == "manifest.json" else (m, d), "its manifest is damaged"),
        (lambda m, d: (m, d.replace(b'"zed"', b'"../x"')) if m.name == "manifest.json" else (m, d), "release '../x'"),
    ],
)
def test_what_is_not_one_is_refused(
    change: Callable[[tarfile.TarInfo, bytes], tuple[tarfile.TarInfo, bytes] | None],
    why: str,
    golden: Golden,
    other: GoldenLabs,
    tmp_path: Path,
) -> None:
    file = tmp_path / "golden.tar"
    export(golden, file)
    repacked(file, change)
    with pytest.raises(UsageError, match="is not a golden lab that can be used") as caught:
        import_file(file, other)
    assert why in caught.value.message
    assert not other.root.exists() or list(other.root.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "golden.tar", "other"]


@pytest.mark.parametrize("text", [None, "no archive"])
def test_no_file_and_no_archive(text: str | None, other: GoldenLabs, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "golden.tar").write_text(text)
    with pytest.raises(UsageError):
        import_file(tmp_path / "golden.tar", other)
