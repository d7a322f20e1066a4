"""Whose the files are that root makes for a user, and what one is told who lacks the rights."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from lab.base import quoting, rights
from lab.base.errors import HostError, LabError, UsageError

ROOT = Path(__file__).resolve().parents[3]
USER = 54321
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root, called by a user."""
    monkeypatch.setenv("SUDO_UID", str(USER))
    monkeypatch.setenv("SUDO_GID", str(USER))
    monkeypatch.setattr(rights, "_made", [])


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    place = tmp_path / "checkout"
    place.mkdir()
    os.chown(place, USER, USER)
    return place


def owner(path: Path) -> int:
    return path.lstat().st_uid


def build_in(place: Path) -> Path:
    build = place / ".lab" / "demo"
    (build / "nodes").mkdir(parents=True)
    (build / "nodes" / "env").write_text("secret")
    return build


@as_root
def test_what_root_makes_in_a_users_checkout_is_the_users(sudo: None, checkout: Path) -> None:
    build = build_in(checkout)
    rights.made(build)
    rights.hand_over()
    assert {owner(path) for path in (checkout / ".lab", build, *build.rglob("*"))} == {USER}


@as_root
def test_nothing_is_given_away_outside_a_directory_of_the_user(sudo: None, tmp_path: Path, checkout: Path) -> None:
    roots = build_in(tmp_path / "opt")
    outside = tmp_path / "shadow"
    outside.write_text("root's")
    build = build_in(checkout)
    (build / "link").symlink_to(outside)
    (build / "door").symlink_to(tmp_path / "opt")
    os.link(outside, build / "hard")
    for path in (roots, build, checkout / "x" / "y"):
        rights.made(path)
    rights.hand_over()
    assert {owner(path) for path in (outside, build / "hard", roots, roots / "nodes" / "env")} == {0}
    assert owner(build / "link") == USER  # the link itself


@as_root
def test_root_itself_gives_nothing_away(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    monkeypatch.setattr(rights, "_made", [build_in(checkout)])
    rights.hand_over()
    assert owner(checkout / ".lab") == 0


def called_as(monkeypatch: pytest.MonkeyPatch, *argv: str) -> None:
    monkeypatch.setattr("sys.argv", list(argv))


def test_the_same_with_sudo_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_CACHE", "/a b")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    called_as(monkeypatch, str(tmp_path / ".venv/bin/lab"), "status", "--file", "Bob's lab.yaml")
    said = rights.same_with_sudo()
    assert shlex.split(said) == [
        "sudo", "--preserve-env=LAB_CACHE", ".venv/bin/lab", "status", "--file", "Bob's lab.yaml",
    ]  # fmt: skip


def test_advice_calls_lab_as_it_was_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    called_as(monkeypatch, ".venv/bin/lab", "doctor")
    monkeypatch.delenv("SUDO_UID", raising=False)
    advice = "lab exec -- virsh reset demo-compute1 && lab up\nlab ssh controller -- 'sudo /opt/lab/run-step x'"
    assert rights.as_called(advice, "--file x.yaml") == (
        ".venv/bin/lab exec --file x.yaml -- virsh reset demo-compute1 && .venv/bin/lab up --file x.yaml\n"
        ".venv/bin/lab ssh --file x.yaml controller -- 'sudo /opt/lab/run-step x'"
    )


def test_in_a_container_advice_names_the_command_outside(sudo: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CALLED_AS", "./lab-container")
    called_as(monkeypatch, "/usr/local/bin/lab", "status")
    assert rights.as_called("run `lab up`") == "run `./lab-container up`"
    assert rights.same_with_sudo() == "./lab-container status"


@pytest.mark.parametrize(
    ("number", "path", "kind", "hint"),
    [
        (errno.ENOENT, "no/such/lab.yaml", UsageError, "mkdir -p"),
        (errno.ENOTDIR, "file/x", UsageError, "another place"),
        (errno.ENAMETOOLONG, "x" * 300, UsageError, "another place"),
        (errno.EROFS, "/ro/x", HostError, "read-only"),
        (errno.EACCES, "/proc/1/x", HostError, ""),
        (errno.ENOSPC, "/full/x", HostError, "free some"),
        (errno.EMFILE, None, HostError, "ulimit"),
    ],
)
def test_what_the_system_refuses_is_one_message(number: int, path: str | None, kind: type[LabError], hint: str) -> None:
    told = rights.explained(OSError(number, os.strerror(number), path))
    assert type(told) is kind
    assert hint in told.hint
    assert path is None or path in told.message
    assert "\n" not in told.message


def test_a_defect_stays_one() -> None:
    assert rights.explained(OSError(errno.EBADF, "Bad file descriptor")) is None
    assert rights.explained(OSError(errno.EINVAL, "Invalid argument", "x")) is None
    own = Path(rights.__file__).parents[1] / "releases" / "gone.yaml"
    assert rights.explained(FileNotFoundError(errno.ENOENT, "No such file or directory", str(own))) is None


def test_a_directory_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "gone"
    place.mkdir()
    monkeypatch.chdir(place)
    place.rmdir()
    told = rights.explained(FileNotFoundError(errno.ENOENT, "No such file or directory"))
    assert told is not None
    assert "current directory" in told.message


@pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh")
@pytest.mark.parametrize("name", ["R&D", "Bob's labs", "feature%2Fx", 'say "hi"', "back\\slash", "é"])
def test_ssh_takes_a_path_as_it_is(name: str, tmp_path: Path) -> None:
    place = tmp_path / name / "known"
    config = tmp_path / "config"
    config.write_text(f"Host a\n  ControlPath {quoting.ssh_config_value(place)}\n")
    said = subprocess.run(["ssh", "-F", str(config), "-G", "a"], capture_output=True, text=True, check=True).stdout
    assert f"controlpath {place}\n" in said


def test_make_clean_leaves_a_lab_and_says_so(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for directory in (".venv/bin", "lab/__pycache__", ".mypy_cache", ".lab/demo", ".lab/old"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / ".lab/demo/plan.json").touch()
    said = subprocess.run(["make", "clean"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lab", "Makefile", "lab"]
    assert list((tmp_path / "lab").iterdir()) == []
    assert ".lab/demo/ stays: a lab. Run: make lab-down" in said
    assert ".lab/old/ stays: the seed" in said
