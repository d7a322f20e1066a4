"""One `lab up` under way: what all its phases work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.generator.render import RenderedFile, render
from lab.nodes.schedule import Job, jobs_of
from lab.nodes.ssh import Ssh
from lab.nodes.state import StateFile
from lab.nodes.steps import StepRunner
from lab.nodes.watch import Watch
from lab.verification.run import verify

if TYPE_CHECKING:
    from lab.base.progress import Progress
    from lab.host.host import Host
    from lab.planning.plan import Plan
    from lab.planning.project import Lab
    from lab.verification.report import Report


@dataclass(frozen=True)
class Run:
    """A decided lab, the host that it runs on, and the ways to its nodes; the lab's lock is held."""

    lab: Lab
    host: Host
    progress: Progress
    ssh: Ssh
    state: StateFile
    files: dict[str, RenderedFile]
    """of the build directory, by path"""
    jobs: list[Job]
    """to the step that is asked for, in teaching order"""
    runner: StepRunner
    watch: Watch

    @classmethod
    def of(cls, lab: Lab, host: Host, progress: Progress, to_step: str | None = None) -> Run:
        """Prepare a run; nothing is touched."""
        ssh, state = Ssh(lab.build_dir), StateFile(lab.build_dir / "state.json")
        files = render(lab.plan, lab.secrets)
        return cls(
            lab=lab,
            host=host,
            progress=progress,
            ssh=ssh,
            state=state,
            files=files,
            jobs=jobs_of(lab.plan, to_step=to_step),
            runner=StepRunner(lab, files, ssh, state, progress),
            watch=Watch(host, {node.name: node.domain for node in lab.plan.nodes}, on_end=ssh.abort),
        )

    @property
    def plan(self) -> Plan:
        """The lab's plan."""
        return self.lab.plan

    @property
    def scope(self) -> tuple[str, ...]:
        """The steps of the jobs, each once."""
        return tuple(dict.fromkeys(job.step for job in self.jobs))

    def ask(self, **what: Any) -> Report:
        """Run the suite, or a part of it, as `verification.run.verify`; it ends when a machine ends."""
        known: dict[str, Any] = {"sockets": self.ssh.sockets, "check": self.watch.check}
        return verify(self.plan, self.lab.build_dir, **(known | what))
