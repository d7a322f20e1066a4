"""`lab up` from a golden lab, and the lab of a `lab up` as a golden one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.base import builddir, durable
from lab.base.errors import LabError
from lab.checkpoint import save_restore
from lab.checkpoint.store import Checkpoints
from lab.generator.render import render
from lab.golden import fit as fitting
from lab.golden import mark, own
from lab.golden.provide import provide, undo
from lab.golden.save import name_of, save
from lab.golden.store import GoldenLabs
from lab.host import page_sharing
from lab.host.private import PrivateHost
from lab.nodes.state import StateFile
from lab.planning import project, rotated
from lab.planning.secrets import load_seed

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from lab.base.progress import Progress
    from lab.golden.fit import Fit
    from lab.golden.store import Golden
    from lab.host.host import Host
    from lab.inputs.model import Spec
    from lab.planning.plan import Plan
    from lab.planning.project import Lab
    from lab.verbs.run import Run
    from lab.verification.report import Report


ADMIN = "ADMIN_PASS"
"""the only password that is of use without a shell on a node"""


def remove_unfinished(lab: Lab, host: Host, progress: Progress) -> None:
    """Remove what an interrupted `lab up` from a golden lab left; the lab is locked."""
    known = mark.load(lab.build_dir)
    if known is not None and not known.complete:
        progress.say(f"the lab was not completely made from golden lab {known.golden}: removing what exists of it")
        if host.mode != "private":
            host.start()
        undo(lab, host)


def look(spec: Spec, lab: Lab, host: Host) -> list[Fit]:
    """Compare the golden labs of the lab's release with the lab of today, the one that serves best first."""
    seed = lab.build_dir / "seed"
    found = [each for each in GoldenLabs().complete() if each.manifest.release == lab.plan.release]
    if not found:
        return []
    now = fitting.today(lab.plan, render(lab.plan, lab.secrets), host.mode)
    passwords = {each.name: fitting.why_other_passwords(each, lab.plan, spec.passwords, seed) for each in found}
    return sorted((fitting.fit(each, now, passwords[each.name]) for each in found), key=fitting.order)


def choose(spec: Spec, plan: Plan, directory: Path, host: Host, progress: Progress) -> Fit | None:
    """Choose the golden lab to start from, if there is nothing of the lab yet; says why the nearest one is not used.

    A build directory without a seed gets the golden lab's.
    """
    if not _is_fresh(plan, directory, host):
        return None
    best = next(iter(look(spec, project.decided(spec, plan, directory, write=False), host)), None)
    if best is None:
        return None
    if other := best.other:
        more = f" and {len(other) - 1} more; `lab golden list` shows them" if len(other) > 1 else ""
        progress.say(f"golden lab {best.golden.name} is of another lab, and not used: {other[0]}{more}")
        return None
    _take_passwords(spec, plan, directory, best.golden)
    return best


def _take_passwords(spec: Spec, plan: Plan, directory: Path, golden: Golden) -> None:
    """Give a build directory the golden lab's passwords, and change those that the spec says."""
    own_seed = directory / "seed"
    kept = rotated.load(golden.directory)
    known = kept.then(rotated.load(directory)) if own_seed.exists() else kept
    derived = [name for name in plan.secrets if name not in plan.overridden_secrets]
    wanted = {"off": [], "access": [ADMIN], "all": derived}[spec.rotate]
    # Not a second time: `lab up` may have been interrupted, or this is the next lab in this directory.
    known = known.more(name for name in wanted if name in derived and known.source(name) == kept.source(name))
    builddir.claim(directory)
    if known != rotated.load(directory):
        rotated.save(directory, known)  # before the seed: without a seed it has no effect
    if not own_seed.exists():
        durable.create(own_seed, f"{load_seed(golden.directory / 'seed')}\n".encode(), mode=0o600)


def begin(run: Run, fit: Fit | None, spec: Spec) -> bool:
    """Make the machines from the golden lab that was chosen; tell whether they run, from its memory.

    If that fails, nothing of them is left, and they are made as usual.
    """
    if fit is None:
        return False
    with run.progress.phase("golden", f"machines of golden lab {fit.golden.name}"):
        try:
            restored = provide(run.lab, run.host, fit, run.progress.say)
        except (LabError, OSError) as error:
            failed = f"golden lab {fit.golden.name} could not be used"
            why = error.message if isinstance(error, LabError) else str(error)
            run.progress.say(f"{failed}, making everything: {why}", failed)
            undo(run.lab, run.host)
            return False
    if isinstance(run.host, PrivateHost):
        sharing = page_sharing.keep_apart if spec.rotate == "all" else page_sharing.begin
        if said := sharing(run.host.state_dir):
            run.progress.say(said)
    return restored


def waking(run: Run, since: float) -> AbstractContextManager[object]:
    """Set the clocks of machines whose memory was restored; their services are waited for while the block runs."""
    return save_restore.waking(run.lab, since, run.progress)


def make_own(run: Run) -> None:
    """Give the nodes of a lab from a golden one keys and machine ids of their own, if they have none yet.

    Raises:
        MachineError: a node refuses; the next `lab up` does it again.
    """
    known = mark.load(run.lab.build_dir)
    if known is None or known.own:
        return
    with run.progress.phase("own", "ssh keys and machine ids of its own"):
        own.make_own(run.lab, GoldenLabs().root / known.golden, run.ssh)
        mark.save(run.lab.build_dir, known.model_copy(update={"own": True}))


def keep(run: Run, result: Report) -> None:
    """Keep a lab that was made, and has passed all checks, as a golden one; if it cannot be kept, that is no error.

    Says nothing where there is an equal one, as after each later suite that passes.
    """
    if not result.good or len(run.scope) < len(run.plan.steps) or mark.load(run.lab.build_dir) is not None:
        return
    store = GoldenLabs()
    try:
        if store.exists(name_of(run.lab, run.host)):
            return
        with run.progress.phase("golden", "saving a golden lab"), run.watch.paused():
            save(run.lab, run.host, store, run.progress)
    except LabError as error:
        run.progress.say(f"no golden lab is saved: {error.message}", "no golden lab is saved")


def _is_fresh(plan: Plan, directory: Path, host: Host) -> bool:
    """Tell whether there is nothing of the lab: no machine, no step that is done, no checkpoint."""
    if StateFile(directory / "state.json").load().steps or Checkpoints(directory).root.exists():
        return False
    if isinstance(host, PrivateHost) and not host.is_running():
        return not host.has_machines()
    if not host.is_running():
        return False
    with host.hypervisor() as hypervisor:
        return set(hypervisor.states(node.domain for node in plan.nodes).values()) == {"absent"}
