"""Which proofs a run of the gate carries out."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.base.resources import RELEASES
from lab.inputs.release import load_release

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def gate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("choose_proofs", ROOT / ".ci" / "choose_proofs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_every_proof_says_how_long_it_takes_and_has_a_door(gate: ModuleType) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for file in gate.PROOFS.iterdir():
        proof = gate.read(file)
        assert proof.lab in ("running", "own"), file
        assert 0 < proof.minutes <= max(map(gate.left_by, gate.REST_MINUTES)), "it could never be drawn"
        assert f"\ntest-{proof.name}:" in makefile
        assert os.access(file, os.X_OK)


def test_a_proof_is_left_out_where_it_is_not_for_the_release(
    gate: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def drawn(*options: str) -> set[str]:
        monkeypatch.setattr(sys, "argv", ["choose_proofs", "--seed", "1", "--minutes", "500", *options])
        gate.main()
        return {line.split()[0] for line in capsys.readouterr().out.splitlines()}

    everything = {file.name for file in gate.PROOFS.iterdir()}
    assert drawn() == drawn("--release", "victoria") == everything
    assert drawn("--release", "ocata") == everything - {"tempest", "used", "by-hand"}
    assert drawn("--release", "zed") == everything - {"by-hand"}


def test_every_tested_release_has_its_minutes_and_another_one_those_of_the_slowest(gate: ModuleType) -> None:
    tested = {path.stem for path in RELEASES.glob("*.yaml") if load_release(path.stem).tested}
    assert tested == set(gate.REST_MINUTES)
    assert gate.left_by("bobcat") == gate.left_by(None) == min(map(gate.left_by, tested)) > 0


def test_the_same_seed_draws_the_same_and_what_is_drawn_fits(gate: ModuleType) -> None:
    proofs = [gate.Proof(f"p{n}", n, "own") for n in range(1, 9)]
    for seed in range(50):
        drawn = gate.draw(proofs, seed, 12)
        assert drawn == gate.draw(reversed(proofs), seed, 12)
        assert sum(p.minutes for p in drawn) <= 12
        left = 12 - sum(p.minutes for p in drawn)
        assert all(p.minutes > left for p in proofs if p not in drawn), "one more would have fitted"


def test_every_proof_gets_its_turn(gate: ModuleType) -> None:
    proofs = [gate.Proof(f"p{n}", 5, "own") for n in range(8)]
    seen = {proof.name for seed in range(100) for proof in gate.draw(proofs, seed, 10)}
    assert seen == {proof.name for proof in proofs}


def test_a_long_proof_finds_room_as_well_as_many_short_ones(gate: ModuleType) -> None:
    proofs = [gate.Proof("long", 20, "own"), *(gate.Proof(f"p{n}", 5, "own") for n in range(8))]
    turns = sum(proof.name == "long" for seed in range(300) for proof in gate.draw(proofs, seed, 22))
    assert 70 < turns < 130, "20 of 60 minutes"


def test_proofs_of_the_running_lab_come_before_it_goes(gate: ModuleType) -> None:
    proofs = [gate.Proof("a", 1, "own"), gate.Proof("b", 1, "running"), gate.Proof("c", 1, "own")]
    assert [p.lab for p in gate.draw(proofs, 3, 9)] == ["running", "own", "own"]
