"""Run provisioning steps on the nodes over ssh, and remember which ones ended well."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lab.base import safe
from lab.base.errors import MachineError, StepError, StepFailure
from lab.inputs.blocks import shared_blocks
from lab.nodes.schedule import Job, jobs_of, run_all
from lab.nodes.state import StepRecord, digest
from lab.nodes.step_log import StepLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from lab.base.progress import Progress, Verdict
    from lab.generator.render import RenderedFile
    from lab.nodes.ssh import Ssh
    from lab.nodes.state import State, StateFile
    from lab.planning.plan import Plan, Step
    from lab.planning.project import Lab

_FAILED = re.compile(r"run-step: failed: (?P<step>\S+): line (?P<line>\d+): exit code (?P<code>\d+): (?P<command>.*)")
_TAIL_LINES = 15
_LIMIT_S = 900.0
"""on a KVM host; times the lab's wait factor. The longest wait of a step is 300 s, times that factor"""
_TIMES_EXPECTED = 8
_NODE_SAYS_S = 120.0
"""for a node to end a step and to say so"""
_NODES_LIST = "$LAB_DIR/hosts"
_IRRELEVANT = {"LAB_WAIT_FACTOR"}
"""variables that change how long a step waits, not what it does"""


def step_limit_s(step: Step, wait_factor: float) -> int:
    """Give the seconds after which a step is ended: far more than it needs, and than its own waits for others."""
    return round(max(_LIMIT_S * max(1.0, wait_factor), _TIMES_EXPECTED * step.seconds))


def inputs_digest(files: Mapping[str, RenderedFile], job: Job) -> str:
    """Digest of what decides a step's result on a node: its script, the blocks and libraries it reads, what they name.

    These are variables, and the list of the lab's nodes: a step that names neither that list nor LAB_COMPUTES does not
    run again when the lab grows.
    """
    root = f"nodes/{job.node}/"
    script = f"{root}steps/{job.step}.sh"
    own = {f"{root}run-step", script, f"{root}steps/{job.step}.env"}
    own |= {root + path for path in shared_blocks(files[script].text)}
    code = {path: file.text for path, file in files.items() if path in own or path.startswith(f"{root}lib/")}
    if _NODES_LIST in code[script]:
        code["hosts"] = files[f"{root}hosts"].text
    named = set(re.findall(r"[A-Z][A-Z0-9_]+", "\n".join(code.values()))) - _IRRELEVANT
    env = [line for line in files[f"{root}env"].text.splitlines() if line.partition("=")[0] in named]
    return digest({**code, "env": "\n".join(env)})


def not_done(plan: Plan, files: Mapping[str, RenderedFile], state: State) -> dict[Job, str]:
    """Name the jobs that are not known to be done with today's inputs, each with why, in teaching order."""
    found: dict[Job, str] = {}
    for job in jobs_of(plan):
        key = f"{job.node}/{job.step}"
        record = state.steps.get(key)
        if record is None:
            found[job] = "never finished"
        elif record.inputs != inputs_digest(files, job):
            found[job] = "its inputs changed"
        elif key in state.drifted:
            found[job] = f"the suite found: {', '.join(state.drifted[key])}"
    return found


class StepRunner:
    """Runs the jobs of a lab that are not known to be done."""

    def __init__(
        self, lab: Lab, files: Mapping[str, RenderedFile], ssh: Ssh, state: StateFile, progress: Progress
    ) -> None:
        self._lab = lab
        self._files = files
        self._ssh = ssh
        self._state_file = state
        self._progress = progress
        self._lock = threading.Lock()
        self.seconds: dict[str, float] = {}
        """NODE/STEP -> seconds, of the jobs that this runner ran; all runs of a job together"""

    def run(self, jobs: Iterable[Job], done: Iterable[Job], on_last: Callable[[Job], None] = lambda _: None) -> None:
        """Run jobs in their order, side by side where it allows; `on_last` as of `run_all`.

        Raises:
            StepError: a step failed; those that ended well are remembered.
        """
        # Interrupted, the scripts go on in the nodes; the next run of a step waits for its first to end.
        plan, stop = self._lab.plan, self._ssh.abort
        run_all(plan, jobs, self._run_job, done=done, on_interrupt=stop, on_last=on_last)

    def forget(self, jobs: Iterable[Job]) -> None:
        """Treat jobs as not done: their checks failed."""
        with self._lock:
            self._state_file.save(self._state_file.load().without_steps(set(jobs)))

    def _run_job(self, job: Job) -> None:
        self.forget([job])
        step = self._lab.plan.step(job.step)
        log = self._lab.build_dir / "logs" / job.node / f"{job.step}.log"
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._progress.step_started(job.node, job.step, step.seconds)
        exit_code = -1
        try:
            with open(log, "w", opener=safe.private_opener) as out:
                limit_s = step_limit_s(step, self._lab.plan.wait_factor)
                command = ["sudo", "/opt/lab/run-step", job.step, str(limit_s)]
                # the node ends it first, and says so; a run that an earlier `lab up` left there may come before it
                keep = StepLog(out, self._lab.secrets.mask).keep
                exit_code = self._ssh.stream(job.node, command, keep, timeout_s=2 * limit_s + _NODE_SAYS_S)
        except MachineError as error:
            if self._ssh.aborted:
                raise
            raise MachineError(
                f"step {job.step} {error.message}",
                detail=f"full log: {log}",
                hint="look at the node with `lab doctor`; `lab up` continues at this step",
            ) from error
        finally:
            verdict: Verdict = "done" if exit_code == 0 else "interrupted" if self._ssh.aborted else "failed"
            seconds = self._progress.step_finished(job.node, job.step, verdict)
        if exit_code != 0:
            raise StepError(_failure(job, exit_code, log))
        record = StepRecord(
            inputs=inputs_digest(self._files, job),
            seconds=round(seconds, 1),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        with self._lock:
            name = f"{job.node}/{job.step}"
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds
            self._state_file.save(self._state_file.load().with_step(job.node, job.step, record))


def _failure(job: Job, exit_code: int, log: Path) -> StepFailure:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    command = "the connection broke" if exit_code == 255 else "run-step"
    for line in reversed(lines):
        if match := _FAILED.fullmatch(line):
            command = match["command"]
            lines.remove(line)
            break
    return StepFailure(job.node, job.step, command, exit_code, log, lines[-_TAIL_LINES:])
