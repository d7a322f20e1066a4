"""A private host for real: needs root and libvirt's programs. Its virtual machine is a firmware without a disk."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sample_plans import sample_plan

from lab.base.errors import HostError
from lab.host import libvirt_link as link
from lab.host import private_view as view
from lab.host.libvirt_link import NoAnswerError
from lab.host.ownership import Own
from lab.host.private import PrivateHost
from lab.host.private_conf import QEMU_USER, QemuAccount
from lab.host.removal import remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PROGRAMS = ("ip", "libvirtd", "virtlogd", "virsh", "qemu-system-x86_64", "dnsmasq")
_MISSING = [p for p in _PROGRAMS if shutil.which(p, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}"),
]

DOMAIN = """<domain type='qemu'><name>demo-controller</name><memory unit='MiB'>32</memory>
<os><type arch='x86_64'>hvm</type></os><cpu mode='maximum'/>
<devices><interface type='network'><source network='demo-access'/></interface></devices></domain>"""
ACCESS = sample_plan().networks[0]


def state_root(tmp_path: Path) -> Path:
    """A place so deep that the sockets' paths are longer than the 107 characters of unix(7)."""
    return tmp_path / "a-place-so-deep-that-no-socket-could-be-reached-by-its-whole-path" / "state"


@pytest.fixture
def make_host(tmp_path: Path) -> Iterator[Callable[[str], PrivateHost]]:
    made: list[PrivateHost] = []

    def make(build: str) -> PrivateHost:
        made.append(PrivateHost("demo", tmp_path / build, reason="a test", state_root=state_root(tmp_path)))
        return made[-1]

    yield make
    for host in made:
        host.stop()


@pytest.fixture
def host(make_host: Callable[[str], PrivateHost]) -> PrivateHost:
    return make_host("build")


def put_lab(host: PrivateHost) -> None:
    """A network with DHCP, and a virtual machine on it."""
    with host.hypervisor() as hypervisor:
        hypervisor.ensure_network(ACCESS)
        hypervisor._connection.defineXML(DOMAIN).create()


def processes(host: PrivateHost) -> dict[int, str]:
    pids = view.pids_in(view.netns_inode(host.netns))
    return {pid: Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids}


def outside() -> dict[str, str]:
    """What must not change on the machine: interfaces, routes, firewall, mounts (namespaces' names aside)."""
    commands = {"links": ["ip", "-o", "link"], "routes": ["ip", "route"], "rules": ["nft", "list", "ruleset"]}
    seen = {
        name: subprocess.run(argv, capture_output=True, text=True, check=False).stdout
        for name, argv in commands.items()
        if shutil.which(argv[0])
    }
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return seen | {"mounts": "\n".join(line for line in mounts if str(view.NETNS_DIR) not in line)}


def test_the_life_of_a_private_host(host: PrivateHost) -> None:
    before = outside()
    host.start()
    assert host.is_running()
    put_lab(host)
    running = processes(host)
    assert sorted(set(running.values())) == ["dnsmasq", "libvirtd", "qemu-system-x86", "virtlogd"]
    assert ACCESS.bridge in host.run(["ls", "/sys/class/net"], timeout_s=30).stdout.split()
    assert not Path("/sys/class/net", ACCESS.bridge).exists()
    assert outside() == before

    # libvirtd is killed: the virtual machine lives on, and is found again.
    machine = next(pid for pid, name in running.items() if name == "qemu-system-x86")
    os.kill(next(pid for pid, name in running.items() if name == "libvirtd"), signal.SIGKILL)
    wait_until(lambda: not host.is_running())
    host.start()
    with host.hypervisor() as hypervisor:
        assert hypervisor.state("demo-controller") == "running"
        assert hypervisor.networks(["demo-access"]) == {"demo-access": True}
        assert hypervisor.has_pool()
    assert machine in processes(host)

    host.start()  # of what runs: nothing
    assert machine in processes(host)

    host.stop()
    assert not host.exists()
    assert not host.is_running()
    assert not host.state_dir.parent.exists()
    assert not (view.NETNS_DIR / host.netns).exists()
    assert not [pid for pid in running if alive(pid)]
    assert outside() == before
    host.stop()


def test_two_labs_of_one_name_and_subnet_side_by_side(make_host: Callable[[str], PrivateHost]) -> None:
    hosts = [make_host("one"), make_host("two")]
    for host in hosts:
        host.start()
        put_lab(host)
    hosts[0].stop()
    with hosts[1].hypervisor() as hypervisor:
        assert hypervisor.state("demo-controller") == "running"
    assert ACCESS.bridge in hosts[1].run(["ls", "/sys/class/net"], timeout_s=30).stdout


ENTER = """
import os, pathlib, subprocess, sys
from lab.host.private import PrivateHost
host = PrivateHost("demo", pathlib.Path(sys.argv[1]), state_root=pathlib.Path(sys.argv[2]))
cwd = os.getcwd()
host.enter()
host.enter()
assert host.entered() and os.getcwd() == cwd
print(subprocess.run(["virsh", "-c", host.uri, "pool-list", "--name"], capture_output=True, text=True).stdout.strip())
print(sorted(os.listdir("/sys/class/net")), os.path.exists("/etc/passwd"), os.listdir("/run/libvirt") != [])
child = subprocess.Popen(["sleep", "60"])
host.stop()
print("child", child.wait(), "exists", host.exists())
"""


def test_a_process_enters_works_and_takes_the_host_down(host: PrivateHost, tmp_path: Path) -> None:
    host.start()
    argv = [sys.executable, "-c", ENTER, str(tmp_path / "build"), str(state_root(tmp_path))]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["default", "['lo'] True True", f"child {-signal.SIGTERM} exists False"]
    assert not (view.NETNS_DIR / host.netns).exists()


def test_after_a_reboot_networks_come_back_and_machines_are_off(host: PrivateHost) -> None:
    host.start()
    put_lab(host)
    for pid in processes(host):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not processes(host))
    subprocess.run(["ip", "netns", "delete", host.netns], check=True)
    (view.NETNS_DIR / host.netns).touch()  # where /run is no tmpfs, the name stays
    assert not host.is_running()
    host.start()
    with host.hypervisor() as hypervisor:
        wait_until(lambda: hypervisor.networks(["demo-access"]) == {"demo-access": True})
        assert hypervisor.state("demo-controller") == "shut off"


def test_when_all_its_processes_were_killed_the_network_comes_back(host: PrivateHost) -> None:
    host.start()
    put_lab(host)
    for pid in processes(host):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not processes(host))
    assert view.netns_inode(host.netns)  # unlike after a reboot, the namespace lives on with the dead libvirtd's bridge
    host.start()
    with host.hypervisor() as hypervisor:
        wait_until(lambda: hypervisor.networks(["demo-access"]) == {"demo-access": True})
        assert hypervisor.state("demo-controller") == "shut off"


def test_a_host_that_is_put_away_keeps_its_volumes_and_comes_back(host: PrivateHost) -> None:
    host.start()
    put_lab(host)
    (host.pool_dir / "demo-controller.img").write_text("a disk")
    running = processes(host)
    with host.hypervisor() as hypervisor:
        remove(hypervisor, ["demo-controller"], ["demo-access"], own=Own(Path("/labs/demo")), keep_volumes=True)
    host.stop(keep_volumes=True)
    assert not host.is_running()
    assert not (view.NETNS_DIR / host.netns).exists()
    assert not [pid for pid in running if alive(pid)]
    assert host.exists()  # so that the lab stays on it
    host.start()
    with host.hypervisor() as hypervisor:
        assert hypervisor.state("demo-controller") == "absent"
        assert hypervisor.networks(["demo-access"]) == {}
        hypervisor.refresh_pool()
        assert hypervisor.volumes() == ["demo-controller.img"]


def test_saved_memory_is_compressed_where_the_program_is_there(
    host: PrivateHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = host.state_dir / "host" / "etc" / "qemu.conf"
    for found, expected in (("/usr/bin/lzop", "lzop"), (None, "raw")):
        monkeypatch.setattr(shutil, "which", lambda *_, found=found, **__: found)
        host._prepare_directories()
        assert conf.read_text().splitlines()[-1] == f'save_image_format = "{expected}"'


def test_a_libvirtd_that_refuses_to_work_is_told_with_its_log(
    host: PrivateHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "qemu_account", lambda: QemuAccount("nobody-of-this-name", "root"))
    with pytest.raises(HostError, match="does not answer") as caught:
        host.start()
    assert "nobody-of-this-name" in str(caught.value)
    assert str(host.log) in str(caught.value)


def test_a_stopped_libvirtd_is_given_up_and_replaced(host: PrivateHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "ANSWER_LIMIT_S", 6.0)
    monkeypatch.setattr(link, "_ASK_EVERY_S", 2)
    monkeypatch.setattr(link, "_UNANSWERED", 2)
    host.start()
    put_lab(host)
    found = {name: pid for pid, name in processes(host).items()}
    libvirtd, machine = found["libvirtd"], found["qemu-system-x86"]

    def stop_while_connected() -> None:
        with host.hypervisor() as hypervisor:
            os.kill(libvirtd, signal.SIGSTOP)
            wait_until(lambda: link.is_stopped(libvirtd))  # each of its threads stops for itself
            hypervisor.domains()

    with pytest.raises(
        NoAnswerError, match=f"libvirtd \\(pid {libvirtd}, which is stopped\\) does not answer: waited 6 s"
    ):
        stop_while_connected()
    assert host.is_running()
    with pytest.raises(NoAnswerError, match="which is stopped") as caught:
        host.hypervisor()
    assert "`lab up` ends it and starts another" in caught.value.hint

    host.start()
    assert not alive(libvirtd)
    assert machine in processes(host)
    with host.hypervisor() as hypervisor:
        assert hypervisor.state("demo-controller") == "running"


START = """
import pathlib, sys
from lab.host.private import PrivateHost
print("ready", flush=True)
sys.stdin.readline()
PrivateHost("demo", pathlib.Path(sys.argv[1]), reason="a test", state_root=pathlib.Path(sys.argv[2])).start()
"""


def test_two_that_start_it_at_once_start_one(host: PrivateHost, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", START, str(tmp_path / "build"), str(state_root(tmp_path))]
    both = [subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.wait(120) for process in both] == [0, 0]
    for process in both:
        process.communicate()
    assert [name for name in processes(host).values() if name == "libvirtd"] == ["libvirtd"]
    with host.hypervisor() as hypervisor:
        assert hypervisor.has_pool()


ENDLESS = bytes.fromhex("baf803 b078 ee ebfd".replace(" ", "")).ljust(510, b"\0") + b"\x55\xaa"
"""A boot sector: mov dx, 0x3f8; mov al, 'x'; out dx, al, again and again: the first serial port."""


def start_talker(host: PrivateHost, console: Path) -> None:
    """A virtual machine with a disk in the pool that writes to its serial port for ever."""
    console.parent.mkdir(parents=True)
    (host.pool_dir / "talker.img").write_bytes(ENDLESS * 64)
    with host.hypervisor() as hypervisor:
        hypervisor._connection.defineXML(f"""<domain type='qemu'><name>talker</name><memory unit='MiB'>32</memory>
<os><type arch='x86_64'>hvm</type></os><devices>
<disk type='file'><driver type='raw'/><source file='/var/lib/libvirt/images/talker.img'/><target dev='hda'/></disk>
<serial type='file'><source path='{console}'/></serial></devices></domain>""").create()


def test_a_machine_is_not_root_and_its_console_is_the_owners_alone(host: PrivateHost, tmp_path: Path) -> None:
    host.start()
    if why := host.qemu_account().why_root:
        pytest.skip(why)
    console = tmp_path / "private" / "console.log"
    start_talker(host, console)
    console.parent.chmod(0o700)
    wait_until(lambda: console.exists() and console.stat().st_size > 1000)
    machine = next(pid for pid, name in processes(host).items() if name == "qemu-system-x86")
    status = dict(line.split(":", 1) for line in Path(f"/proc/{machine}/status").read_text().splitlines())
    assert set(status["Uid"].split()) == {str(pwd.getpwnam(QEMU_USER).pw_uid)}
    assert "0" not in status["Gid"].split()
    cache = host.state_dir / "host/cache/qemu/capabilities"
    known = {path: path.stat().st_ino for path in cache.iterdir()}
    host.run(["virsh", "capabilities"], timeout_s=120)  # libvirt does not ask QEMU again what it can do
    assert known.items() <= {path: path.stat().st_ino for path in cache.iterdir()}.items()
    assert (console.stat().st_uid, console.stat().st_mode & 0o777) == (0, 0o600)


def test_a_console_that_is_written_to_for_ever_stays_small(
    host: PrivateHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.host.private_conf.MAX_LOG_BYTES", 64 * 1024)
    host.start()
    console = tmp_path / "logs" / "console.log"
    start_talker(host, console)
    older = console.with_name("console.log.0")
    wait_until(older.exists)
    first = older.stat().st_ino
    wait_until(lambda: older.exists() and older.stat().st_ino != first)  # it has wrapped round twice
    sizes = {path.name: path.stat().st_size for path in console.parent.iterdir()}
    assert set(sizes) == {"console.log", "console.log.0"}
    assert max(sizes.values()) <= 64 * 1024


def test_a_machine_outlives_who_writes_its_console(host: PrivateHost, tmp_path: Path) -> None:
    host.start()
    console = tmp_path / "logs" / "console.log"
    start_talker(host, console)
    wait_until(lambda: console.exists() and console.stat().st_size > 1000)
    os.kill(next(pid for pid, name in processes(host).items() if name == "virtlogd"), signal.SIGKILL)
    wait_until(lambda: "virtlogd" not in processes(host).values())
    host.start()
    assert "virtlogd" in processes(host).values()
    with host.hypervisor() as hypervisor:
        assert hypervisor.state("talker") == "running"
        hypervisor.power_off("talker")
        console.write_bytes(b"of the boot before\n")
        hypervisor.start("talker")
    wait_until(lambda: console.stat().st_size > 1000)
    assert b"of the boot before" not in console.read_bytes()  # who looks for a panic relies on it


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(true: Callable[[], bool], limit_s: float = 20) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)
