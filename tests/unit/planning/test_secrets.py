from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from spec_samples import plan

from lab.base.errors import MachineError
from lab.inputs.values import PASSWORD_PATTERN
from lab.planning.secrets import Secrets, derive, load_or_create_seed, load_seed, read_env

if TYPE_CHECKING:
    from pathlib import Path

SEED = "00" * 32
NAMES = ("ADMIN_PASS", "NOVA_DBPASS", "NOVA_PASS", "RABBIT_PASS")


def test_derived_passwords_never_change() -> None:
    # A change here gives every existing lab other passwords than its services know.
    assert derive(SEED, "NOVA_PASS") == "QpYKtQb41WzvZCLOrB88lJu8"
    assert derive(SEED, "NOVA_DBPASS") != derive(SEED, "NOVA_PASS")
    assert derive("01" * 32, "NOVA_PASS") != derive(SEED, "NOVA_PASS")


def test_derived_passwords_are_fit_for_the_guides_places() -> None:
    for number in range(200):
        value = derive(SEED, f"NAME_{number}")
        assert re.fullmatch(PASSWORD_PATTERN, value)
        assert len(value) == 24


def test_spec_goes_before_the_seed() -> None:
    secrets = Secrets.derive(SEED, NAMES, {"NOVA_PASS": "chosen.by-me"})
    assert secrets["NOVA_PASS"] == "chosen.by-me"
    assert secrets["ADMIN_PASS"] == derive(SEED, "ADMIN_PASS")
    assert tuple(secrets) == NAMES


def test_no_value_in_repr() -> None:
    secrets = Secrets.derive(SEED, NAMES)
    assert repr(secrets) == "Secrets(ADMIN_PASS, NOVA_DBPASS, NOVA_PASS, RABBIT_PASS)"


def test_mask() -> None:
    secrets = Secrets({"SHORT": "password", "LONG": "password-longer"})
    assert secrets.mask("a password-longer b password") == "a ${LONG} b ${SHORT}"


def test_seed_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "seed"
    seed = load_or_create_seed(path)
    assert load_or_create_seed(path) == seed
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["seed"]
    assert load_or_create_seed(tmp_path / "other") != seed


def test_seed_that_others_may_read_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "seed"
    path.write_text(SEED)
    path.chmod(0o644)
    assert load_seed(path) == SEED
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "short", "zz" * 32, SEED + "00"])
def test_damaged_seed_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "seed"
    path.write_text(text)
    with pytest.raises(MachineError, match="is damaged") as caught:
        load_or_create_seed(path)
    assert not text or text not in str(caught.value)


def test_of_build_dir_takes_the_specs_own_from_the_node(tmp_path: Path) -> None:
    (tmp_path / "seed").write_text(SEED)
    decided = plan(passwords={"NOVA_PASS": "chosen.by-me"})
    env = tmp_path / "nodes" / "controller" / "env"
    env.parent.mkdir(parents=True)
    env.write_text("LAB_COMPUTES='compute1 compute2'\nNOVA_PASS=chosen.by-me\nADMIN_PASS=stale-and-wrong\n")
    secrets = Secrets.of_build_dir(tmp_path, decided)
    assert dict(secrets) == dict(Secrets.derive(SEED, NAMES, {"NOVA_PASS": "chosen.by-me"}))


def test_of_build_dir_takes_the_specs_own_from_the_node_that_has_it(tmp_path: Path) -> None:
    (tmp_path / "seed").write_text(SEED)
    chosen = {"NOVA_PASS": "chosen.by-me", "ADMIN_PASS": "used-by-no-step"}
    decided = plan(passwords=chosen)
    nodes = (
        decided.nodes[0].model_copy(update={"secrets": ("NOVA_DBPASS",)}),
        decided.nodes[1].model_copy(update={"secrets": ("NOVA_PASS",)}),
    )
    env = tmp_path / "nodes" / "compute1" / "env"
    env.parent.mkdir(parents=True)
    env.write_text("NOVA_PASS=chosen.by-me\n")
    secrets = Secrets.of_build_dir(tmp_path, decided.model_copy(update={"nodes": nodes}))
    assert secrets["NOVA_PASS"] == "chosen.by-me"
    assert "ADMIN_PASS" not in secrets
    assert set(secrets) == {*NAMES} - {"ADMIN_PASS"}


def test_a_damaged_file_of_values_is_told_without_its_text(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("NOVA_PASS=fine\nADMIN_PASS='hunter2\n")
    with pytest.raises(MachineError, match="env:2 is damaged") as caught:
        read_env(tmp_path / "env")
    assert "hunter2" not in str(caught.value)
    assert read_env(tmp_path / "none") == {}


def test_of_build_dir_without_the_specs_own(tmp_path: Path) -> None:
    (tmp_path / "seed").write_text(SEED)
    with pytest.raises(MachineError, match="does not hold NOVA_PASS"):
        Secrets.of_build_dir(tmp_path, plan(passwords={"NOVA_PASS": "chosen.by-me"}))
