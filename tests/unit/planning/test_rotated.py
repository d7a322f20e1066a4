"""How often passwords were rotated: what they are derived from then, and a file that is damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sample_plans import sample_plan

from lab.base.errors import MachineError
from lab.planning import rotated
from lab.planning.rotated import Rotated
from lab.planning.secrets import Secrets

if TYPE_CHECKING:
    from pathlib import Path

SEED = "5e" * 32
NAMES = ("NOVA_PASS", "NOVA_DBPASS")


def test_each_rotation_is_another_password_of_the_same_seed(tmp_path: Path) -> None:
    found = Rotated()
    seen = [Secrets.derive(SEED, NAMES, rotated=found)]
    for _ in range(2):
        found = found.more(["NOVA_PASS"])
        rotated.save(tmp_path, found)
        assert rotated.load(tmp_path) == found
        seen.append(Secrets.derive(SEED, NAMES, rotated=found))
    assert len({each["NOVA_PASS"] for each in seen}) == 3
    assert len({each["NOVA_DBPASS"] for each in seen}) == 1
    assert seen[0] == Secrets.derive(SEED, NAMES)
    first, second = found.drawn["NOVA_PASS"]
    assert found.sources("NOVA_PASS") == ["NOVA_PASS", f"NOVA_PASS {first}", f"NOVA_PASS {second}"]
    assert found.sources("NOVA_DBPASS") == ["NOVA_DBPASS"]


def test_two_labs_of_one_seed_do_not_change_to_the_same() -> None:
    one, other = (Secrets.derive(SEED, NAMES, rotated=Rotated().more(NAMES)) for _ in range(2))
    assert not set(one.values()) & set(other.values())


def test_changes_after_changes_count_once() -> None:
    first = Rotated().more(NAMES)
    both = first.more(["NOVA_PASS"])
    assert first.then(both) == both.then(both) == both
    assert Rotated().then(first) == first


def test_one_that_the_spec_sets_is_not_derived() -> None:
    secrets = Secrets.derive(SEED, NAMES, {"NOVA_PASS": "mine"}, Rotated().more(NAMES))
    assert secrets["NOVA_PASS"] == "mine"


def test_a_lab_that_was_made_has_them(tmp_path: Path) -> None:
    plan = sample_plan().model_copy(update={"overridden_secrets": ()})
    (tmp_path / "seed").write_text(SEED)
    before = Secrets.of_build_dir(tmp_path, plan)
    rotated.save(tmp_path, Rotated().more(["NOVA_PASS"]))
    after = Secrets.of_build_dir(tmp_path, plan)
    assert {name for name in before if before[name] != after[name]} == {"NOVA_PASS"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2}', '{"drawn": {"NOVA_PASS": ["0"]}}', '{"drawn": "x"}'])
def test_a_damaged_file_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / rotated.FILE).write_text(text)
    with pytest.raises(MachineError, match=r"rotated\.json is damaged"):
        rotated.load(tmp_path)
