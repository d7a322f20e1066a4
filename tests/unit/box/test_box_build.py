import os
import stat
import threading
import time
from pathlib import Path

import pytest

from lab.base.errors import HostError, MachineError
from lab.box import build
from lab.box.build import BoxEvent, ensure_boxes
from lab.box.definition import BoxDefinition, BoxSpec, load_definition
from lab.box.guests import cpio
from lab.box.intact import facts_of_all
from lab.box.keys import ensure_key
from lab.box.manifest import Manifest, inputs_of
from lab.box.pool import Deb, Pool, key_file
from lab.box.sources import Source
from lab.box.store import publish, scratch
from lab.box.tools import Tools

TOOLS = {"mmdebstrap": "1.3.5"}
WANTED = BoxSpec(
    name="compute-lab/zed-compute", suite="bookworm", release="zed", role="compute", packages=("nova-compute",)
)


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "tool_versions", lambda: TOOLS)


def have_box(cache: Path, spec: BoxSpec) -> None:
    definition = load_definition(spec.suite)
    with scratch(cache, spec.name) as directory:
        (directory / "result/libvirt").mkdir(parents=True)
        (directory / "result/libvirt/box.img").write_bytes(b"image")
        made = Manifest(
            name=spec.name,
            version="2026.101.1",
            release=spec.release,
            role=spec.role,
            flavour=spec.flavour,
            built="",
            files=facts_of_all(directory / "result/libvirt"),
            inputs=inputs_of(definition, spec, TOOLS, None, key=ensure_key(cache).fingerprint),
            sources=(),
            packages={},
            seconds={},
        )
        publish(cache, made, directory / "result")


@pytest.mark.usefixtures("tools")
def test_a_box_that_is_up_to_date_is_reused_without_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    have_box(tmp_path, WANTED)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    events: list[BoxEvent] = []
    boxes = ensure_boxes([WANTED, WANTED], tmp_path, on_event=events.append)
    assert [b.version for b in boxes] == ["2026.101.1", "2026.101.1"]
    assert events == []


@pytest.mark.usefixtures("tools")
def test_a_box_that_is_out_of_date_is_built_and_the_reason_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    have_box(tmp_path, WANTED)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    events: list[BoxEvent] = []
    more = WANTED.model_copy(update={"packages": ("nova-compute", "tcpdump")})
    with pytest.raises(HostError, match="needs root") as caught:
        ensure_boxes([more], tmp_path, on_event=events.append)
    assert "sudo" in caught.value.hint
    assert [e.text for e in events] == ["building: package list changed: + tcpdump"]


@pytest.mark.usefixtures("tools")
def test_a_damaged_box_is_built_again_and_the_reason_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    have_box(tmp_path, WANTED)
    next(tmp_path.glob("boxes/*/*/libvirt/box.img")).write_bytes(b"")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    events: list[BoxEvent] = []
    with pytest.raises(HostError, match="needs root"):
        ensure_boxes([WANTED], tmp_path, on_event=events.append)
    assert [e.text for e in events] == ["building: the one in the cache is damaged: box.img has 0 bytes instead of 5"]


@pytest.mark.usefixtures("tools")
def test_boxes_of_a_key_that_is_lost_are_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    have_box(tmp_path, WANTED)
    ensure_key(tmp_path).private.unlink()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    events: list[BoxEvent] = []
    with pytest.raises(HostError, match="needs root"):
        ensure_boxes([WANTED], tmp_path, on_event=events.append)
    assert events[0].text.startswith("building: ssh key changed: SHA256:")


@pytest.mark.usefixtures("tools")
def test_a_full_disk_is_told_before_anything_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(build, "_GRUB", tmp_path)
    monkeypatch.setattr(build, "_SCRATCH_GIB", 10**6)
    with pytest.raises(HostError, match="GiB free; building 1 boxes takes 1000000 GiB"):
        ensure_boxes([WANTED], tmp_path)
    assert not (tmp_path / "apt").exists()


@pytest.mark.usefixtures("tools")
def test_a_host_that_cannot_make_a_disk_bootable_is_told_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(build, "_GRUB", tmp_path / "no-grub")
    with pytest.raises(HostError, match="no-grub is missing") as caught:
        ensure_boxes([WANTED], tmp_path)
    assert caught.value.hint == "apt-get install grub-pc-bin"


def test_a_failing_program_is_shown_with_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    with pytest.raises(MachineError, match="sh failed with exit code 7") as caught:
        Tools().run(["sh", "-c", "echo E: no such package; exit 7"], log=log, timeout_s=10)
    assert "E: no such package" in caught.value.detail
    assert str(log) in caught.value.detail


def test_a_program_that_is_missing_or_too_slow_is_told(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no-such-program is not installed"):
        Tools().run(["no-such-program"], log=tmp_path / "log", timeout_s=10)
    with pytest.raises(MachineError, match="did not end within 0 s"):
        Tools().run(["sleep", "60"], log=tmp_path / "log", timeout_s=0.1)


def test_stopping_ends_what_runs_and_lets_nothing_start(tmp_path: Path) -> None:
    tools = Tools()
    mark = tmp_path / "running"
    failures: list[str] = []

    def work() -> None:
        try:
            # a child of the child: the whole group must end
            tools.run(["sh", "-c", f"touch {mark}; sleep 60; true"], log=tmp_path / "log", timeout_s=120)
        except MachineError as error:
            failures.append(error.message)

    thread = threading.Thread(target=work)
    thread.start()
    while not mark.exists():
        time.sleep(0.01)
    tools.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert failures == ["sh failed with exit code -15"]
    with pytest.raises(MachineError, match="stopped"):
        tools.run(["true"], log=tmp_path / "log", timeout_s=10)


@pytest.mark.parametrize(
    ("file", "package", "version", "in_repository"),
    [
        ("sudo_1.9.13p3-1+deb12u1_amd64.deb", "sudo", "1.9.13p3-1+deb12u1", "sudo_1.9.13p3-1+deb12u1_amd64.deb"),
        ("nova-api_2%3a26.2.2-1_all.deb", "nova-api", "2:26.2.2-1", "nova-api_2.26.2.2-1_all.deb"),
    ],
)
def test_package_files(file: str, package: str, version: str, in_repository: str) -> None:
    deb = Deb(file, 1)
    assert (deb.package, deb.version, key_file(deb)) == (package, version, in_repository)


def fake(directory: Path, name: str, script: str) -> None:
    file = directory / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pool:
    """A pool whose apt is a script in tmp_path/bin."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    definition: BoxDefinition = load_definition("bookworm")
    made = Pool(
        tmp_path / "pool", definition, [Source("http://m.example/debian", "bookworm", ("main",))], tmp_path / "l"
    )
    made.archives.mkdir(parents=True)
    return made


def test_what_apt_would_fetch_is_read_with_and_without_hashes(pool: Pool, tmp_path: Path) -> None:
    fake(
        tmp_path / "bin",
        "apt-get",
        """echo 'Reading package lists...'
echo "'http://m.example/pool/s/sudo_1%2b1_amd64.deb' sudo_1+1_amd64.deb 12 MD5Sum:31f3ce5464013ac2f6f580533dbeb9fb"
echo "'http://m.example/pool/n/nova-api_26_all.deb' nova-api_2%3a26_all.deb 34 " """,
    )
    assert pool.resolve(["sudo"]) == [Deb("nova-api_2%3a26_all.deb", 34), Deb("sudo_1+1_amd64.deb", 12)]


def test_what_is_there_is_not_downloaded_again_and_half_a_file_is(pool: Pool, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    fake(
        tmp_path / "bin",
        "apt-get",
        f"""echo "'http://m.example/sudo_1_amd64.deb' sudo_1_amd64.deb 4 "
case "$*" in *--download-only*) echo downloaded >>{calls} ;; esac""",
    )
    (pool.archives / "sudo_1_amd64.deb").write_bytes(b"debs")
    pool.fetch(["sudo"])
    assert not calls.exists()
    (pool.archives / "sudo_1_amd64.deb").write_bytes(b"de")
    pool.fetch(["sudo"])
    assert calls.read_text() == "downloaded\n"


def test_a_package_that_the_archive_lacks_is_named(pool: Pool, tmp_path: Path) -> None:
    fake(tmp_path / "bin", "apt-get", "echo 'E: Unable to locate package no-such' >&2; exit 100")
    with pytest.raises(HostError) as caught:
        pool.resolve(["no-such"])
    assert "Unable to locate package no-such" in caught.value.detail


def test_a_repository_holds_the_chosen_files_with_the_archives_entries(pool: Pool, tmp_path: Path) -> None:
    entry = "Package: nova-api\\nVersion: 2:26\\nSize: {}\\nFilename: pool/n/nova-api_26_all.deb\\nSHA256: {}\\n\\n"
    fake(tmp_path / "bin", "apt-cache", f"printf '{entry.format(3, 'aa')}{entry.format(4, 'bb')}'")
    (pool.archives / "nova-api_2%3a26_all.deb").write_bytes(b"debs")
    pool.repository([Deb("nova-api_2%3a26_all.deb", 4)], tmp_path / "repository")
    assert sorted(p.name for p in (tmp_path / "repository").iterdir()) == [
        "Packages",
        "Release",
        "nova-api_2.26_all.deb",
    ]
    packages = (tmp_path / "repository/Packages").read_text()
    assert "Filename: ./nova-api_2.26_all.deb\n" in packages
    assert "SHA256: bb" in packages
    assert "SHA256: aa" not in packages
    assert "Suite: bookworm\n" in (tmp_path / "repository/Release").read_text()


def test_a_repository_is_refused_when_the_indices_have_moved_on(pool: Pool, tmp_path: Path) -> None:
    fake(tmp_path / "bin", "apt-cache", "exit 0")
    with pytest.raises(HostError, match="indices changed"):
        pool.repository([Deb("sudo_1_amd64.deb", 4)], tmp_path / "repository")


def test_a_silent_mirror_is_named(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.box.pool.keyring_of", lambda definition: tmp_path / "k.gpg")
    fake(tmp_path / "bin", "apt-get", "echo 'E: Failed to fetch'; exit 100")
    with pytest.raises(HostError, match=r"http://m\.example/debian") as caught:
        pool.update()
    assert "Failed to fetch" in caught.value.detail
    assert "`box.mirror` of the spec" in caught.value.hint


def unpack(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """Read an archive of the format newc."""
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name = archive[at + 110 : at + 110 + fields[11] - 1].decode()
        at += 110 + fields[11] + -(110 + fields[11]) % 4
        if name == "TRAILER!!!":
            return found
        found[name] = (fields[1], archive[at : at + fields[6]])
        at += fields[6] + -fields[6] % 4


def test_an_initramfs_has_its_files_and_their_parents_in_order() -> None:
    archive = cpio({"init": b"#!/bin/busybox sh\n", "lib/modules/a.ko": b"12345"}, directories=("proc",))
    found = unpack(archive)
    assert list(found) == ["lib", "lib/modules", "proc", "init", "lib/modules/a.ko"]
    assert found["init"] == (0o100755, b"#!/bin/busybox sh\n")
    assert found["lib"] == (0o040755, b"")
    assert found["lib/modules/a.ko"][1] == b"12345"
