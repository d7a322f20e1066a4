"""`lab list` and `lab down --lab`: labs are found without their build directories, and nobody else's are touched."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from sample_plans import sample_plan
from typer.testing import CliRunner

from lab.base import builddir
from lab.checkpoint.store import Manifest
from lab.cli.main import app
from lab.host import host as hosts
from lab.host import private_view, records
from lab.host.libvirt import Hypervisor
from lab.verbs import labs

if TYPE_CHECKING:
    from pathlib import Path

PLAN = sample_plan()
DOMAIN = """<domain type='test'><name>demo-{node}</name><title>OpenStack Compute lab demo {node}</title>
<description>Source: {build}/Vagrantfile</description><memory>65536</memory><os><type>hvm</type></os></domain>"""
NETWORK = (
    f"<network><name>demo-management</name><bridge name='{PLAN.networks[1].bridge}'/>"
    "<ip address='10.0.0.1' netmask='255.255.0.0'/></network>"
)
POOL = "<pool type='dir'><name>default</name><target><path>/default-pool</path></target></pool>"


def lab(*argv: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(argv))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.fixture(autouse=True)
def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(records, "STATE_ROOT", tmp_path / "state")
    monkeypatch.setattr(private_view, "NETNS_DIR", tmp_path / "netns")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for module in (hosts, labs):
        monkeypatch.setattr(module, "SYSTEM_URI", "test:///nowhere/at/all")


def recorded(tmp_path: Path, build: str, mode: str = "private") -> str:
    """Make a lab's build directory and record; give its key."""
    builddir.claim(tmp_path / build)
    (tmp_path / build / "plan.json").write_text(PLAN.model_dump_json())
    record = records.record_of(PLAN, tmp_path / build, mode)
    records.save(record)
    return record.key


def test_no_labs() -> None:
    assert lab("list") == (0, "no labs on this machine\n")
    assert lab("list", "--json") == (0, "[]\n")


def test_a_lab_is_listed_until_it_is_down(tmp_path: Path) -> None:
    key = recorded(tmp_path, "build")
    (row,) = json.loads(lab("list", "--json")[1])
    assert row["key"] == key
    assert row["name"] == "demo"
    assert row["release"] == "zed"
    assert row["build_dir"] == str(tmp_path / "build")
    assert row["build_dir_exists"] is True
    assert row["mode"] == "private"
    assert lab("down", "--lab", "demo")[0] == 0
    assert lab("list", "--json")[1] == "[]\n"
    assert not (tmp_path / "state").exists()


def test_a_lab_that_was_put_away_says_what_brings_it_back(tmp_path: Path) -> None:
    key = recorded(tmp_path, "build")
    (tmp_path / "build" / "checkpoints" / "one").mkdir(parents=True)
    manifest = tmp_path / "build" / "checkpoints" / "one" / "manifest.json"
    manifest.write_text(Manifest(created=0.0, running=True, steps=()).model_dump_json())
    qemu = tmp_path / "state" / key / "host" / "etc" / "qemu"
    qemu.mkdir(parents=True)
    assert "private: put away\n" in lab("list")[1]
    assert "`lab checkpoint restore NAME` restores it" in lab("list")[1]
    (qemu / "demo-controller.xml").touch()  # the machine was rebooted: nobody took the lab away
    assert "its libvirtd does not run: `lab resume`" in lab("list")[1]


def test_a_lab_whose_directory_is_gone_is_left_over_and_can_be_removed(tmp_path: Path) -> None:
    key = recorded(tmp_path, "build")
    shutil.rmtree(tmp_path / "build")
    (row,) = json.loads(lab("list", "--json")[1])
    assert (row["state"], row["build_dir_exists"]) == ("left over", False)
    assert lab("down", "--lab", key) == (0, f"lab {key} was removed\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == []


def test_a_private_host_without_a_record_is_found_by_what_is_left_of_it(tmp_path: Path) -> None:
    (tmp_path / "state" / "old-lab-0123abcd").mkdir(parents=True)
    (tmp_path / "netns").mkdir()
    (tmp_path / "netns" / "lab-older-4567cdef").touch()
    (tmp_path / "netns" / "somebody-elses").touch()
    rows = json.loads(lab("list", "--json")[1])
    assert [(row["name"], row["key"]) for row in rows] == [
        ("old-lab", "old-lab-0123abcd"),
        ("older", "older-4567cdef"),
    ]
    assert lab("down", "--lab", "old-lab")[0] == 0
    assert not (tmp_path / "state").exists()


def test_a_record_that_cannot_be_read_is_a_lab_all_the_same(tmp_path: Path) -> None:
    key = recorded(tmp_path, "build")
    path = tmp_path / "state" / f"{key}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 2}))
    (row,) = json.loads(lab("list", "--json")[1])
    assert (row["key"], row["name"], row["release"]) == (key, "demo", "")


def test_an_ambiguous_name_lists_the_candidates_and_changes_nothing(tmp_path: Path) -> None:
    keys = [recorded(tmp_path, build) for build in ("one", "two")]
    code, text = lab("down", "--lab", "demo")
    assert code == 2
    assert "2 labs are named demo" in text
    assert all(key in text for key in keys)
    assert str(tmp_path / "two") in text
    assert records.known_keys() == sorted(keys)
    assert lab("down", "--lab", str(tmp_path / "one"))[0] == 0
    assert records.known_keys() == [keys[1]]
    assert lab("down", "--lab", "demo")[0] == 0


def test_an_unknown_name(tmp_path: Path) -> None:
    recorded(tmp_path, "build")
    code, text = lab("down", "--lab", "nobody")
    assert code == 2
    assert "no lab nobody on this machine" in text
    assert "labs: demo" in text


def test_root_alone_knows_the_states_of_a_private_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = recorded(tmp_path, "build")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "user"))
    (row,) = json.loads(lab("list", "--json")[1])
    assert (row["key"], row["states"], row["state"]) == (key, {}, "unknown")
    assert row["trouble"].startswith("only root can see its nodes; run: sudo ")


CHANGING = [
    *("down", "down --lab demo", "halt", "pause", "unpause", "resume", "up --check-only", "verify", "ssh controller"),
    *("exec -- true", "checkpoint save x", "goto 20-database"),
]


@pytest.fixture
def roots_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab that root brought up on a private host, in a directory of the user who called sudo; and that user."""
    (tmp_path / "lab.yaml").write_text("name: demo\nrelease: zed\n")
    key = recorded(tmp_path, ".lab/demo")
    build = tmp_path / ".lab" / "demo"
    (build / "seed").write_text("0" * 64 + "\n")
    (tmp_path / "netns").mkdir()
    (tmp_path / "netns" / f"lab-{key}").touch()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "user"))
    return build


@pytest.mark.parametrize("verb", CHANGING)
def test_a_user_is_told_to_take_sudo_before_anything_is_judged_or_changed(verb: str, roots_lab: Path) -> None:
    before = sorted(path.name for path in roots_lab.rglob("*") if path.name != "lock")
    code, text = lab(*verb.split())
    assert code == 3, text
    assert "hint: run: sudo " in text
    assert sorted(path.name for path in roots_lab.rglob("*") if path.name != "lock") == before


def test_a_user_sees_of_roots_lab_what_needs_no_root(roots_lab: Path) -> None:
    code, text = lab("status")
    assert code == 0
    assert "unknown" in text
    assert "absent" not in text
    assert "run: sudo " in text
    assert lab("secrets")[0] == 0


@pytest.fixture
def libvirt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hypervisor:
    """The system's libvirt, with the lab `demo` of /labs/a on it."""
    domains = "".join(DOMAIN.format(node=node, build="/labs/a") for node in ("controller", "compute1"))
    (tmp_path / "node.xml").write_text(f"<node>{NETWORK}{POOL}{domains}</node>")
    hypervisor = Hypervisor(f"test://{tmp_path}/node.xml")
    # Each connection to the test driver's file is another hypervisor: this one serves everybody.
    monkeypatch.setattr(Hypervisor, "__exit__", lambda *_: None)
    monkeypatch.setattr(labs, "Hypervisor", lambda _uri: hypervisor)
    monkeypatch.setattr(labs, "why_not", lambda _uri: None)
    monkeypatch.setattr(hosts, "why_not", lambda _uri: None)
    monkeypatch.setattr(hosts.SystemHost, "hypervisor", lambda _self: hypervisor)
    return hypervisor


@pytest.mark.usefixtures("libvirt")
def test_labs_without_a_record_are_found_on_the_system_libvirt() -> None:
    (row,) = json.loads(lab("list", "--json")[1])
    assert (row["name"], row["build_dir"], row["mode"]) == ("demo", "/labs/a", "system")
    assert row["states"] == {"controller": "running", "compute1": "running"}
    assert row["state"] == "left over"  # there is no /labs/a


@pytest.mark.usefixtures("libvirt")
def test_a_lab_of_the_system_libvirt_with_a_damaged_record_is_found_there(tmp_path: Path) -> None:
    key = json.loads(lab("list", "--json")[1])[0]["key"]
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / f"{key}.json").touch()
    (row,) = json.loads(lab("list", "--json")[1])
    assert (row["key"], row["build_dir"], row["mode"]) == (key, "/labs/a", "system")
    assert lab("down", "--lab", key)[0] == 0
    assert json.loads(lab("list", "--json")[1]) == []


def test_down_removes_such_a_lab(libvirt: Hypervisor) -> None:
    assert lab("down", "--lab", "/labs/a")[0] == 0
    assert libvirt.domains() == []
    assert libvirt.subnets() == {}


def test_down_leaves_what_only_looks_like_the_labs(libvirt: Hypervisor) -> None:
    connection = libvirt.connection
    pool = connection.storagePoolLookupByName("default")
    pool.createXML("<volume><name>demo-controller.qcow2</name><capacity>1048576</capacity></volume>")
    connection.networkDefineXML(
        "<network><name>demo-access</name><bridge name='br7'/><ip address='10.9.0.1'/></network>"
    )
    code, text = lab("down", "--lab", "/labs/a")
    assert code == 0
    assert "left alone: volume demo-controller.qcow2 was left behind, or is not of this lab" in text
    assert "virsh -c qemu:///system vol-delete demo-controller.qcow2 --pool default" in text
    assert "left alone: network demo-access was not created by this lab" in text
    assert libvirt.volumes() == ["demo-controller.qcow2"]
    assert list(libvirt.subnets()) == ["demo-access"]


def test_down_leaves_the_domains_of_another_lab_of_that_name(libvirt: Hypervisor, tmp_path: Path) -> None:
    key = recorded(tmp_path, "build", "system")
    code, text = lab("down", "--lab", key)
    assert code == 0
    assert "left alone" in text
    assert libvirt.domains() == ["demo-compute1", "demo-controller"]
    assert list(libvirt.subnets()) == ["demo-management"]
    assert records.known_keys() == []


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"\xff\xfe"])
def test_a_damaged_record_hides_no_other_lab(tmp_path: Path, content: bytes) -> None:
    keys = [recorded(tmp_path, build) for build in ("one", "two")]
    (tmp_path / "state" / f"{keys[0]}.json").write_bytes(content)
    rows = {row["key"]: row for row in json.loads(lab("list", "--json")[1])}
    assert rows[keys[0]]["build_dir"] == ""
    assert rows[keys[1]]["build_dir"] == str(tmp_path / "two")
    assert lab("down", "--lab", keys[0])[0] == 0
    assert records.known_keys() == [keys[1]]


def test_a_recorded_directory_that_is_something_else_by_now_is_left_alone(tmp_path: Path) -> None:
    key = recorded(tmp_path, "build")
    shutil.rmtree(tmp_path / "build")
    (tmp_path / "build" / "logs").mkdir(parents=True)
    (tmp_path / "build" / "logs" / "mine").write_text("stays")
    code, text = lab("down", "--lab", key)
    assert code == 0
    assert "not removed, because it belongs to no lab now" in text
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == [
        "build",
        "build/logs",
        "build/logs/mine",
    ]


def test_a_recorded_directory_of_another_lab_by_now_is_left_alone(tmp_path: Path) -> None:
    key = recorded(tmp_path, "build")
    other = PLAN.model_copy(update={"name": "other"})
    (tmp_path / "build" / "plan.json").write_text(other.model_dump_json())
    code, text = lab("down", "--lab", key)
    assert code == 0
    assert "not removed, because it belongs to other now" in text
    assert (tmp_path / "build" / "plan.json").exists()
