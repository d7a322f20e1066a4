"""tests/exercises on a lab of words: which exercises a run takes, in which orders, and what it says of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from exercise_bench import PLAN, WordsBench, a_desk
from exercises.__main__ import chosen, orders
from exercises.matrix import GREEN, NAMED, NOT_YET, RESET, SILENT, STAGES, START, SYMPTOM, Matrix, Row, table
from exercises.thrift import ThriftyBench

from lab.base.errors import MachineError, UsageError
from lab.teaching.exercise.catalog import catalog, find
from lab.teaching.exercise.draw import draw

if TYPE_CHECKING:
    from pathlib import Path

    from lab.verification.report import Report

NUMBERS = [each.number for each in catalog()]


@pytest.mark.parametrize("seed", range(20))
def test_two_orders_have_all_exercises_and_differ(seed: int) -> None:
    first, second = orders(NUMBERS, seed).values()
    assert sorted(first) == sorted(second) == NUMBERS
    assert first != second
    assert orders(NUMBERS, seed) == {1: first, 2: second}


def test_a_seed_draws_the_same_few() -> None:
    assert chosen("", 4, 7) == chosen("", 4, 7)
    assert len(set(chosen("", 4, 7))) == 4
    assert chosen("3,17", 0, 7) == [3, 17]
    assert chosen("", 0, 7) == NUMBERS
    with pytest.raises(UsageError, match="no exercise 99"):
        chosen("3,99", 0, 7)


@dataclass
class PlayedBench(WordsBench):
    """A lab on which the functions of exercise 19 do what they should, but those that are named here."""

    without_effect: set[str] = field(default_factory=set)
    """functions that leave the lab as it is"""
    leaves: set[str] = field(default_factory=set)
    """checks that stay red after a restore"""
    own: frozenset[str] = draw(find(19), "7-0", PLAN).shows(PLAN)

    def run(self, node: str, script: str) -> str:
        done = super().run(node, script)
        called = script.strip().splitlines()[-1].split()[-2] if "</dev/null" in script[-12:] else ""
        if called not in self.without_effect:
            self.red = {"break_it": set(self.own), "solve": set(), "solve_otherwise": set()}.get(called, self.red)
        return done

    def restore(self, name: str) -> Report | None:
        super().restore(name)
        self.red = set(self.leaves)
        self.acts.append("restored: quick checks")
        return self.verify(quick=True)


def proof(tmp_path: Path, bench: PlayedBench, *, complete: bool = True, turns: int = 1) -> tuple[list[Row], list[str]]:
    thrifty, said = ThriftyBench(bench, PLAN), list[str]()
    matrix = Matrix(a_desk(tmp_path, thrifty), thrifty, say=said.append)
    assert thrifty.verify().good
    bench.acts.clear()
    return [matrix.prove(19, "7-0", complete=complete) for _ in range(turns)], said


def test_a_good_exercise_is_good_at_every_stage_and_restored_once(tmp_path: Path) -> None:
    bench = PlayedBench()
    (row,), said = proof(tmp_path, bench)
    assert row.good, row.stages
    assert [name for name in row.stages if name in STAGES] == list(STAGES)
    assert [line.split("  ")[1] for line in said[:3]] == [GREEN, START, SYMPTOM]
    assert [act for act in bench.acts if act.startswith(("save", "restore"))] == [
        "save before-the-exercise",
        "restore before-the-exercise",
        "restored: quick checks",
    ]
    assert row.values["NODE"] == "controller"
    assert "22-memcached" in row.red_steps


def test_what_nobody_touched_is_not_asked_again(tmp_path: Path) -> None:
    bench = PlayedBench()
    rows, _ = proof(tmp_path, bench, turns=2)
    assert all(row.good for row in rows)
    assert "verify all" not in bench.acts
    assert bench.acts.count("verify quick") == 2, "one in each restore"
    assert [act for act in bench.acts if act.startswith("save")] == ["save before-the-exercise"]


def test_in_the_second_order_nothing_is_restored(tmp_path: Path) -> None:
    bench = PlayedBench()
    rows, _ = proof(tmp_path, bench, complete=False, turns=2)
    assert [list(row.stages) for row in rows] == [[GREEN, START, SYMPTOM, NOT_YET, "solve"]] * 2
    assert not [act for act in bench.acts if act.startswith("restore")]


@pytest.mark.parametrize(
    ("bench", "bad"),
    [
        (PlayedBench(without_effect={"break_it"}), {SYMPTOM, NAMED, NOT_YET}),
        (PlayedBench(without_effect={"solve"}), {"solve"}),
        (PlayedBench(without_effect={"solve_otherwise"}), {"alternative"}),
        (PlayedBench(own=frozenset({"controller-20-database-unit-mariadb"})), {SYMPTOM, NAMED}),
        (PlayedBench(leaves={"controller-20-database-unit-mariadb"}), {GREEN}),
    ],
)
def test_what_is_not_as_it_should_be_is_named_and_ends_nothing(
    bench: PlayedBench, bad: set[str], tmp_path: Path
) -> None:
    rows, said = proof(tmp_path, bench, turns=2)
    row = rows[1]
    assert bad <= {name for name, seen in row.stages.items() if not seen.good}
    assert "NOT GOOD" in said[-1]
    if GREEN not in bad:
        assert row.stages[RESET].good, "it goes on to the end"
        assert not rows[0].good


def test_a_step_before_its_own_that_is_red_too_would_mislead(tmp_path: Path) -> None:
    own = draw(find(19), "7-0", PLAN).shows(PLAN)
    (row,), _ = proof(tmp_path, PlayedBench(own=own | {"controller-20-database-unit-mariadb"}))
    assert row.stages[SYMPTOM].good
    assert row.stages[NAMED].why == "red are 20-database, 22-memcached"
    (row,), _ = proof(tmp_path, PlayedBench(own=own | {"controller-30-identity-unit-keystone"}))
    assert row.stages[NAMED].good, "what comes after it may be red"


def test_own_checks_that_are_not_quick_are_asked_however_many_others_are(tmp_path: Path) -> None:
    seed = next(str(n) for n in range(99) if draw(find(9), str(n), PLAN).values["ACCOUNT"] == "neutron")
    own = draw(find(9), seed, PLAN).shows(PLAN)
    assert not any(check.quick for check in PLAN.checks if check.id in own)
    bench = PlayedBench(own=own)
    thrifty = ThriftyBench(bench, PLAN, quick=True)
    matrix = Matrix(a_desk(tmp_path, thrifty), thrifty, say=lambda _: None)
    row = matrix.prove(9, seed, complete=True)
    assert row.stages[SYMPTOM].good, row.stages
    assert row.stages[NAMED].good, row.stages


def test_a_repair_that_should_not_pass_and_does_is_bad(tmp_path: Path) -> None:
    class Lenient(PlayedBench):
        def run(self, node: str, script: str) -> str:
            done = super().run(node, script)
            if "repair_wrongly </dev/null" in script[-40:]:
                self.red = set()
            return done

    (row,), _ = proof(tmp_path, Lenient())
    assert not row.stages["wrong refused"].good
    assert row.stages["wrong refused"].why.startswith("passed")


def test_what_a_repair_left_does_not_hide_the_next_break(tmp_path: Path) -> None:
    class Doubled(PlayedBench):
        """The alternative stays beside the fault, so that the next break has no effect until the lab is restored."""

        def run(self, node: str, script: str) -> str:
            if "solve_otherwise </dev/null" in script[-40:]:
                self.without_effect = {"break_it"}
            return super().run(node, script)

        def restore(self, name: str) -> Report | None:
            self.without_effect = set()
            return super().restore(name)

    bench = Doubled()
    (row,), _ = proof(tmp_path, bench)
    assert row.good, row.stages
    assert bench.acts.count("restore before-the-exercise") == 2


def test_a_node_that_does_not_answer_is_a_bad_stage_and_the_lab_is_restored(tmp_path: Path) -> None:
    class Broken(PlayedBench):
        def run(self, node: str, script: str) -> str:
            if "solve </dev/null" in script[-20:]:
                raise MachineError("no answer", detail="ssh: timeout")
            return super().run(node, script)

    (row,), _ = proof(tmp_path, Broken())
    assert row.stages["solve"].why == "no answer ssh: timeout"
    assert row.stages["restore for alternative"[:19]].good
    assert row.stages["alternative"].good


def test_what_is_fresh_on_the_node_is_told(tmp_path: Path) -> None:
    class Traced(PlayedBench):
        def run(self, node: str, script: str) -> str:
            super().run(node, script)
            return "/etc/memcached.conf\n" if script.startswith("find") else ""

    (row,), _ = proof(tmp_path, Traced())
    assert row.stages[SILENT].why == "/etc/memcached.conf"


def test_the_quick_way_asks_quick_checks_and_the_exercises_own(tmp_path: Path) -> None:
    slow = next(check.id for check in PLAN.checks if not check.quick and check.kind == "identity-user")
    bench = WordsBench()
    thrifty = ThriftyBench(bench, PLAN, quick=True)
    thrifty.verify([slow])
    asked = {check.id for check in thrifty.verify([check.id for check in PLAN.checks]).checks}
    assert asked == {check.id for check in PLAN.checks if check.quick} | {slow}


def test_the_table_has_every_exercise_and_counts_what_is_good(tmp_path: Path) -> None:
    rows, _ = proof(tmp_path, PlayedBench(without_effect={"solve"}))
    head, line, counts = table(rows).splitlines()
    assert head.split()[:2] == ["green", "before"]
    assert line.split()[0] == "19"
    assert line.count("NO") == 1
    assert counts.split()[1:4] == ["1", "1", "1"]
