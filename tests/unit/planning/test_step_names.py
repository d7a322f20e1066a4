from __future__ import annotations

import pytest
from sample_plans import sample_plan

from lab.base.errors import UsageError
from lab.planning.step_names import step_of

PLAN = sample_plan()
IDS = [step.id for step in PLAN.steps]


@pytest.mark.parametrize("name", IDS)
def test_a_step_is_found_by_its_id_and_by_its_parts(name: str) -> None:
    number, _, rest = name.partition("-")
    assert [step_of(PLAN, word) for word in (name, number, rest)] == [name] * 3


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("20-databse", "did you mean `20-database`? "),
        ("databse", "did you mean `20-database`? "),
        ("21", ""),
        ("2", ""),
        ("", ""),
        ("zzz", ""),
    ],
)
def test_an_unknown_step_is_refused_with_the_nearest_and_all(word: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"no step {word} in lab {PLAN.name}") as refused:
        step_of(PLAN, word)
    assert refused.value.hint == f"{hint}steps: {', '.join(IDS)}"


def test_a_number_that_two_steps_have_names_none() -> None:
    last = PLAN.steps[-1]
    twice = PLAN.model_copy(update={"steps": (*PLAN.steps, last.model_copy(update={"id": last.id + "-again"}))})
    number = last.id.partition("-")[0]
    with pytest.raises(UsageError, match=f"several steps are called {number}") as refused:
        step_of(twice, number)
    assert refused.value.hint == f"name one: {last.id}, {last.id}-again"
    assert step_of(twice, last.id) == last.id
