"""Taking compute nodes out: the order of things, and who may stop it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, cast

import pytest

from lab.base.errors import MachineError, UsageError
from lab.host.ownership import Own
from lab.host.removal import Removed
from lab.machines.shrink import Leaving, Shrink
from lab.nodes.state import State, StateFile, StepRecord
from lab.terminal.progress import LiveProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

LEAVING = [Leaving("compute2", "demo-compute2"), Leaving("compute3", "demo-compute3")]
RECORD = StepRecord(inputs="x", seconds=1.0, finished="2026-01-01T00:00:00+00:00")


@dataclass
class World:
    """libvirt and ssh in one, and what was done with them."""

    build_dir: Path
    states: dict[str, str]
    silent: set[str] = field(default_factory=set)
    """nodes that run and do not answer"""
    codes: dict[str, int] = field(default_factory=dict)
    leak: str = ""
    done: list[str] = field(default_factory=list)

    # the host
    def hypervisor(self) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def state(self, name: str) -> str:
        return self.states.get(name, "absent")

    def power_off(self, name: str) -> None:
        self.done.append(f"power off {name}")

    def remove(self, domains: Sequence[str]) -> Removed:
        self.done.append(f"remove {' '.join(domains)}")
        return Removed(tuple(domains))

    # ssh
    def nodes(self) -> list[str]:
        return ["controller", "compute1", "compute2", "compute3"]

    def wait_ready(self, node: str, timeout_s: float) -> None:
        assert timeout_s > 0
        if node in self.silent:
            raise MachineError(f"{node} did not answer")

    def run(self, node: str, command: Sequence[str]) -> None:
        assert "nova-compute" in command[-1]
        assert "systemctl disable --now" in command[-1]
        self.done.append(f"stop {node}")

    def stream(self, node: str, command: Sequence[str], hear: Callable[[str], None]) -> int:
        gone, verb, names = command[-3:]
        assert node == "controller"
        hear(f"{verb} said something{self.leak}")
        self.done.append(f"{verb} {names}" + (f" without {gone}" if gone else ""))
        return self.codes.get(verb, 0)

    def forget(self, names: Iterable[str]) -> None:
        self.done.append(f"forget {' '.join(names)}")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, {node.domain: "running" for node in LEAVING})


def mask(text: str) -> str:
    return text.replace("s3cret", "***")


def shrink(world: World) -> Shrink:
    state = StateFile(world.build_dir / "state.json")
    return Shrink(cast("Any", world), cast("Any", world), state, LiveProgress(), 1.0, mask)


def test_out_of_openstack_in_order(world: World) -> None:
    shrink(world).out_of_openstack(LEAVING)
    assert world.done == ["drain compute2 compute3", "stop compute2", "stop compute3", "forget compute2 compute3"]
    assert (
        world.build_dir / "logs/controller/remove-compute.log"
    ).read_text() == "drain said something\nforget said something\n"


def test_a_node_that_hangs_or_is_off_cannot_come_back(world: World) -> None:
    world.silent = {"compute2"}
    world.states["demo-compute3"] = "shut off"
    shrink(world).out_of_openstack(LEAVING)
    assert world.done == [
        "drain compute2 compute3 without compute2 compute3",
        "power off demo-compute2",
        "power off demo-compute3",
        "forget compute2 compute3 without compute2 compute3",
    ]


def test_instances_of_others_stop_it_before_anything_is_changed(world: World) -> None:
    world.codes = {"drain": 3}
    with pytest.raises(UsageError, match="instances run there") as caught:
        shrink(world).out_of_openstack(LEAVING)
    assert world.done == ["drain compute2 compute3"]
    assert "drain said something" in caught.value.detail
    assert "server shelve" in caught.value.hint


@pytest.mark.parametrize("verb", ["drain", "forget"])
def test_a_failure_tells_what_was_said_and_where(world: World, verb: str) -> None:
    world.codes = {verb: 1}
    with pytest.raises(MachineError, match=f"remove-compute {verb} failed") as caught:
        shrink(world).out_of_openstack(LEAVING)
    assert f"{verb} said something" in caught.value.detail
    assert "remove-compute.log" in caught.value.detail


def test_what_is_said_is_kept_without_the_passwords_and_for_nobody_else(world: World) -> None:
    world.codes, world.leak = {"drain": 1}, " with s3cret"
    with pytest.raises(MachineError) as caught:
        shrink(world).out_of_openstack(LEAVING)
    log = world.build_dir / "logs/controller/remove-compute.log"
    assert log.read_text() == "drain said something with ***\n"
    assert log.stat().st_mode & 0o777 == 0o600
    assert "s3cret" not in caught.value.detail


def test_nothing_is_remembered_of_a_machine_that_went(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    file = StateFile(world.build_dir / "state.json")
    file.save(State().with_step("compute1", "10-environment", RECORD).with_step("compute2", "10-environment", RECORD))
    data = world.build_dir / ".vagrant/machines/compute2/libvirt"
    data.mkdir(parents=True)
    (world.build_dir / "logs/compute2").mkdir(parents=True)
    monkeypatch.setattr("lab.machines.shrink.remove", lambda hypervisor, names, **_: hypervisor.remove(names))
    shrink(world).machines(LEAVING, Own(world.build_dir))
    assert world.done == ["forget compute2 compute3", "remove demo-compute2 demo-compute3"]
    assert list(file.load().steps) == ["compute1/10-environment"]
    assert not data.exists()
    assert not (world.build_dir / "logs/compute2").exists()
