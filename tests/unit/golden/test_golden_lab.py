"""A golden lab from a lab on libvirt's test driver, and a lab from it, without ssh; failures at each point."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from recorded_progress import RecordedProgress
from sample_plans import SECRETS, sample_plan

from lab.base import builddir
from lab.base.durable import write_text
from lab.base.errors import HostError, MachineError, UsageError
from lab.checkpoint import recovery, save_restore
from lab.checkpoint.memory_and_disks import Machines
from lab.checkpoint.store import Checkpoints
from lab.generator.render import render
from lab.golden import disks, mark
from lab.golden import fit as fitting
from lab.golden import provide as providing
from lab.golden import save as saving
from lab.golden.digest import Machine, parts_of
from lab.golden.mark import Mark
from lab.golden.store import Golden, GoldenLabs
from lab.host import capacity, fence, records
from lab.host.libvirt import Hypervisor
from lab.host.ownership import Own
from lab.host.removal import remove
from lab.nodes.schedule import jobs_of
from lab.nodes.ssh_config import SshConfig
from lab.nodes.state import State, StateFile, StepRecord
from lab.nodes.steps import inputs_digest
from lab.planning.project import Lab
from lab.planning.secrets import Secrets, derive
from lab.verification.proven import checks_digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.planning.plan import Plan

URI = "test:///default"
PLAN = sample_plan().model_copy(update={"overridden_secrets": ()})
SEED = "5e" * 32
MACHINE = Machine("private", "7.2", "9.0", "emulated")
DOMAIN = """<domain type='test'><name>{name}</name><description>Source: {build}/Vagrantfile</description>
<memory unit='MiB'>64</memory><os><type>hvm</type></os>
<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{pool}/{name}.img'/>
<target dev='vda' bus='virtio'/></disk>{interfaces}</devices></domain>"""
INTERFACE = "<interface type='network'><mac address='{mac}'/><source network='{network}'/></interface>"
pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="no qemu-img")


class TestHost:
    """A host whose libvirt is the test driver, and whose pool is a directory of the test."""

    __test__ = False
    name = reason = uri = URI
    mode = "system"

    def __init__(self, pool: Path) -> None:
        self.pool_dir = pool

    def start(self) -> None:
        """Nothing to start."""

    def enter(self) -> None:
        """Nowhere to enter."""

    def hypervisor(self) -> Hypervisor:
        return _Quiet(URI, exclusive=True)


class _Quiet(Hypervisor):
    """The test driver's pools have no files."""

    def refresh_pool(self, name: str = "") -> None:
        """Nothing to refresh."""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = TestHost(tmp_path / "pool")
    made.pool_dir.mkdir()
    monkeypatch.setattr(save_restore, "own_host", lambda *_: made)
    monkeypatch.setattr(save_restore, "step_clocks", lambda *_: {"controller": 0.0})
    monkeypatch.setattr(recovery, "step_clocks", lambda *_: {"controller": 0.0})
    monkeypatch.setattr(capacity, "memory_mib", lambda: (24000, 20000))
    monkeypatch.setattr(records, "STATE_ROOT", tmp_path / "records")
    monkeypatch.setattr(fence, "close", lambda *_: "")
    monkeypatch.setattr(saving, "_slim", lambda _: None)
    monkeypatch.setattr(saving, "list_boxes", list)
    monkeypatch.setattr(saving, "today", lambda plan, files, *_: parts_of(plan, files, {}, MACHINE))
    monkeypatch.setattr(Machines, "take_disks", _snapshots(made.pool_dir, Machines.take_disks))
    return made


def _snapshots(pool: Path, take: Any) -> Any:
    """The test driver makes no snapshot inside a file: qemu-img does."""

    def take_disks(self: Machines, tag: str) -> Any:
        for node in self._nodes.values():
            subprocess.run(["qemu-img", "snapshot", "-c", tag, str(pool / f"{node}.img")], check=True)
        return take(self, tag)

    return take_disks


def image(path: Path, base: Path | None = None) -> None:
    onto = ["-F", "qcow2", "-b", str(base)] if base else []
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *onto, str(path), "8M"], check=True)


@pytest.fixture
def lab(tmp_path: Path, host: Any) -> Iterator[Lab]:
    """A verified lab of two machines that run, each on top of its box's image."""
    build = tmp_path / "build"
    build.mkdir(mode=0o700)
    secrets = Secrets({name: derive(SEED, name) for name in SECRETS})
    fill(build, PLAN, secrets)
    with Hypervisor(URI, exclusive=True) as kept:  # while one connection is open, the driver keeps what it has
        for node in PLAN.nodes:
            base = host.pool_dir / f"{node.role}_vagrant_box_image_2026.1.1_box.img"
            image(base)
            image(host.pool_dir / f"{node.domain}.img", base)
            interfaces = "".join(INTERFACE.format(mac=nic.mac, network=f"demo-{nic.network}") for nic in node.nics)
            text = DOMAIN.format(name=node.domain, build=build, pool=host.pool_dir, interfaces=interfaces)
            kept.connection.defineXML(text).create()
        yield Lab(build, PLAN, secrets)
        remove(kept, [n.domain for n in PLAN.nodes], [n.name for n in PLAN.networks], own=Own(build))


def fill(build: Path, plan: Plan, secrets: Secrets) -> None:
    builddir.claim(build)
    files = render(plan, secrets)
    write_text(build / "plan.json", plan.model_dump_json(), mode=0o600)
    write_text(build / "seed", f"{SEED}\n", mode=0o600)
    done = {
        f"{job.node}/{job.step}": StepRecord(
            inputs=inputs_digest(files, job), seconds=1.0, finished="2026-01-01T00:00:00"
        )
        for job in jobs_of(plan)
    }
    verified = {step.id: checks_digest(plan, step.id) for step in plan.steps}
    StateFile(build / "state.json").save(State(steps=done, verified=verified))
    for node in plan.nodes:
        data = mark.vagrants(build, node.name)
        data.mkdir(parents=True)
        (data / "id").write_text("x")
        (data / "private_key").write_text("KEY")
    hosts = (f"Host {node.name}\n  HostName 192.168.121.{n}\n  User vagrant" for n, node in enumerate(plan.nodes, 10))
    SshConfig(build).add("\n".join(hosts))


@pytest.fixture
def store(tmp_path: Path) -> GoldenLabs:
    return GoldenLabs(tmp_path / "cache", state_root=tmp_path / "hosts")


def save(lab: Lab, host: Any, store: GoldenLabs) -> Golden:
    return saving.save(lab, host, store, RecordedProgress())


def states() -> set[str]:
    with Hypervisor(URI, exclusive=True) as hypervisor:
        return set(hypervisor.states(node.domain for node in PLAN.nodes).values())


def test_a_golden_lab_has_all_and_the_lab_runs_on(lab: Lab, host: Any, store: GoldenLabs) -> None:
    golden = save(lab, host, store)
    assert golden.name.startswith("zed-")
    assert golden.name == saving.name_of(lab, host)
    assert states() == {"running"}
    assert not Checkpoints(lab.build_dir).complete()
    names = {path.relative_to(golden.directory).as_posix() for path in golden.directory.rglob("*") if path.is_file()}
    assert names >= {
        *("manifest.json", "plan.json", "state.json", "seed", "ssh_config"),
        *("controller.mem", "controller.xml", "compute1.mem", "vagrant/compute1/private_key"),
        *("disks/controller.qcow2", "disks/compute1.qcow2"),
        *("disks/controller_vagrant_box_image_2026.1.1_box.img", "disks/compute_vagrant_box_image_2026.1.1_box.img"),
    }
    open_to_others = [p for p in golden.directory.iterdir() if p.is_file() and p.stat().st_mode & 0o077]
    assert open_to_others == []
    assert golden.damage() == ""
    with pytest.raises(UsageError, match=f"golden lab {golden.name} exists"):
        save(lab, host, store)


def test_only_a_verified_lab_becomes_golden(lab: Lab, host: Any, store: GoldenLabs) -> None:
    file = StateFile(lab.build_dir / "state.json")
    state = file.load()
    for worse in (state.model_copy(update={"verified": {}}), State()):
        file.save(worse)
        with pytest.raises(UsageError, match="only a complete lab whose checks have all passed"):
            save(lab, host, store)
    file.save(state)
    mark.save(lab.build_dir, Mark(golden="zed-1", complete=True))
    with pytest.raises(UsageError, match="was made from golden lab zed-1"):
        save(lab, host, store)
    assert store.complete() == []


@pytest.mark.parametrize("where", ["begin", "take", "keep_base", "freeze", "_link", "finish"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "ctrl-c"])
def test_a_save_that_fails_leaves_nothing(
    where: str, error: BaseException, lab: Lab, host: Any, store: GoldenLabs, monkeypatch: pytest.MonkeyPatch
) -> None:
    at: dict[str, Any] = {"begin": GoldenLabs, "finish": GoldenLabs, "take": save_restore, "_link": saving}
    target = at.get(where, disks)

    def fail(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(target, where, fail)
        expected = HostError if isinstance(error, OSError) else type(error)
        with pytest.raises(expected):
            save(lab, host, store)
    assert (store.complete(), store.half_written()) == ([], [])
    assert not Checkpoints(lab.build_dir).complete()
    assert states() == {"running"}
    save(lab, host, store)


def test_what_a_killed_save_left_goes_with_the_next(
    lab: Lab, host: Any, store: GoldenLabs, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """As a kill -9: nothing of the program runs after it."""

    def end(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(disks, "freeze", end)
        patch.setattr(save_restore, "drop", end)
        patch.setattr(GoldenLabs, "abandon", lambda *_: None)
        with pytest.raises(Killed):
            save(lab, host, store)
    assert len(store.half_written()) == len(Checkpoints(lab.build_dir).complete()) == 1
    golden = save(lab, host, store)
    assert (store.half_written(), Checkpoints(lab.build_dir).complete()) == ([], [])
    assert golden.damage() == ""


def test_no_room(lab: Lab, host: Any, store: GoldenLabs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machines, "memory_mib", lambda _: 10**9)
    with pytest.raises(HostError, match=r"no space for a golden lab in .*: found \d+ MiB free, expected 1\d+ MiB"):
        save(lab, host, store)
    assert store.complete() == []


# --- A lab from it


@pytest.fixture
def second(lab: Lab, host: Any, store: GoldenLabs, tmp_path: Path) -> tuple[Lab, fitting.Fit]:
    """The first lab is gone; another one is to be in its place: the test driver restores no other description."""
    golden = save(lab, host, store)
    with Hypervisor(URI, exclusive=True) as hypervisor:
        remove(hypervisor, [n.domain for n in PLAN.nodes], [n.name for n in PLAN.networks], own=Own(lab.build_dir))
    for path in host.pool_dir.iterdir():
        path.unlink()
    build = lab.build_dir.rename(tmp_path / "gone").with_name("build")
    builddir.claim(build)
    now = parts_of(PLAN, render(PLAN, lab.secrets), {}, MACHINE)
    return Lab(build, PLAN, lab.secrets), fitting.fit(golden, now)


def test_a_lab_runs_from_the_memory_of_a_golden_one(second: tuple[Lab, fitting.Fit], host: Any) -> None:
    lab, fit = second
    assert fit.serves
    said: list[str] = []
    assert providing.provide(lab, host, fit, said.append)
    assert (states(), said) == ({"running"}, [])
    assert SshConfig(lab.build_dir).nodes() == [node.name for node in PLAN.nodes]
    key = mark.vagrants(lab.build_dir, "controller") / "private_key"
    assert f'IdentityFile "{key}"' in (lab.build_dir / "ssh_config").read_text()
    assert key.stat().st_mode & 0o777 == 0o600
    with Hypervisor(URI, exclusive=True) as hypervisor:
        for node in PLAN.nodes:
            assert hypervisor.foreign_domains([node.domain], lab.build_dir) == []
            assert (mark.vagrants(lab.build_dir, node.name) / "id").read_text() == hypervisor.uuid(node.domain)
    assert len(StateFile(lab.build_dir / "state.json").load().steps) == len(jobs_of(PLAN))
    assert mark.load(lab.build_dir) == Mark(golden=fit.golden.name, complete=True)
    assert fit.golden.damage() == ""


def test_without_fitting_memory_the_machines_are_there_and_off(second: tuple[Lab, fitting.Fit], host: Any) -> None:
    lab, fit = second
    said: list[str] = []
    assert not providing.provide(lab, host, replace(fit, no_memory=("QEMU: 7.2 -> 10.0",)), said.append)
    assert states() == {"shut off"}
    assert SshConfig(lab.build_dir).nodes() == []  # their addresses are found when they have booted
    assert said == [f"no memory of golden lab {fit.golden.name} (QEMU: 7.2 -> 10.0): its disks boot instead"]


def test_memory_that_libvirt_refuses_is_as_none(second: tuple[Lab, fitting.Fit], host: Any) -> None:
    lab, fit = second
    (fit.golden.directory / "compute1.mem").write_bytes(b"of another QEMU")
    said: list[str] = []
    assert not providing.provide(lab, host, fit, said.append)
    assert states() == {"shut off"}
    assert "libvirt refuses the memory" in said[0]


def test_a_golden_lab_that_lacks_an_address_is_damaged(second: tuple[Lab, fitting.Fit], host: Any) -> None:
    lab, fit = second
    (fit.golden.directory / "ssh_config").write_text("Host controller\n  HostName 192.168.121.10\n")
    with pytest.raises(MachineError, match=r"is damaged: its ssh_config does not name compute1"):
        providing.provide(lab, host, fit, print)
    assert mark.load(lab.build_dir) == Mark(golden=fit.golden.name)  # so the caller, or the next `lab up`, undoes it


@pytest.mark.parametrize("where", ["_make_machines", "_define", "_restore"])
def test_what_was_cut_short_is_removed_and_made_again(
    where: str, second: tuple[Lab, fitting.Fit], host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, fit = second
    original = getattr(providing, where)

    def end(*arguments: Any) -> None:
        original(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(providing, where, end)
        with pytest.raises(KeyboardInterrupt):
            providing.provide(lab, host, fit, print)
    assert mark.load(lab.build_dir) == Mark(golden=fit.golden.name)
    providing.undo(lab, host)
    assert states() == {"absent"}
    assert mark.load(lab.build_dir) is None
    assert not (lab.build_dir / "state.json").exists()
    for path in host.pool_dir.glob("demo-*"):  # the test driver's pool has no volumes to remove
        path.unlink()
    assert providing.provide(lab, host, fit, print)


def test_an_image_that_other_machines_are_on_top_of_is_not_replaced(second: tuple[Lab, fitting.Fit], host: Any) -> None:
    lab, fit = second
    other = host.pool_dir / "compute_vagrant_box_image_2026.1.1_box.img"
    other.write_bytes(b"of another box of that version")
    with pytest.raises(MachineError, match="is another image than the golden lab's"):
        providing.provide(lab, host, fit, print)
    assert other.read_bytes() == b"of another box of that version"
    other.unlink()
    providing.undo(lab, host)
    for path in host.pool_dir.glob("demo-*"):
        path.unlink()
    assert providing.provide(lab, host, fit, print)


def test_a_damaged_golden_lab_does_not_serve(second: tuple[Lab, fitting.Fit], host: Any) -> None:
    lab, fit = second
    (fit.golden.directory / "controller.xml").write_text("<domain")
    with pytest.raises(MachineError, match=r"is damaged: controller\.xml") as caught:
        providing.provide(lab, host, fit, print)
    assert "--no-golden" in caught.value.hint
    (fit.golden.disks / "compute1.qcow2").unlink()
    now = parts_of(PLAN, render(PLAN, lab.secrets), {}, MACHINE)
    assert fitting.fit(fit.golden, now).other == ("damaged: compute1.qcow2 is missing",)


def test_other_passwords_do_not_serve(second: tuple[Lab, fitting.Fit]) -> None:
    lab, fit = second
    seed = lab.build_dir / "seed"
    assert fitting.why_other_passwords(fit.golden, PLAN, {}, seed) == ""
    assert "the spec sets others" in fitting.why_other_passwords(fit.golden, PLAN, {"ADMIN_PASS": "mine"}, seed)
    write_text(seed, "00" * 32, mode=0o600)
    assert "is another seed" in fitting.why_other_passwords(fit.golden, PLAN, {}, seed)


def test_of_other_labs_the_nearest_is_named(second: tuple[Lab, fitting.Fit]) -> None:
    lab, fit = second
    other = PLAN.model_copy(update={"release": "epoxy"})
    found = fitting.fit(fit.golden, parts_of(other, render(other, lab.secrets), {}, MACHINE))
    assert found.other == ("release: zed -> epoxy",)
    assert sorted([found, fit], key=fitting.order) == [fit, found]
