"""The wheel holds everything: installed into a fresh virtualenv, away from the checkout, it renders a lab."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*argv: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(a) for a in argv], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command `lab` of a fresh virtualenv that holds the wheel; its dependencies come from this environment."""
    directory = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", directory, ROOT, cwd=directory)
    assert built.returncode == 0, built.stderr
    (wheel,) = directory.glob("*.whl")
    venv = directory / "venv"
    assert run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=directory).returncode == 0
    site = next(venv.glob("lib/python*/site-packages"))
    installed = run(
        sys.executable, "-m", "pip", "--python", venv / "bin" / "python", "install", "--quiet", "--no-deps", wheel,
        cwd=directory, PIP_DISABLE_PIP_VERSION_CHECK="1",
    )  # fmt: skip
    assert installed.returncode == 0, installed.stderr
    ours = next(p for p in sys.path if p.endswith("site-packages"))
    (site / "dependencies.pth").write_text(f"{ours}\n")
    # The editable install of the checkout must not answer in the place of the wheel.
    found = run(venv / "bin" / "python", "-c", "import lab; print(lab.__file__)", cwd=directory)
    assert found.stdout.startswith(str(site)), found.stdout + found.stderr
    return venv / "bin" / "lab"


def test_version(lab: Path, tmp_path: Path) -> None:
    result = run(lab, "--version", cwd=tmp_path)
    assert (result.returncode, result.stdout.split()[0]) == (0, "lab")


def test_renders_a_lab(lab: Path, tmp_path: Path) -> None:
    assert run(lab, "init", "wheel-lab", cwd=tmp_path).returncode == 0
    result = run(lab, "render", cwd=tmp_path, LAB_CACHE=str(tmp_path / "cache"))
    assert result.returncode == 0, result.stderr
    build = tmp_path / ".lab" / "wheel-lab"
    assert json.loads((build / "plan.json").read_text())["name"] == "wheel-lab"
    assert (build / "Vagrantfile").read_text().startswith("#")
    assert (build / "nodes" / "compute1" / "run-step").exists()


def test_completion(lab: Path, tmp_path: Path) -> None:
    result = run(lab, "--show-completion", "bash", cwd=tmp_path, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert result.returncode == 0, result.stderr
    assert "_LAB_COMPLETE" in result.stdout


def test_knows_the_releases_and_their_components(lab: Path, tmp_path: Path) -> None:
    assert "zed" in run(lab, "release", "list", cwd=tmp_path).stdout
    gone = run(lab, "release", "show", "zed", "nova-cert", cwd=tmp_path)
    assert (gone.returncode, "removed in nova 16.0.0" in gone.stderr) == (2, True)
