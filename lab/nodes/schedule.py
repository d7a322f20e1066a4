"""The order in which steps run on the nodes: as soon as what they need is done, side by side where the guide allows.

Knows nothing of ssh or of OpenStack: `run` does the work of one job, in a thread of its own.
"""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, NamedTuple

from lab.planning.step_names import step_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lab.planning.plan import Plan, Step


MACHINES = "00-machines"
"""the state before the first step: the machines, and nothing on them"""


class Job(NamedTuple):
    """One step on one node."""

    node: str
    step: str


def goal_of(plan: Plan, word: str | None) -> str | None:
    """Find the step that `--to` names; it may be MACHINES, and None if nothing was named.

    Raises:
        UsageError: the plan has no such step.
    """
    return word if word in (None, MACHINES) else step_of(plan, word)


def jobs_of(plan: Plan, *, to_step: str | None = None) -> list[Job]:
    """All jobs of the plan in teaching order, up to and with `to_step`; up to MACHINES, none."""
    jobs: list[Job] = []
    if to_step == MACHINES:
        return jobs
    for step in plan.steps:
        jobs += [Job(node, step.id) for node in step.nodes]
        if step.id == to_step:
            break
    return jobs


def longest_way(plan: Plan) -> dict[str, int]:
    """Seconds from the start of each step to the end of the last one that depends on it."""
    left: dict[str, int] = {}

    def of(step: Step) -> int:
        if step.id not in left:
            left[step.id] = step.seconds  # a circle is found by the caller, which then has nothing to run
            after = [other for other in plan.steps if step.id in (*other.needs, *other.awaits)]
            left[step.id] = step.seconds + max((of(other) for other in after), default=0)
        return left[step.id]

    return {step.id: of(step) for step in plan.steps}


def run_all(
    plan: Plan,
    jobs: Iterable[Job],
    run: Callable[[Job], None],
    *,
    done: Iterable[Job] = (),
    per_node: int = 3,
    on_interrupt: Callable[[], None] = lambda: None,
    on_last: Callable[[Job], None] = lambda _: None,
) -> None:
    """Run jobs, each when the steps that it needs, and what those need, are done on all of their nodes.

    Where several could start, the one with the longest way to the end goes first. More at once than a node has CPUs
    gains nothing and, emulated, costs: each switch between processes empties the emulator's translation cache.
    A step that is neither in `jobs` nor in `done` counts as done: the caller left it out on purpose.
    After the first failure no further job starts; those that run are waited for, so that no script is left half way.

    Args:
        plan: gives the order (`needs`).
        jobs: what to run.
        run: does one job; it raises to say that the job failed.
        done: jobs known to be done.
        per_node: at most this many jobs at once on a node.
        on_interrupt: makes the jobs that run end soon; called at Ctrl-C or SIGTERM, before they are waited for.
        on_last: called as soon as one job is left, which runs; it must not wait.

    Raises:
        Exception: the first one that a job raised.
    """
    queue = _Queue(plan, jobs, frozenset(done), per_node)
    failure: BaseException | None = None
    with ThreadPoolExecutor(max_workers=per_node * len(plan.nodes), thread_name_prefix="step") as pool:
        try:
            while queue.pending or queue.running:
                if failure is None:
                    queue.start_ready(lambda job: pool.submit(run, job))
                if not queue.running:
                    break
                if failure is None and (last := queue.last()):
                    on_last(last)
                error = queue.wait_for_one()
                failure = failure or error
        except KeyboardInterrupt:
            on_interrupt()
            raise
    if failure is not None:
        raise failure
    if queue.pending:
        raise RuntimeError(f"steps wait for one another: {', '.join(f'{j.node}/{j.step}' for j in queue.pending)}")


class _Queue:
    """The jobs of one run: which wait, which run, and which have not ended well yet."""

    def __init__(self, plan: Plan, jobs: Iterable[Job], done: frozenset[Job], per_node: int) -> None:
        left = longest_way(plan)
        self.pending = sorted((job for job in jobs if job not in done), key=lambda job: -left[job.step])
        self.running: dict[Future[None], Job] = {}
        self._unfinished = set(self.pending)
        self._steps = {step.id: step for step in plan.steps}
        self._before = _all_needs(plan)
        self._per_node = per_node

    def start_ready(self, start: Callable[[Job], Future[None]]) -> None:
        """Start all that may run now, the one with the longest way to the end first."""
        for job in list(self.pending):
            if self._is_ready(job):
                self.pending.remove(job)
                self.running[start(job)] = job

    def last(self) -> Job | None:
        """Give the job that runs, if all others are done."""
        return None if self.pending or len(self.running) > 1 else next(iter(self.running.values()))

    def wait_for_one(self) -> BaseException | None:
        """Wait until at least one job has ended; give the error of the first that failed."""
        failure: BaseException | None = None
        finished, _ = wait(self.running, return_when=FIRST_COMPLETED)
        for future in finished:
            job = self.running.pop(future)
            error = future.exception()
            if error is None:
                self._unfinished.discard(job)
            failure = failure or error
        return failure

    def _is_ready(self, job: Job) -> bool:
        if sum(other.node == job.node for other in self.running.values()) >= self._per_node:
            return False
        step = self._steps[job.step]
        if any(other.step in step.awaits for other in self.pending):
            return False
        return not any(other.step in self._before[job.step] for other in self._unfinished)


def _all_needs(plan: Plan) -> dict[str, set[str]]:
    """Give each step's needs, and theirs: of those, some may run again while the ones between have no reason to."""
    before: dict[str, set[str]] = {}
    for step in plan.steps:  # what a step needs comes before it
        before[step.id] = set(step.needs).union(*(before.get(need, set()) for need in step.needs))
    return before
