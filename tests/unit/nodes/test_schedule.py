from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from lab.nodes.schedule import MACHINES, Job, goal_of, jobs_of, longest_way, run_all
from lab.planning.plan import Plan, Step

if TYPE_CHECKING:
    from collections.abc import Callable


def step(
    step_id: str, *nodes: str, needs: tuple[str, ...] = (), awaits: tuple[str, ...] = (), seconds: int = 1
) -> Step:
    return Step(id=step_id, title="", guide="", url="", nodes=nodes, needs=needs, awaits=awaits, seconds=seconds)


def plan(*steps: Step) -> Plan:
    construct: Any = Plan.model_construct  # the scheduler looks at nothing else
    made: Plan = construct(steps=steps, nodes=tuple(sorted({n for s in steps for n in s.nodes})))
    return made


class Recorder:
    """Notes the order in which jobs begin and end."""

    def __init__(self, work: Callable[[Job], None] = lambda job: None) -> None:
        self.events: list[tuple[str, Job]] = []
        self._lock = threading.Lock()
        self._work = work

    def __call__(self, job: Job) -> None:
        with self._lock:
            self.events.append(("begin", job))
        self._work(job)
        with self._lock:
            self.events.append(("end", job))

    def begun(self) -> list[Job]:
        return [job for what, job in self.events if what == "begin"]


def test_a_step_waits_for_what_it_needs_on_all_nodes() -> None:
    p = plan(step("10-env", "c", "n1", "n2"), step("55-node", "n1", "n2"), step("70-hosts", "c", needs=("55-node",)))
    seen = Recorder()
    run_all(p, jobs_of(p), seen)
    order = seen.events
    assert order.index(("begin", Job("c", "70-hosts"))) > order.index(("end", Job("n1", "55-node")))
    assert order.index(("begin", Job("c", "70-hosts"))) > order.index(("end", Job("n2", "55-node")))
    assert len(seen.begun()) == 6


def test_a_step_waits_for_one_that_runs_again_far_before_it() -> None:
    p = plan(step("60-net", "c"), step("80-first", "c", needs=("60-net",)), step("95-tokens", "c", needs=("80-first",)))
    seen = Recorder()
    run_all(p, [Job("c", "60-net"), Job("c", "95-tokens")], seen, done=[Job("c", "80-first")])
    assert seen.events.index(("begin", Job("c", "95-tokens"))) > seen.events.index(("end", Job("c", "60-net")))


def test_independent_jobs_run_side_by_side() -> None:
    p = plan(step("20-a", "c"), step("21-b", "c"), step("55-n", "n1"))
    together = threading.Barrier(3, timeout=10)
    run_all(p, jobs_of(p), lambda job: (together.wait(), None)[1])


def test_the_last_job_is_told_when_all_others_are_done() -> None:
    p = plan(step("10-a", "c", "n1"), step("20-b", "c", "n1", needs=("10-a",)))
    seen, told, first_is_done = Recorder(), list[tuple[Job, int]](), threading.Event()

    def work(job: Job) -> None:
        if job == Job("n1", "20-b"):
            first_is_done.wait(10)
        seen(job)

    def last(job: Job) -> None:
        told.append((job, sum(what == "end" for what, _ in seen.events)))
        first_is_done.set()

    run_all(p, jobs_of(p), work, on_last=last)
    assert told == [(Job("n1", "20-b"), 3)]


def test_no_more_than_the_limit_on_a_node() -> None:
    p = plan(*(step(f"{i}-x", "c") for i in range(10, 20)))
    busy = 0
    most = 0
    lock = threading.Lock()

    def work(job: Job) -> None:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        threading.Event().wait(0.01)
        with lock:
            busy -= 1

    run_all(p, jobs_of(p), work, per_node=2)
    assert most == 2


def test_nothing_starts_after_a_failure_and_it_is_raised() -> None:
    p = plan(step("10-a", "c"), step("20-b", "c", needs=("10-a",)))

    def fail(job: Job) -> None:
        raise ValueError(job.step)

    seen = Recorder(fail)
    with pytest.raises(ValueError, match="10-a"):
        run_all(p, jobs_of(p), seen)
    assert seen.begun() == [Job("c", "10-a")]


def test_an_interrupt_ends_the_running_jobs_before_they_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    p = plan(step("10-a", "c"))
    let_go = threading.Event()

    def interrupted(*args: object, **kwargs: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("lab.nodes.schedule.wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_all(p, jobs_of(p), lambda job: (let_go.wait(10), None)[1], on_interrupt=let_go.set)
    assert let_go.is_set()


def test_the_longest_way_goes_first() -> None:
    p = plan(step("20-a", "c", seconds=5), step("21-b", "c", seconds=3), step("30-c", "c", needs=("21-b",), seconds=9))
    assert longest_way(p) == {"20-a": 5, "21-b": 12, "30-c": 9}
    seen = Recorder()
    run_all(p, jobs_of(p), seen, per_node=1)
    assert [job.step for job in seen.begun()] == ["21-b", "30-c", "20-a"]


def test_what_is_awaited_starts_first() -> None:
    p = plan(
        step("30-a", "c", seconds=1), step("50-b", "c", awaits=("30-a",), seconds=9), step("60-c", "c", seconds=99)
    )
    seen = Recorder()
    run_all(p, jobs_of(p), seen, per_node=1)
    assert [job.step for job in seen.begun()] == ["60-c", "30-a", "50-b"]


def test_done_jobs_are_not_run_again() -> None:
    p = plan(step("10-a", "c"), step("20-b", "c", needs=("10-a",)))
    seen = Recorder()
    run_all(p, jobs_of(p), seen, done=[Job("c", "10-a")])
    assert seen.begun() == [Job("c", "20-b")]


def test_a_circle_is_an_error_not_a_hang() -> None:
    p = plan(step("10-a", "c", needs=("20-b",)), step("20-b", "c", needs=("10-a",)))
    with pytest.raises(RuntimeError, match="10-a"):
        run_all(p, jobs_of(p), Recorder())


def test_jobs_up_to_a_step() -> None:
    p = plan(step("10-a", "c", "n1"), step("20-b", "c"), step("30-c", "c"))
    assert [job.step for job in jobs_of(p, to_step="20-b")] == ["10-a", "10-a", "20-b"]


def test_a_goal_is_a_step_by_any_of_its_names_or_the_state_before_the_first() -> None:
    steps = plan(step("10-environment", "a"), step("20-database", "a"))
    named = [goal_of(steps, word) for word in (None, MACHINES, "20", "database", "20-database")]
    assert named == [None, MACHINES, "20-database", "20-database", "20-database"]
    assert jobs_of(steps, to_step=goal_of(steps, MACHINES)) == []
