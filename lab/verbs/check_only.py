"""`lab up --check-only` and the end of `lab check`: what `lab up` would do. Nothing is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from lab.base import rights
from lab.base.errors import DamagedFileError
from lab.generator.render import render
from lab.host import records
from lab.host.capacity import host_facts
from lab.host.choice import require_open
from lab.host.host import choose_host
from lab.inputs.load import load_spec
from lab.machines import reconcile as machines
from lab.nodes.schedule import jobs_of
from lab.nodes.ssh import Ssh
from lab.nodes.state import State, StateFile
from lab.nodes.steps import not_done
from lab.planning import changes, project
from lab.terminal import overview
from lab.terminal import progress as ui
from lab.verification import proven
from lab.verification.run import quick_ids, verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.nodes.schedule import Job
    from lab.planning.plan import Plan
    from lab.planning.project import Lab

_T = TypeVar("_T")


def check_only(spec_file: Path, build_dir: Path | None, *, to_step: str | None = None) -> bool:
    """Print what `lab up` would do; whether that is nothing.

    Nodes that run are asked (the quick checks of steps that are known to be done); nothing is started or written.
    """
    spec = load_spec(spec_file)
    lab = project.from_spec(spec_file, build_dir, host_facts(spec.accelerator, prove=False), write=False)
    records.require_home(lab.build_dir)
    if to_step is not None:
        overview.require_step(lab.plan, to_step)
    require_open(choose_host(lab.plan.name, lab.build_dir))
    standing = _or(None, lambda: project.load_plan(lab.build_dir))
    state = _or(State(), StateFile(lab.build_dir / "state.json").load)
    change = changes.compare(standing, lab.plan)
    if change.rebuild:
        _print_change(change)
        return False
    running = _machines(lab, change)
    idle = running == {node.name for node in lab.plan.nodes}
    jobs = jobs_of(lab.plan, to_step=to_step)
    why = {job: reason for job, reason in _steps_to_run(lab, state).items() if job in jobs}
    asked = [job for job in jobs if job not in why and job.node in running]
    unknown = [job for job in jobs if job not in why and job.node not in running]
    passed = 0
    if standing is not None and asked:
        result = verify(standing, lab.build_dir, ids=quick_ids(standing, set(asked)))
        passed = result.passed
        for check in result.checks:
            if not check.good:
                job = next(j for j in asked if j == (check.node, check.step))
                why[job] = f"{why[job]}, {check.id}" if job in why else f"its quick checks fail: {check.id}"
    for node in dict.fromkeys(job.node for job in unknown):
        ui.console.print(f"{node} does not run: whether what was done there is still right, is not known")
    _print_steps(lab.plan, jobs, why)
    unproven = not why and idle and not proven.is_verified(lab.plan, state, {job.step for job in jobs})
    if unproven:
        ui.console.print("would run the whole suite: not all of it has passed since the last step ran")
    if why or not idle or unproven:
        return False
    ui.console.print(f"nothing to do: {passed} quick checks passed")
    return True


def print_difference(lab: Lab) -> None:
    """Print what differs between a decided lab and the one that stands, if any; touches no node."""
    try:
        standing = _or(None, lambda: project.load_plan(lab.build_dir))
    except PermissionError as error:
        told = rights.explained(error)
        ui.errors.print(f"what differs from the lab that exists cannot be told: {told}", markup=False, soft_wrap=True)
        return
    if standing is None:
        return
    ui.console.print()
    change = changes.compare(standing, lab.plan)
    _print_change(change)
    if not change.rebuild:
        state = _or(State(), StateFile(lab.build_dir / "state.json").load)
        _print_steps(lab.plan, jobs_of(lab.plan), _steps_to_run(lab, state))


def _machines(lab: Lab, change: changes.Change) -> set[str]:
    """Print what the machines need; names the nodes that run, and one more where others have to go."""
    host = choose_host(lab.plan.name, lab.build_dir)
    known = Ssh(lab.build_dir).nodes()
    going = [*change.removed, *(name for name in known if name not in {node.name for node in lab.plan.nodes})]
    going = list(dict.fromkeys(going))
    for name in going:
        ui.console.print(f"would take {name} out of OpenStack, and remove its machine")
    if not host.is_running():
        ui.console.print("would start libvirtd, then make or start the machines")
        return set()
    with host.hypervisor() as hypervisor:
        wanted = machines.look(lab.plan, lab.build_dir, hypervisor, known)
    host.enter()
    for name, why in wanted.make.items():
        ui.console.print(f"would make the machine {name}: {why}")
    for name, what in wanted.start.items():
        ui.console.print(f"would start the machine {name}: it is {what}")
    for name in wanted.adopt:
        ui.console.print(f"would wait for the machine {name}, and note its address")
    return {node.name for node in lab.plan.nodes} - {*wanted.make, *wanted.start, *wanted.adopt} | set(going)


def _steps_to_run(lab: Lab, state: State) -> dict[Job, str]:
    return not_done(lab.plan, render(lab.plan, lab.secrets), state)


def _print_change(change: changes.Change) -> None:
    for line in change.lines():
        ui.console.print(line, soft_wrap=True)
    if change.rebuild:
        ui.console.print(
            "[yellow]the lab that stands cannot follow[/yellow]: `lab up --recreate` removes it and makes the new one",
            soft_wrap=True,
        )


def _print_steps(plan: Plan, jobs: list[Job], why: dict[Job, str]) -> None:
    waiting = [job for job in jobs if job in why]
    if not waiting:
        ui.console.print("no step would run again")
    elif len(waiting) == len(jobs) == len(jobs_of(plan)) and set(why.values()) == {"never ran to its end"}:
        ui.console.print(f"all {len(jobs)} steps would run: none ran to its end yet")
    else:
        for job in waiting:
            ui.console.print(f"would run {job.step} on {job.node}: {why[job]}", soft_wrap=True)


def _or(otherwise: _T, read: Callable[[], _T]) -> _T:
    """Read a file of the build directory; a damaged one is told, and counts as absent, as for `lab up`."""
    try:
        return read()
    except DamagedFileError as error:
        ui.console.print(f"[yellow]{error.message}[/yellow]: `lab up` sets it aside", soft_wrap=True)
        return otherwise
