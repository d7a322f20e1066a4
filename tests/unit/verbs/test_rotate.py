"""`lab rotate`: which passwords change, which steps run again for them, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from recorded_progress import RecordedProgress

from lab.base import builddir
from lab.base.durable import write_text
from lab.base.errors import UsageError
from lab.generator.render import render
from lab.inputs.blocks import shared_blocks, variables_used
from lab.inputs.model import Spec
from lab.inputs.release import release_names
from lab.nodes.schedule import jobs_of
from lab.nodes.state import State, StateFile, StepRecord
from lab.nodes.steps import inputs_digest, not_done
from lab.planning import project, rotated
from lab.planning.plan import HostFacts, HostProof
from lab.planning.project import Lab
from lab.planning.secrets import Secrets
from lab.verbs import golden
from lab.verbs import rotate as rotating
from lab.verification import veil

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lab.generator.render import RenderedFile
    from lab.planning.plan import Plan

PLAN = project.decide(Spec(name="demo", release="epoxy"), HostProof(HostFacts(), "", ""))
SEED = "5e" * 32


@pytest.fixture
def ups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, str]]:
    """A complete lab in tmp_path/build; the passwords with which each `lab up` finds it."""
    build, found = tmp_path / "build", list[Any]()
    (tmp_path / "lab.yaml").write_text("name: demo\nrelease: epoxy\n")
    builddir.claim(build)
    write_text(build / "seed", f"{SEED}\n", mode=0o600)
    write_text(build / "plan.json", PLAN.model_dump_json(), mode=0o600)
    files = render(PLAN, Secrets.derive(SEED, PLAN.secrets))
    steps = {
        f"{job.node}/{job.step}": StepRecord(
            inputs=inputs_digest(files, job), seconds=1, finished="2026-01-01T00:00:00"
        )
        for job in jobs_of(PLAN)
    }
    StateFile(build / "state.json").save(State(steps=steps))
    monkeypatch.setattr(rotating, "bring_up", lambda *_, **__: found.append(Secrets.of_build_dir(build, PLAN)))
    return found


def rotate(tmp_path: Path, *names: str) -> None:
    rotating.rotate(tmp_path / "lab.yaml", tmp_path / "build", names, RecordedProgress())


def will_run(tmp_path: Path) -> set[str]:
    lab = Lab(tmp_path / "build", PLAN, Secrets.of_build_dir(tmp_path / "build", PLAN))
    state = StateFile(lab.build_dir / "state.json").load()
    return {f"{job.node}/{job.step}" for job in not_done(PLAN, render(PLAN, lab.secrets), state)}


def using(name: str, plan: Plan, files: Mapping[str, RenderedFile]) -> set[str]:
    """Name the jobs whose scripts, with the blocks that they read, use a variable."""
    scripts = {job: files[f"nodes/{job.node}/steps/{job.step}.sh"].text for job in jobs_of(plan)}
    for job, text in scripts.items():
        scripts[job] = "\n".join([text, *(files[f"nodes/{job.node}/{path}"].text for path in shared_blocks(text))])
    return {f"{job.node}/{job.step}" for job, text in scripts.items() if name in variables_used(text)}


def test_an_exercise_keeps_the_lab_as_it_broke_it(ups: list[Mapping[str, str]], tmp_path: Path) -> None:
    (tmp_path / "build" / veil.FILE).write_text('{"veiled": true}')
    with pytest.raises(UsageError, match="an exercise runs on this lab"):
        rotate(tmp_path, "NOVA_PASS")
    lab = Lab(tmp_path / "build", PLAN, Secrets.of_build_dir(tmp_path / "build", PLAN))
    with pytest.raises(UsageError, match="`lab golden save` would keep its fault"):
        golden.save(lab, RecordedProgress())
    assert ups == []


@pytest.mark.parametrize("name", PLAN.secrets)
def test_exactly_the_steps_that_use_it_run_again(name: str, ups: list[Mapping[str, str]], tmp_path: Path) -> None:
    assert will_run(tmp_path) == set()
    rotate(tmp_path, name)
    assert will_run(tmp_path) == using(name, PLAN, render(PLAN, Secrets.derive(SEED, PLAN.secrets))) != set()
    before = Secrets.derive(SEED, PLAN.secrets)
    assert {each for each in before if ups[0][each] != before[each]} == {name}


@pytest.mark.parametrize("release", release_names())
def test_no_client_of_the_queue_starts_again_before_the_queue_has_the_password(release: str) -> None:
    """An agent of the Networking service that is refused once ends, with its log full of errors."""
    plan = project.decide(Spec(name="demo", release=release), HostProof(HostFacts(), "", ""))
    files = render(plan, Secrets.derive(SEED, plan.secrets))
    server = next(step.id for step in plan.steps if step.id.endswith("-message-queue"))
    after = {server}
    for step in plan.steps:  # in their order: what a step needs comes before it
        if after & set(step.needs):
            after.add(step.id)
    clients = {job.partition("/")[2] for job in using("RABBIT_PASS", plan, files)}
    assert clients - after == set()
    assert len(clients) > 3


def test_without_a_name_all_change(ups: list[Mapping[str, str]], tmp_path: Path) -> None:
    rotate(tmp_path)
    before = Secrets.derive(SEED, PLAN.secrets)
    assert [each for each in before if ups[0][each] == before[each]] == []


def test_one_that_was_cut_short_is_finished_by_lab_up(ups: list[Mapping[str, str]], tmp_path: Path) -> None:
    rotate(tmp_path, "NOVA_PASS")
    with pytest.raises(UsageError, match=r"the lab is not complete: \S+ \S+: its inputs changed") as caught:
        rotate(tmp_path, "NOVA_PASS")
    assert "`lab up` completes it" in caught.value.hint
    assert {name: len(drawn) for name, drawn in rotated.load(tmp_path / "build").drawn.items()} == {"NOVA_PASS": 1}


def test_an_unknown_name_changes_nothing(ups: list[Mapping[str, str]], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no password NOVA_PAS") as caught:
        rotate(tmp_path, "GLANCE_PASS", "NOVA_PAS")
    assert "NOVA_PASS" in caught.value.hint
    assert ups == []
    assert not (tmp_path / "build" / rotated.FILE).exists()


def test_one_that_the_spec_sets_is_changed_there(ups: list[Mapping[str, str]], tmp_path: Path) -> None:
    plan = PLAN.model_copy(update={"overridden_secrets": ("ADMIN_PASS",)})
    lab = Lab(tmp_path / "build", plan, Secrets.derive(SEED, PLAN.secrets))
    with pytest.raises(UsageError, match="the spec sets ADMIN_PASS itself"):
        rotating._chosen(lab, ["ADMIN_PASS"])
    assert "ADMIN_PASS" not in rotating._chosen(lab, [])
