"""A step that hangs is ended: on its node, by the limit that comes with it, and here, where the node says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sample_plans import SECRETS, sample_plan

from lab.base.errors import MachineError
from lab.generator.render import render
from lab.nodes.schedule import jobs_of
from lab.nodes.state import StateFile
from lab.nodes.steps import StepRunner, step_limit_s
from lab.planning.project import Lab
from lab.planning.secrets import Secrets
from lab.terminal import progress as ui

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

PLAN = sample_plan()
JOB = jobs_of(PLAN)[0]


class HangingSsh:
    """A node that never ends a step."""

    aborted = False

    def __init__(self) -> None:
        self.limits: list[float] = []

    def stream(
        self, node: str, command: Sequence[str], on_line: Callable[[str], None], *, timeout_s: float | None = None
    ) -> int:
        assert command[:3] == ["sudo", "/opt/lab/run-step", JOB.step]
        assert timeout_s is not None
        self.limits += [float(command[3]), timeout_s]
        on_line("apt-get says something")
        raise MachineError(f"on {node}: sudo did not end within {timeout_s:.0f} s")

    def abort(self) -> None:
        self.aborted = True


def test_a_step_whose_node_says_nothing_is_told_with_its_log(tmp_path: Path) -> None:
    lab = Lab(tmp_path, PLAN, Secrets(SECRETS))
    ssh: Any = HangingSsh()
    state = StateFile(tmp_path / "state.json")
    runner = StepRunner(lab, render(PLAN, lab.secrets), ssh, state, ui.LiveProgress())
    with pytest.raises(MachineError) as late:
        runner.run([JOB], ())
    log = tmp_path / "logs" / JOB.node / f"{JOB.step}.log"
    assert late.value.message.startswith(f"step {JOB.step} on {JOB.node}: sudo did not end within ")
    assert late.value.detail == f"full log: {log}"
    assert log.read_text() == "apt-get says something\n"
    on_node, here = ssh.limits
    assert on_node == step_limit_s(PLAN.step(JOB.step), PLAN.wait_factor)
    assert here > 2 * on_node  # an earlier run of the step may have to end first


def test_the_limit_is_far_from_what_a_step_needs() -> None:
    step = PLAN.steps[0]
    assert step_limit_s(step.model_copy(update={"seconds": 10}), 1.0) == 900
    assert step_limit_s(step.model_copy(update={"seconds": 10}), 9.0) == 8100
    assert step_limit_s(step.model_copy(update={"seconds": 1000}), 0.5) == 8000
