"""./lab-container, with small programs in the place of podman, docker and sudo, which note how they are called."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from lab.diagnosis.doctor_look import PACKAGES

ROOT = Path(__file__).parents[3]
ENGINE = """#!/bin/sh
# Note the call; `state` says whether there is a container, `alive` whether something of a lab runs in it.
echo "$(basename "$0") $*" >> {place}/calls
case "$1 $2" in
  "container inspect") [ -e {place}/state ] && cat {place}/state || exit 1 ;;
  "image inspect") [ -e {place}/image ] ;;
  "run "*) echo true > {place}/state ;;
  "start "*) echo true > {place}/state ;;
  "rm "*) rm {place}/state ;;
  "info "*) [ -e {place}/open ] ;;
  "exec "*) case "$*" in
    *pgrep*) [ -e {place}/alive ] ;;
    *" lab up"*) exit "$(cat {place}/code 2>/dev/null || echo 0)" ;;
  esac ;;
esac
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    (tmp_path / "user").mkdir()
    (tmp_path / "image").touch()
    for name in ("podman", "docker"):
        program(tmp_path, name, ENGINE.format(place=tmp_path))
    program(tmp_path, "sudo", f'#!/bin/sh\necho "sudo $1" >> {tmp_path}/calls\nshift\nexec "$@"\n')
    program(tmp_path, "id", "#!/bin/sh\necho ${TEST_ID:-0}\n")
    return tmp_path


def program(place: Path, name: str, text: str) -> None:
    (place / "bin" / name).write_text(text)
    (place / "bin" / name).chmod(0o755)


def call(place: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": f"{place / 'bin'}:/usr/bin:/bin", "HOME": str(place), "LAB_CACHE": str(place / "cache"), **environ}
    argv = [str(ROOT / "lab-container"), *words]
    return subprocess.run(argv, cwd=place / "user", env=env, capture_output=True, text=True, check=False)


def calls(place: Path, verb: str = "") -> list[str]:
    lines = (place / "calls").read_text().splitlines() if (place / "calls").exists() else []
    return [line for line in lines if verb in line]


def test_what_is_to_outlive_the_container_is_the_users(place: Path) -> None:
    (place / "user" / "lab.yaml").touch()
    assert call(place, "up", "--to", "20-database").returncode == 0
    (started,) = calls(place, "podman run ")
    user = place / "user"
    for shown in (f"{user}:{user}", f"{place}/cache:{place}/cache", f"{user}/.lab/.machines:/var/lib/compute-lab"):
        assert f"--volume {shown} " in started
    assert started.count("--volume") == 3
    assert "--privileged" in started
    (verb,) = calls(place, " lab up --to 20-database")
    assert f"--workdir {user}" in verb
    assert f"--env LAB_CALLED_AS={ROOT}/lab-container" in verb
    assert (user / ".lab/.machines").is_dir()


def test_a_lab_keeps_its_container_and_the_last_one_takes_it_away(place: Path) -> None:
    (place / "user" / "lab.yaml").touch()
    (place / "alive").touch()
    call(place, "up")
    call(place, "status")
    assert len(calls(place, "podman run ")) == 1
    assert not calls(place, "podman rm ")
    (place / "alive").unlink()
    call(place, "down")
    assert len(calls(place, "podman rm ")) == 1
    assert not (place / "state").exists()


def test_after_a_reboot_the_same_container_starts_again(place: Path) -> None:
    (place / "state").write_text("false\n")
    call(place, "status")
    assert calls(place, "podman start ")
    assert not calls(place, "podman run ")


def test_up_writes_a_spec_where_there_is_none_and_builds_the_image(place: Path) -> None:
    (place / "image").unlink()
    call(place, "up")
    assert [line.split(" lab ")[1] for line in calls(place, " lab ")] == ["init", "up"]
    (built,) = calls(place, "podman build ")
    assert built.endswith(f"--file {ROOT}/Containerfile {ROOT}")
    (place / "calls").unlink()
    call(place, "up", "--file", "other.yaml")
    assert [line.split(" lab ")[1] for line in calls(place, " lab ")] == ["up --file other.yaml"]


def test_the_verbs_exit_code_is_handed_on(place: Path) -> None:
    (place / "user" / "lab.yaml").touch()
    (place / "code").write_text("4")
    assert call(place, "up").returncode == 4


def test_a_proxys_password_is_in_no_command_line(place: Path) -> None:
    call(place, "status", https_proxy="http://ada:secret@proxy:3128")
    assert "--env=https_proxy " in calls(place, " lab status")[0]
    assert "secret" not in (place / "calls").read_text()


@pytest.mark.parametrize(
    ("engine", "is_open", "uses_sudo"), [("podman", True, True), ("docker", True, False), ("docker", False, True)]
)
def test_a_user_needs_sudo_but_where_dockers_daemon_is_open(
    place: Path, engine: str, is_open: bool, uses_sudo: bool
) -> None:
    if is_open:
        (place / "open").touch()
    call(place, "status", LAB_ENGINE=engine, TEST_ID="4711")
    assert bool(calls(place, "sudo ")) == uses_sudo
    verb = calls(place, " lab status")[0]
    assert verb.startswith(f"{engine} exec")
    assert "--env SUDO_UID=4711" in verb


def test_podman_comes_before_docker(place: Path) -> None:
    call(place, "status")
    assert not calls(place, "docker ")
    (place / "calls").unlink()
    call(place, "status", LAB_ENGINE="docker")
    assert calls(place, "docker exec")


def test_without_an_engine_it_says_so(place: Path) -> None:
    said = call(place, "up", LAB_ENGINE="no-such-engine")
    assert said.returncode == 3
    assert "install one of them" in said.stderr


def test_a_colon_in_the_path_is_refused_in_one_line(place: Path) -> None:
    said = call(place, "up", LAB_CACHE="/a:b")
    assert said.returncode == 3
    assert said.stderr.count("\n") == 1
    assert not calls(place)


def test_without_a_verb_it_explains_itself() -> None:
    said = subprocess.run([str(ROOT / "lab-container")], capture_output=True, text=True, check=False)
    assert said.returncode == 2
    assert "./lab-container up" in said.stdout
    assert "set -e" not in said.stdout


def test_the_image_has_every_file_that_the_wheel_has() -> None:
    """What lab.base.resources finds at the top of the tree must be in the image too."""
    import tomllib

    included = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    text = (ROOT / "Containerfile").read_text()
    for path in (*included["force-include"], *included["packages"]):
        assert f"COPY {path} {path}\n" in text or f" {path} " in text, path


def test_the_image_has_all_that_the_doctor_and_make_ask_for() -> None:
    text = (ROOT / "Containerfile").read_text()
    installed = set(text.partition("--no-install-recommends")[2].partition("&&")[0].replace("\\", " ").split())
    setup = re.search(r"^SETUP_PACKAGES := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert setup is not None
    assert {package.name for package in PACKAGES} | set(setup[1].split()) <= installed
