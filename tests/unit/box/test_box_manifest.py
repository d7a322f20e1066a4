from pathlib import Path

import pytest

from lab.base import resources
from lab.base.errors import HostError
from lab.box.definition import BoxSpec, load_definition
from lab.box.manifest import SCRIPTS, Inputs, inputs_of, needs_rebuild, tool_versions

TOOLS = {"mmdebstrap": "1.3.5"}

BUILT = Inputs(
    suite="bookworm",
    requested=("nova-api", "sudo"),
    definition="d1",
    scripts={"assemble.sh": "a1", "finish.sh": "f1"},
    tools=TOOLS,
    key="SHA256:k1",
)


def test_the_same_inputs_need_nothing() -> None:
    assert needs_rebuild(BUILT, BUILT.model_copy()) is None


def test_without_a_box() -> None:
    assert needs_rebuild(None, BUILT) == "no such box yet"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"requested": ("nova-api", "nova-serialproxy", "sudo")}, "package list changed: + nova-serialproxy"),
        ({"requested": ("sudo", "vim")}, "package list changed: + vim, - nova-api"),
        ({"definition": "d2"}, "box definition of bookworm changed"),
        ({"scripts": {"assemble.sh": "a2", "finish.sh": "f1"}}, "build script assemble.sh changed"),
        ({"scripts": {"finish.sh": "f1"}}, "build script assemble.sh changed"),
        ({"tools": {"mmdebstrap": "1.4.0"}}, "tool changed: mmdebstrap 1.3.5 → 1.4.0"),
        ({"key": "SHA256:k2"}, "ssh key changed: SHA256:k1 → SHA256:k2"),
        ({"mirror": "http://near.example/debian"}, "mirror changed: of the host → http://near.example/debian"),
        ({"recipe": 99}, "the builder changed: recipe 1 → 99"),
        ({"suite": "trixie"}, "suite changed: bookworm → trixie"),
    ],
)
def test_reasons(change: dict[str, object], reason: str) -> None:
    assert needs_rebuild(BUILT, BUILT.model_copy(update=change)) == reason


def test_a_box_of_another_mirror_serves_who_names_none() -> None:
    assert needs_rebuild(BUILT.model_copy(update={"mirror": "http://near.example/debian"}), BUILT) is None


def test_a_box_that_opens_to_the_published_key_is_out_of_date() -> None:
    reason = needs_rebuild(BUILT.model_copy(update={"key": ""}), BUILT)
    assert reason == "ssh key changed: the one that Vagrant publishes → SHA256:k1"


def test_a_long_difference_is_cut() -> None:
    many = tuple(f"p{n:02d}" for n in range(20))
    reason = needs_rebuild(BUILT.model_copy(update={"requested": ()}), BUILT.model_copy(update={"requested": many}))
    assert reason is not None
    assert reason.endswith("+ p07, and 12 more")


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    (tmp_path / "base").mkdir()
    for name in (*SCRIPTS, "bookworm.yaml", "base/debian.yaml"):
        (tmp_path / name).write_bytes((resources.BOXES / name).read_bytes())
    return tmp_path


def gathered(boxes: Path) -> Inputs:
    spec = BoxSpec(name="box", suite="bookworm", release="zed", role="controller", packages=("nova-api",))
    return inputs_of(load_definition("bookworm", boxes), spec, TOOLS, None, key="", boxes=boxes)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_counts(boxes: Path, name: str) -> None:
    before = gathered(boxes)
    with (boxes / name).open("a") as file:
        file.write("# changed\n")
    assert needs_rebuild(before, gathered(boxes)) == f"build script {name} changed"


def test_a_comment_in_the_definition_does_not_count_and_a_setting_does(boxes: Path) -> None:
    before = gathered(boxes)
    file = boxes / "base" / "debian.yaml"
    file.write_text(file.read_text() + "# a comment\n")
    assert needs_rebuild(before, gathered(boxes)) is None
    file.write_text(file.read_text().replace("mitigations=off", "mitigations=auto"))
    assert needs_rebuild(before, gathered(boxes)) == "box definition of bookworm changed"


def test_a_package_in_the_definition_is_named(boxes: Path) -> None:
    before = gathered(boxes)
    file = boxes / "base" / "debian.yaml"
    file.write_text(file.read_text().replace("  - lsof\n", "  - htop\n"))
    assert needs_rebuild(before, gathered(boxes)) == "package list changed: + htop, - lsof"


def test_a_missing_tool_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="mmdebstrap is not installed") as caught:
        tool_versions()
    assert caught.value.hint == "apt-get install mmdebstrap"


def test_versions_are_read_from_what_tools_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = {
        "mmdebstrap": "echo mmdebstrap 1.3.5",
        "qemu-img": "echo 'qemu-img version 7.2.22 (Debian 1:7.2+dfsg-7)'",
        "mke2fs": "echo 'mke2fs 1.47.0 (5-Feb-2023)' >&2",
        "grub-mkimage": "echo 'grub-mkimage (GRUB) 2.06-13'",
    }
    for name, script in said.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tool_versions() == {"mmdebstrap": "1.3.5", "qemu-img": "7.2.22", "e2fsprogs": "1.47.0", "grub": "2.06-13"}
