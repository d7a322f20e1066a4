"""The pure part of tests/exercises: which exercises a run takes, and in which orders."""

from __future__ import annotations

import pytest
from exercises.__main__ import chosen, orders
from exercises.matrix import Row

from lab.base.errors import UsageError
from lab.teaching.exercise.catalog import catalog

NUMBERS = [each.number for each in catalog()]


@pytest.mark.parametrize("seed", range(20))
def test_two_orders_have_all_exercises_and_differ(seed: int) -> None:
    first, second = orders(NUMBERS, seed, 2)
    assert sorted(first) == sorted(second) == NUMBERS
    assert first != second
    assert orders(NUMBERS, seed, 2) == [first, second]


def test_a_seed_draws_the_same_few() -> None:
    assert chosen("", 4, 7) == chosen("", 4, 7)
    assert len(set(chosen("", 4, 7))) == 4
    assert chosen("3,17", 0, 7) == [3, 17]
    assert chosen("", 0, 7) == NUMBERS
    with pytest.raises(UsageError, match="no exercise 99"):
        chosen("3,99", 0, 7)


def test_one_wrong_answer_makes_a_row_bad_and_what_was_not_asked_does_not() -> None:
    good = Row(
        3, "x", symptom_shown=True, step_named=True, nothing_leaked=True, graded_broken=True, solved=True, reset=True
    )
    assert good.good
    good.wrong_refused = False
    assert not good.good
    good.wrong_refused, good.error = True, "no answer"
    assert not good.good
