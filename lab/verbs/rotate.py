"""`lab rotate`: other passwords for a lab that runs.

Nothing here knows where a password is used. Each step sets its own accounts (of the database, the queue and the
Identity service, and the cell mappings), writes its own configuration files, and restarts what reads a changed one. It
does all of that again when it runs again, and it runs again when a variable that it names has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.base.errors import UsageError
from lab.base.lock import lab_lock
from lab.base.words import did_you_mean
from lab.generator.render import render
from lab.inputs.load import load_spec
from lab.nodes.state import StateFile
from lab.nodes.steps import not_done
from lab.planning import project, rotated
from lab.verbs.opening import opened
from lab.verbs.up import UpResult, bring_up
from lab.verification import veil

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lab.base.progress import Progress
    from lab.planning.project import Lab


def rotate(spec_file: Path, build_dir: Path | None, names: Sequence[str], progress: Progress) -> UpResult:
    """Change passwords (all, if none is named), run the steps that use them, and verify the lab.

    Raises:
        UsageError: there is no such password, the spec sets it, the lab is not complete, or an exercise runs on it.
            Nothing was changed.
        LabError: as of `lab up`, which continues.
    """
    spec = load_spec(spec_file)
    lab = opened(project.build_dir_of(spec_file, build_dir, spec.name))
    chosen = _chosen(lab, names)
    with lab_lock(lab.build_dir, "lab rotate"):
        veil.refuse(lab.build_dir, "`lab rotate`")
        _require_complete(lab)
        rotated.save(lab.build_dir, rotated.load(lab.build_dir).more(chosen))
    progress.say(f"new passwords: {', '.join(chosen)}")
    return bring_up(spec, lab.build_dir, progress, golden=False)


def _chosen(lab: Lab, names: Sequence[str]) -> list[str]:
    own = [name for name in lab.plan.secrets if name not in lab.plan.overridden_secrets]
    for name in names:
        if name in lab.plan.overridden_secrets:
            raise UsageError(f"the spec sets {name} itself", hint=f"change passwords.{name} there, then `lab up`")
        if name not in own:
            raise UsageError(f"no password {name}", hint=did_you_mean(name, own) or f"passwords: {', '.join(own)}")
    if not own:
        raise UsageError("the spec sets all passwords itself", hint="change them there, then `lab up`")
    return list(dict.fromkeys(names)) or own


def _require_complete(lab: Lab) -> None:
    state = StateFile(lab.build_dir / "state.json").load()
    if missing := not_done(lab.plan, render(lab.plan, lab.secrets), state):
        first = next(iter(missing))
        raise UsageError(
            f"the lab is not complete: {first.node} {first.step}: {missing[first]}",
            hint="`lab up` completes it, also where an earlier `lab rotate` was interrupted; then the same again",
        )
