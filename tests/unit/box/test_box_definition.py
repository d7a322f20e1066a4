from pathlib import Path

import pytest

from lab.base.errors import SpecError, UsageError
from lab.box.definition import BoxSpec, all_packages, base_packages, built_suites, load_definition

GOOD = """
suite: bookworm
archives: [bookworm]
keyring: k.gpg
kernel: linux-image-cloud-amd64
cmdline: quiet
packages: [sudo, ssh-server]
role_packages: {compute: [qemu-utils]}
enabled: [ssh]
"""


def spec(**change: object) -> BoxSpec:
    data: dict[str, object] = {"name": "box", "suite": "bookworm", "release": "zed", "role": "compute"}
    data |= {"packages": ("nova-compute",)}
    return BoxSpec.model_validate(data | change)


def test_the_projects_own_definition_is_valid_and_quiet() -> None:
    definition = load_definition("bookworm")
    assert definition.archives[0] == definition.suite
    assert "net.ifnames=0" in definition.cmdline
    assert {"openssh-server", "sudo", "systemd-sysv", "python3"} <= set(definition.packages)
    assert not {u for u in definition.enabled if u.startswith(("nova", "neutron", "mariadb", "rabbitmq", "libvirt"))}


def test_packages_are_the_base_the_roles_own_and_the_steps(tmp_path: Path) -> None:
    (tmp_path / "bookworm.yaml").write_text(GOOD)
    definition = load_definition("bookworm", tmp_path)
    assert base_packages(definition, "controller") == ("linux-image-cloud-amd64", "ssh-server", "sudo")
    assert all_packages(definition, spec(packages=("sudo", "nova-compute"))) == (
        "linux-image-cloud-amd64",
        "nova-compute",
        "qemu-utils",
        "ssh-server",
        "sudo",
    )


def test_an_unknown_suite_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "bookworm.yaml").write_text(GOOD)
    with pytest.raises(UsageError, match="no box definition for sid") as caught:
        load_definition("sid", tmp_path)
    assert caught.value.hint == "known: bookworm"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "kernell: x\n", "kernell"),
        (GOOD.replace("suite: bookworm", "suite: Book/worm"), "suite"),
        (GOOD + "disk_gib: 1\n", "disk_gib"),
        (GOOD.replace("sudo,", '"sudo; reboot",'), "sudo; reboot"),
        (GOOD.replace("compute:", "storage:"), "role_packages.storage"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "bookworm.yaml").write_text(text)
    with pytest.raises(SpecError) as caught:
        load_definition("bookworm", tmp_path)
    assert said in str(caught.value)
    assert "bookworm.yaml" in str(caught.value)


def test_broken_yaml_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "bookworm.yaml").write_text("suite: [bookworm\n")
    with pytest.raises(SpecError, match=r"bookworm\.yaml:2: found broken YAML"):
        load_definition("bookworm", tmp_path)


BASE = """
keyring: k.gpg
kernel: linux-image-cloud-amd64
cmdline: loud
packages: [sudo]
role_packages: {compute: [], controller: [jq]}
enabled: [ssh]
"""
OWN = """
base: family
suite: bookworm
archives: [bookworm]
cmdline: quiet
packages: [ssh-server]
role_packages: {compute: [qemu-utils], controller: []}
"""


def write(directory: Path, *, bookworm: str, family: str = "") -> Path:
    (directory / "base").mkdir()
    (directory / "bookworm.yaml").write_text(bookworm)
    if family:
        (directory / "base" / "family.yaml").write_text(family)
    return directory


def test_a_base_is_the_same_as_its_lines_in_the_file_itself(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = write(
        tmp_path / "whole",
        bookworm=GOOD.replace("{compute: [qemu-utils]}", "{compute: [qemu-utils], controller: [jq]}"),
    )
    split = write(tmp_path, bookworm=OWN, family=BASE)
    assert load_definition("bookworm", split) == load_definition("bookworm", whole)


def test_a_base_is_no_suite(tmp_path: Path) -> None:
    write(tmp_path, bookworm=OWN, family=BASE)
    assert built_suites(tmp_path) == ["bookworm"]
    with pytest.raises(UsageError) as caught:
        load_definition("sid", tmp_path)
    assert caught.value.hint == "known: bookworm"


@pytest.mark.parametrize(
    ("own", "base", "said"),
    [
        (OWN.replace("family", "famly"), BASE, "bookworm.yaml:2: base: found 'famly', expected one of: family"),
        (OWN, BASE + "disk_gib: 1\n", "family.yaml:8: disk_gib: found the number 1, expected at least 4"),
        (OWN + "disk_gib: 1\n", BASE, "bookworm.yaml:8: disk_gib: found the number 1, expected at least 4"),
        (OWN, BASE + "kernell: x\n", "family.yaml:8: kernell: found the unknown key 'kernell'"),
        (OWN + "enabled: [ssh]\n", BASE, "bookworm.yaml:8: enabled[1]: found 'ssh' twice, expected each once"),
        (OWN + "enabled: ssh\n", BASE, "bookworm.yaml:8: enabled: found 'ssh', expected a list"),
        (OWN, "- a list\n", "family.yaml:1: found a list, expected what several files have in common"),
    ],
)
def test_what_is_wrong_about_a_base_is_named_with_its_file(tmp_path: Path, own: str, base: str, said: str) -> None:
    write(tmp_path, bookworm=own, family=base)
    with pytest.raises(SpecError) as caught:
        load_definition("bookworm", tmp_path)
    assert said in str(caught.value)
