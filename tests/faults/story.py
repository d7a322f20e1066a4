"""One fault after the other, and the way back from each; at the end nothing of the lab is left."""

from __future__ import annotations

import contextlib
import json
import re
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from faults import deeds
from faults.draw import DAMAGES, SIGNALS, USED, Moment
from faults.lab_run import LabRun, run_lab
from faults.traces import traces
from faults.used import steps_done

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from faults.deeds import Target
    from faults.draw import Round

UP_LIMIT_S = 3600.0
"""for a `lab up` that nothing disturbs; each of its own waits is shorter"""
LOOK_LIMIT_S = 300.0
"""for a verb that only looks; the nodes, which it asks too, may be busy with a step"""
PATIENCE_S = 900.0
"""for the `lab up` that met the fault: then it is interrupted, as a user would"""


class NotSurvivedError(Exception):
    """The lab did not come back; the message says from what, and where the logs are."""


@dataclass
class Survived:
    """What became of one round."""

    number: int
    kind: str
    node: str
    moment: str
    target: str
    done: str = ""
    """what was done"""
    in_progress: bool = False
    """`lab up` was at work when it was done; otherwise the lab was idle"""
    met_code: int | None = None
    """how the `lab up` that met the fault ended; None: it had to be interrupted"""
    met_s: float = 0.0
    """from the fault to its end"""
    converge_s: float = 0.0
    """the next `lab up`"""
    by_hint: bool = False
    """it asked for something first, and that was done"""


@dataclass
class Suite:
    """The faults of one run."""

    target: Target
    seed: int
    logs: Path
    say: Callable[[str], None] = print
    survived: list[Survived] = field(default_factory=list)

    def run(self, rounds: Sequence[Round]) -> None:
        """Do all rounds; NotSurvivedError at the first that the lab does not survive."""
        for round_ in rounds:
            result = self._round(round_)
            self.survived.append(result)
            ended = "was interrupted" if result.met_code is None else f"ended with {result.met_code}"
            met = f"lab up {ended} after {result.met_s:.0f} s; " if result.in_progress else "at rest; "
            hint = " (by its hint)" if result.by_hint else ""
            self.say(
                f"kill {round_.number}/{len(rounds)} seed {self.seed}: {round_.kind} at {result.moment}: "
                f"{result.done}; {met}converged in {result.converge_s:.0f} s{hint}"
            )

    def _round(self, round_: Round) -> Survived:
        result = Survived(round_.number, round_.kind, round_.node, str(round_.moment), round_.target)
        log = self.logs / f"{round_.number:02d}-{round_.kind}.log"
        if round_.forget:
            forget(self.target.build_dir / "state.json", round_.forget)
        up = ["up", *self.target.options, *(["--to", round_.target] if round_.target else [])]
        if round_.kind == USED:  # the lab is up when people use it
            self._converge(round_, up, log.with_suffix(".before.log"), result)
        run, moment = None, round_.moment
        if moment.event != "idle":
            run = self._met(up, log, moment)
            for earlier in (1, 2, 4, 8) if round_.kind in SIGNALS else ():
                if run is None:  # `lab` came to its end first: the next one is met while it checks the lab
                    moment = Moment("checks", 1, round(round_.moment.fraction / earlier, 3))
                    run = self._met(up, log, moment)
        result.moment, result.in_progress = str(moment), run is not None
        try:
            result.done = deeds.do(round_, self.target, run)
        except deeds.NothingToBreakError as error:
            result.done = f"nothing to break: {error}"
        except deeds.DeedError as error:
            raise NotSurvivedError(str(error)) from None
        if round_.kind == "stop-libvirtd":
            self._look(log)
        if run is not None:
            began = time.monotonic()
            try:
                result.met_code = run.end(PATIENCE_S)
            except KeyboardInterrupt:
                run.end(0)  # or it would keep the lab from being removed
                raise
            result.met_s = round(time.monotonic() - began, 1)
            if "Traceback (most recent call last)" in run.said():
                raise NotSurvivedError(
                    f"{round_.kind} at {moment}: {result.done}: lab up shows a traceback; its log: {log}"
                )
        with contextlib.suppress(deeds.NothingToBreakError):  # a node that does not answer is `lab up`'s to repair
            deeds.undo(round_, self.target)
        self._converge(round_, up, log.with_suffix(".back.log"), result)
        if round_.kind == USED:
            if not verified(log.with_suffix(".back.log")):
                self.verify(steps_done(self.target.build_dir), log.with_suffix(".verify.log"))
            try:
                deeds.after(round_, self.target)
            except deeds.DeedError as error:
                raise NotSurvivedError(f"not there any more: {error}") from None
        return result

    def _look(self, log: Path) -> None:
        """See that the verbs which look come to their end while libvirtd is silent, whatever they find."""
        archive = log.with_suffix(".tar.xz")
        for verb in (["status"], ["doctor"], ["support", "--output", str(archive)]):
            said = log.with_suffix(f".{verb[0]}.log")
            code, seconds = run_lab([verb[0], *self.target.options, *verb[1:]], said, LOOK_LIMIT_S)
            if code is None or "Traceback (most recent call last)" in said.read_text():
                raise NotSurvivedError(
                    f"lab {verb[0]} with a silent libvirtd: {code}, {seconds:.0f} s; its log: {said}"
                )
            self.say(f"lab {verb[0]} with a silent libvirtd: exit code {code} in {seconds:.0f} s")

    def _met(self, up: list[str], log: Path, moment: Moment) -> LabRun | None:
        """Start `lab up` and wait for the moment; None where it came to its good end first."""
        run = LabRun(up, log)
        try:
            if run.wait_for(moment, UP_LIMIT_S):
                return run
        except KeyboardInterrupt:
            run.end(0)  # or it would keep the lab from being removed
            raise
        code = run.end(0)
        if code != 0:
            raise NotSurvivedError(f"lab up, undisturbed, ended with {code}; its log: {log}")
        return None

    def _converge(self, round_: Round, up: list[str], log: Path, result: Survived) -> None:
        code, result.converge_s = run_lab(up, log, UP_LIMIT_S)
        if code == 0:
            return
        if round_.kind in DAMAGES and f"{deeds.damaged_file(round_.kind)} is damaged" in log.read_text():
            result.by_hint = True
            if verb := deeds.follow_hint(round_.kind, self.target):
                run_lab(verb, log.with_suffix(".hint.log"), UP_LIMIT_S)
            code, seconds = run_lab(up, log.with_suffix(".again.log"), UP_LIMIT_S)
            result.converge_s = round(result.converge_s + seconds, 1)
        if code != 0:
            raise NotSurvivedError(
                f"kill {round_.number} seed {self.seed}: {round_.kind} at {result.moment}: {result.done}: "
                f"lab up does not converge: exit code {code} after {result.converge_s:.0f} s; its log: {log}"
            )

    def verify(self, steps: Sequence[str], log: Path | None = None) -> None:
        """Run the suite for the steps that are done."""
        log = log or self.logs / "verify.log"
        code, seconds = run_lab(["verify", *self.target.options, *steps], log, UP_LIMIT_S)
        if code != 0:
            raise NotSurvivedError(f"lab verify ended with {code}; its log: {log}")
        self.say(f"lab verify: passed in {seconds:.0f} s")

    def down(self, name: str) -> None:
        """Remove the lab, and see that nothing of it is left."""
        log = self.logs / "down.log"
        code, seconds = run_lab(["down", *self.target.options], log, UP_LIMIT_S)
        if code != 0:
            raise NotSurvivedError(f"lab down ended with {code}; its log: {log}")
        if left := traces(name, self.target.build_dir):
            raise NotSurvivedError("lab down left: " + "; ".join(left))
        self.say(f"lab down: nothing left, in {seconds:.0f} s")

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return {"seed": self.seed, "kills": [asdict(each) for each in self.survived]}


def verified(log: Path) -> bool:
    """Tell whether this `lab up` ended with the suite: where steps ran it does, and once is enough."""
    return re.search(r"^all \d+ checks passed$", log.read_text(), re.MULTILINE) is not None


def forget(state: Path, count: int) -> None:
    """Drop the last records of done steps, so that `lab up` runs these steps again."""
    data = json.loads(state.read_text())
    data["steps"] = dict(list(data["steps"].items())[:-count])
    state.write_text(json.dumps(data))
