"""`make setup` in a checkout that was copied or moved, with small programs in the place of Python and dpkg."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PYTHON = """#!/bin/sh
# python3 -m venv DIRECTORY
mkdir -p "$3/bin"
printf '#!/bin/sh\\n' > "$3/bin/python"
printf '#!/bin/sh\\n# %s/bin/python\\necho "$*" >> installed\\n' "$PWD/$3" > "$3/bin/pip"
chmod +x "$3/bin/python" "$3/bin/pip"
"""


BUSY_APT = """#!/bin/sh
echo "$1" >> {calls}
[ "$1" = update ] && [ "$(wc -l < {calls})" -lt 3 ] || exit {code}
echo "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 4711 (apt-get)"
exit 100
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in {"python3": PYTHON, "dpkg-query": "#!/bin/sh\necho installed\n"}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, checkout)
    shutil.copytree(ROOT / "requirements", checkout / "requirements")
    return checkout


def setup(checkout: Path) -> str:
    environ = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    ran = subprocess.run(["make", "setup"], cwd=checkout, env=environ, capture_output=True, text=True, check=True)
    return ran.stdout


def test_a_virtualenv_that_came_from_another_path_is_made_again(checkout: Path, tmp_path: Path) -> None:
    assert "setting up .venv" in setup(checkout)
    assert "setting up" not in setup(checkout)
    (checkout / ".venv" / "mine").touch()
    copy = tmp_path / "copy"
    shutil.copytree(checkout, copy)
    assert "setting up .venv" in setup(copy)
    assert "setting up" not in setup(copy)
    assert f"{copy}/.venv/bin/python" in (copy / ".venv/bin/pip").read_text()
    assert not (copy / ".venv" / "mine").exists()
    assert (checkout / ".venv" / "mine").exists()  # the original's is its own
    moved = checkout.rename(tmp_path / "moved")
    assert "setting up .venv" in setup(moved)
    assert "setting up" not in setup(moved)


def test_a_setup_that_was_cut_short_goes_on(checkout: Path) -> None:
    setup(checkout)
    (checkout / ".venv" / "mine").touch()
    (checkout / ".venv" / ".ready").unlink()
    assert "setting up .venv" in setup(checkout)
    assert (checkout / ".venv" / "mine").exists()


@pytest.mark.parametrize(("code", "calls"), [(0, ["update"] * 3 + ["install"]), (1, ["update"] * 3)])
def test_another_apt_is_waited_for_and_nothing_else(
    checkout: Path, tmp_path: Path, code: int, calls: list[str]
) -> None:
    noted = tmp_path / "calls"
    programs = {
        "dpkg-query": "#!/bin/sh\nexit 1\n",
        "id": "#!/bin/sh\necho 0\n",
        "sleep": "#!/bin/sh\n",
        "apt-get": BUSY_APT.format(calls=noted, code=code),
    }
    for name, text in programs.items():
        (tmp_path / "programs" / name).write_text(text)
        (tmp_path / "programs" / name).chmod(0o755)
    if code == 0:
        assert setup(checkout).count("waiting for another apt: E: Could not get lock") == 1
    else:
        with pytest.raises(subprocess.CalledProcessError):
            setup(checkout)
    assert noted.read_text().split() == calls


def test_a_machine_without_apt_is_shown_the_container(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fedora := tmp_path / "fedora").mkdir()
    for directory in ("/usr/bin", "/bin"):
        for program in Path(directory).iterdir():
            if program.name not in ("apt-get", "dpkg-query") and not (fedora / program.name).is_symlink():
                (fedora / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(fedora))
    with pytest.raises(subprocess.CalledProcessError) as refused:
        setup(checkout)
    assert "./lab-container up" in refused.value.stderr
