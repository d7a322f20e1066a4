"""What a step's digest depends on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sample_plans import SECRETS, sample_plan

from lab.generator.render import render
from lab.nodes.schedule import jobs_of
from lab.nodes.steps import inputs_digest

if TYPE_CHECKING:
    from lab.generator.render import RenderedFile

PLAN = sample_plan()


def changed(files: dict[str, RenderedFile], path: str) -> set[str]:
    """The jobs whose digest is another one when a file of the payloads changes."""
    other = {**files, path: replace(files[path], text=f"{files[path].text}# changed\n")}
    return {"/".join(job) for job in jobs_of(PLAN) if inputs_digest(files, job) != inputs_digest(other, job)}


@pytest.mark.parametrize(
    ("path", "jobs"),
    [
        ("nodes/controller/steps/20-database.sh", {"controller/20-database"}),
        ("nodes/controller/blocks/nova-conf.sh", {"controller/50-compute-controller"}),
        ("nodes/compute1/blocks/nova-conf.sh", {"compute1/55-compute-node"}),
        ("nodes/compute1/blocks/neutron-conf.sh", {"compute1/65-network-compute"}),
        ("nodes/compute1/lib/units.sh", {f"compute1/{step}" for step in PLAN.node("compute1").steps}),
    ],
)
def test_a_file_concerns_the_steps_that_read_it(path: str, jobs: set[str]) -> None:
    assert changed(render(PLAN, SECRETS), path) == jobs
