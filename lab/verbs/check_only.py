"""`lab up --check-only` and the end of `lab check`: what `lab up` would do. Nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from lab.base.errors import DamagedFileError
from lab.generator.render import render
from lab.host import records
from lab.host.choice import require_open
from lab.host.host import choose_host
from lab.inputs.load import load_spec
from lab.machines import reconcile
from lab.nodes.schedule import goal_of, jobs_of
from lab.nodes.ssh import Ssh
from lab.nodes.state import State, StateFile
from lab.nodes.steps import not_done
from lab.planning import changes, project
from lab.verbs import up_golden
from lab.verbs.opening import plan_of
from lab.verification import proven, veil
from lab.verification.run import quick_ids, verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.inputs.model import Spec
    from lab.nodes.schedule import Job
    from lab.planning.plan import Plan
    from lab.planning.project import Lab

_T = TypeVar("_T")


@dataclass(frozen=True)
class Forecast:
    """What `lab up` would do."""

    lab: Lab
    change: changes.Change | None
    """how the spec differs from the existing lab; None where there is no lab"""
    machines: tuple[str, ...] = ()
    """what would be done with machines, a line each"""
    jobs: tuple[Job, ...] = ()
    """all that were asked about"""
    why: dict[Job, str] = field(default_factory=dict)
    """of the jobs that would run, the reason"""
    unknown: tuple[str, ...] = ()
    """nodes that do not run, and so cannot be asked"""
    unproven: bool = False
    """the suite would run, though no step would: not all of it has passed since the last one ran"""
    passed: int = 0
    """quick checks"""
    golden: tuple[str, ...] = ()
    """the golden lab that a new lab would start from, or what differs in the nearest one, a line each"""
    damaged: tuple[str, ...] = ()
    """files of the build directory that `lab up` renames, a line each"""

    @property
    def nothing_to_do(self) -> bool:
        """Whether `lab up` would change nothing."""
        rebuild = self.change is not None and self.change.rebuild
        return not (rebuild or self.why or self.machines or self.unproven)


def check_only(spec_file: Path, build_dir: Path | None, *, to_step: str | None = None) -> Forecast:
    """Find out what `lab up` would do.

    Nodes that run are asked (the quick checks of steps that are known to be done); nothing is started or written.

    Raises:
        UsageError: the lab has no step `to_step`; or an exercise runs on it.
    """
    spec = load_spec(spec_file)
    directory = project.build_dir_of(spec_file, build_dir, spec.name)
    lab = project.decided(spec, plan_of(spec), directory, write=False)
    records.require_home(lab.build_dir)
    veil.refuse(lab.build_dir, "`lab up --check-only`")
    goal = goal_of(lab.plan, to_step)
    require_open(choose_host(lab.plan.name, lab.build_dir))
    existing, state, damaged = _what_exists(lab)
    change = changes.compare(existing, lab.plan)
    if change.rebuild:
        return Forecast(lab, change, damaged=damaged)
    told, running = _machines(lab, change)
    jobs = jobs_of(lab.plan, to_step=goal)
    why = {job: reason for job, reason in _steps_to_run(lab, state).items() if job in jobs}
    asked = {job for job in jobs if job not in why and job.node in running}
    unknown = dict.fromkeys(job.node for job in jobs if job not in why and job.node not in running)
    passed = 0
    if existing is not None and asked:
        result = verify(existing, lab.build_dir, ids=quick_ids(existing, asked))
        passed = result.count("passed")
        for check in result.checks:
            if not check.good:
                job = next(j for j in asked if j == (check.node, check.step))
                why[job] = f"{why[job]}, {check.id}" if job in why else f"its quick checks fail: {check.id}"
    return Forecast(
        lab=lab,
        change=change,
        machines=told,
        jobs=tuple(jobs),
        why=why,
        unknown=tuple(unknown),
        unproven=not why and not told and not proven.is_verified(lab.plan, state, {job.step for job in jobs}),
        passed=passed,
        golden=_golden(spec, lab) if existing is None and goal is None else (),
        damaged=damaged,
    )


def difference(lab: Lab) -> Forecast:
    """Compare a decided lab with the one that exists; touches no node."""
    existing, state, damaged = _what_exists(lab)
    if existing is None:
        return Forecast(lab, None, damaged=damaged)
    change = changes.compare(existing, lab.plan)
    why = {} if change.rebuild else _steps_to_run(lab, state)
    return Forecast(lab, change, jobs=tuple(jobs_of(lab.plan)), why=why, damaged=damaged)


def _golden(spec: Spec, lab: Lab) -> tuple[str, ...]:
    """Say which golden lab `lab up` would start from; if there is none, what differs in the nearest."""
    best = next(iter(up_golden.look(spec, lab, choose_host(lab.plan.name, lab.build_dir))), None)
    if best is None:
        return ()
    name = best.golden.name
    if not best.serves:
        return tuple(f"golden lab {name} is of another lab: {line}" for line in best.other)
    if best.no_memory:
        return (f"would boot from the disks of golden lab {name}: {'; '.join(best.no_memory)}",)
    return (f"would start from golden lab {name}, with its memory",)


def _what_exists(lab: Lab) -> tuple[Plan | None, State, tuple[str, ...]]:
    """Read plan and state; a damaged one is named, and counts as absent, as for `lab up`."""
    damaged: list[str] = []

    def read(load: Callable[[], _T], otherwise: _T) -> _T:
        try:
            return load()
        except DamagedFileError as error:
            damaged.append(error.message)
            return otherwise

    plan = read(lambda: project.load_plan(lab.build_dir), None)
    state = read(StateFile(lab.build_dir / "state.json").load, State())
    return plan, state, tuple(damaged)


def _machines(lab: Lab, change: changes.Change) -> tuple[tuple[str, ...], set[str]]:
    """Say what the machines need, a line each; and name the nodes that run."""
    host = choose_host(lab.plan.name, lab.build_dir)
    known = Ssh(lab.build_dir).nodes()
    names = {node.name for node in lab.plan.nodes}
    going = dict.fromkeys([*change.removed, *(name for name in known if name not in names)])
    told = [f"would take {name} out of OpenStack, and remove its machine" for name in going]
    if not host.is_running():
        return (*told, "would start libvirtd, then create or start the machines"), set()
    with host.hypervisor() as hypervisor:
        wanted = reconcile.look(lab.plan, lab.build_dir, hypervisor, known)
    host.enter()
    told += [f"would create the machine {name}: {why}" for name, why in wanted.make.items()]
    told += [f"would start the machine {name}: it is {what}" for name, what in wanted.start.items()]
    told += [f"would wait for the machine {name}, and record its address" for name in wanted.adopt]
    return tuple(told), names - {*wanted.make, *wanted.start, *wanted.adopt}


def _steps_to_run(lab: Lab, state: State) -> dict[Job, str]:
    return not_done(lab.plan, render(lab.plan, lab.secrets), state)
