"""`lab goto CHAPTER`: the complete lab to the state just before a chapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.base.errors import UsageError
from lab.checkpoint import recovery
from lab.checkpoint import save_restore as checkpoint
from lab.checkpoint.store import Checkpoint, Checkpoints
from lab.host import records
from lab.host.choice import own_host
from lab.inputs.load import load_spec
from lab.nodes.schedule import MACHINES
from lab.nodes.state import StateFile
from lab.planning import project
from lab.planning.step_names import step_of
from lab.verbs.opening import opened, plan_of
from lab.verbs.up import UpResult, bring_up
from lab.verification import veil

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lab.base.progress import Progress
    from lab.planning.plan import Plan


def goto(spec_file: Path, build_dir: Path | None, chapter: str, progress: Progress) -> UpResult:
    """Restore the checkpoint of the step before a chapter; where there is none, come as near as possible and provision.

    Gives the checks of that point.

    Raises:
        UsageError: no such chapter; or the lab is past it, and there is no checkpoint of an earlier state.
        LabError: as of `lab up` and `lab checkpoint restore`.
    """
    spec = load_spec(spec_file)
    directory = project.build_dir_of(spec_file, build_dir, spec.name)
    records.require_home(directory)
    veil.refuse(directory, "`lab goto`")
    plan = project.load_plan(directory) or plan_of(spec, prove=True)
    ids = [step.id for step in plan.steps]
    before = ids[: ids.index(step_of(plan, chapter))]
    goal = before[-1] if before else MACHINES
    state = StateFile(directory / "state.json").load()
    store = Checkpoints(directory)
    way = nearest(store.complete(), before)
    past = sorted({key.partition("/")[2] for key in state.steps} - set(before))
    if way is not None and (way.name == goal or past or _away(plan, directory)):
        lab = opened(directory)
        result = checkpoint.restore(lab, way.name, progress)
        if way.name == goal and result is not None:
            return UpResult(lab, result)
    elif past:
        raise UsageError(
            f"the lab is past {goal} ({', '.join(past)} done), and there is no checkpoint of an earlier state",
            hint=f"`lab down`, then `lab goto {chapter}`; `lab up --checkpoints` saves checkpoints",
        )
    return bring_up(spec, directory, progress, to_step=goal)


def _away(plan: Plan, directory: Path) -> bool:
    host = own_host(plan, directory)
    host.start()
    return recovery.is_away(plan, host)


def nearest(found: Iterable[Checkpoint], before: list[str]) -> Checkpoint | None:
    """Choose, of the checkpoints that have a chapter's name, the one nearest to the end of these steps."""
    chapters = [MACHINES, *before]

    def true_to_its_name(each: Checkpoint) -> bool:
        return each.manifest.steps == tuple(before[: chapters.index(each.name)])

    usable = [each for each in found if each.name in chapters and true_to_its_name(each)]
    return max(usable, key=lambda each: chapters.index(each.name), default=None)
