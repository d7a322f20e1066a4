"""The order in which steps run on the nodes: as soon as what they need is done, side by side where the guide allows.

Knows nothing of ssh or of OpenStack: `run` does the work of one job, in a thread of its own.
"""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lab.planning.plan import Plan, Step


MACHINES = "00-machines"
"""stands for the state before the first step: the machines, and nothing on them"""


class Job(NamedTuple):
    """One step on one node."""

    node: str
    step: str


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
            behind = [other for other in plan.steps if step.id in (*other.needs, *other.awaits)]
            left[step.id] = step.seconds + max((of(other) for other in behind), default=0)
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
) -> None:
    """Run jobs, each when the steps that it needs are done on all of their nodes.

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

    Raises:
        Exception: the first one that a job raised.
    """
    left = longest_way(plan)
    pending = sorted((job for job in jobs if job not in set(done)), key=lambda job: -left[job.step])
    unfinished = set(pending)
    awaits = {step.id: step.awaits for step in plan.steps}
    needs = {step.id: step.needs for step in plan.steps}
    running: dict[Future[None], Job] = {}
    failure: BaseException | None = None

    def ready(job: Job) -> bool:
        if sum(other.node == job.node for other in running.values()) >= per_node:
            return False
        if any(other.step in awaits[job.step] for other in pending):
            return False
        return not any(other.step in needs[job.step] for other in unfinished)

    with ThreadPoolExecutor(max_workers=per_node * len(plan.nodes), thread_name_prefix="step") as pool:
        try:
            while pending or running:
                if failure is None:
                    for job in list(pending):
                        if ready(job):
                            pending.remove(job)
                            running[pool.submit(run, job)] = job
                if not running:
                    break
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    job = running.pop(future)
                    error = future.exception()
                    if error is None:
                        unfinished.discard(job)
                    else:
                        failure = failure or error
        except KeyboardInterrupt:
            on_interrupt()
            raise
    if failure is not None:
        raise failure
    if pending:
        raise RuntimeError(f"steps wait for one another: {', '.join(f'{j.node}/{j.step}' for j in pending)}")
