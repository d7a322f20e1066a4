"""The step files of the project, and how a wrong one is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError
from spec_samples import STEPS, release

from lab.base import resources
from lab.base.errors import SpecError
from lab.inputs.catalog import load_step, load_steps
from lab.inputs.release import Release, load_release, release_names

if TYPE_CHECKING:
    from pathlib import Path

    from lab.inputs.steps import StepFacts


def write(directory: Path, step_id: str, facts: str, script: str | None = "#!/usr/bin/env bash\n") -> None:
    (directory / f"{step_id}.yaml").write_text(facts)
    if script is not None:
        (directory / f"{step_id}.sh").write_text(script)


CAPABILITIES = release().capabilities
GOOD = "title: T\nguide: G\non: [controller]\nseconds: 5\n"


def test_load_step() -> None:
    step = load_step("20-api", STEPS, CAPABILITIES)
    assert step.facts.databases[1].head == "nova-manage db version"
    assert step.script == STEPS / "20-api.sh"
    assert [option.option for option in step.options][:2] == ["my_ip", "transport_url"]


def test_steps_come_in_the_releases_order() -> None:
    assert list(load_steps(release(), STEPS)) == ["10-base", "20-api", "30-compute", "40-cell0"]


def test_problems_of_all_steps_at_once(tmp_path: Path) -> None:
    write(tmp_path, "10-base", GOOD + "packges: [chrony]\nseconds: 0\n")
    write(tmp_path, "20-api", GOOD + "on: [contoller]\n", script=None)
    write(tmp_path, "30-compute", GOOD.replace("seconds: 5", "seconds: -1"))
    with pytest.raises(SpecError) as caught:
        load_steps(release(), tmp_path)
    text = str(caught.value)
    assert "10-base.yaml:5: packges: found the unknown key 'packges'" in text
    assert "did you mean `packages`?" in text
    assert "10-base.yaml:6: seconds: found the same key again" in text
    assert "20-api.yaml: found no script beside it, expected 20-api.sh" in text
    assert "30-compute.yaml:4: seconds: found the number -1, expected more than 0" in text
    assert "40-cell0.yaml: found no such file" in text


def test_unknown_role_names_the_known_ones(tmp_path: Path) -> None:
    write(tmp_path, "10-base", GOOD.replace("controller", "contoller"))
    with pytest.raises(SpecError) as caught:
        load_step("10-base", tmp_path, CAPABILITIES)
    assert "on[0]: found 'contoller', expected one of: controller, compute — did you mean `controller`?" in str(
        caught.value
    )


def test_unknown_key_inside_a_list(tmp_path: Path) -> None:
    write(tmp_path, "10-base", GOOD + "databases:\n  - {name: nova, user: nova, pasword: NOVA_DBPASS}\n")
    with pytest.raises(SpecError) as caught:
        load_step("10-base", tmp_path, CAPABILITIES)
    text = str(caught.value)
    assert "10-base.yaml:6: databases[0].pasword: found the unknown key 'pasword'" in text
    assert "did you mean `password`?" in text
    assert "databases[0].password: found nothing" in text


def test_a_key_under_when_replaces_the_steps_own_for_releases_of_that_capability(tmp_path: Path) -> None:
    facts = GOOD + "units: [a]\npackages: [p]\nwhen:\n  CELLS_V2: {units: [b, c]}\n  CONSOLEAUTH: {packages: []}\n"
    write(tmp_path, "10-base", facts)
    sample = release(steps=("10-base",), chapters={})
    step = load_steps(sample, tmp_path)["10-base"].of(sample.capabilities)
    assert (step.facts.units, step.facts.packages, step.facts.when) == (("b", "c"), ("p",), {})


def test_an_option_of_a_capability_belongs_to_the_releases_that_have_it(tmp_path: Path) -> None:
    block = "  crudini --merge /etc/a.conf <<EOF\n[a]\n{}\nEOF\n"
    script = f"if ((LAB_HAS_CELLS_V2)); then\n{block.format('x = 1')}else\n{block.format('x = 2')}fi\n"
    write(tmp_path, "10-base", GOOD, script)

    def values(**capabilities: bool) -> list[str | None]:
        sample = release(steps=("10-base",), chapters={}, capabilities=capabilities)
        return [option.value for option in load_steps(sample, tmp_path)["10-base"].of(capabilities).options]

    assert (values(CELLS_V2=True), values(CELLS_V2=False)) == (["1"], ["2"])


def test_shared_blocks_are_of_the_step_with_their_options_and_passwords(tmp_path: Path) -> None:
    script = 'source "$LAB_DIR/blocks/a-conf.sh"\n'
    write(tmp_path, "10-base", GOOD, script)
    with pytest.raises(SpecError, match=r"10-base.yaml: found no such file of blocks, expected blocks/a-conf.sh"):
        load_step("10-base", tmp_path, CAPABILITIES)
    (tmp_path / "blocks").mkdir()
    (tmp_path / "blocks" / "a-conf.sh").write_text("crudini --merge /etc/a.conf <<EOF\n[a]\nx = $NOVA_PASS\nEOF\n")
    step = load_step("10-base", tmp_path, CAPABILITIES)
    assert [option.value for option in step.options] == ["${NOVA_PASS}"]
    assert "NOVA_PASS" in step.variables


def test_a_capability_that_no_release_states_is_a_problem(tmp_path: Path) -> None:
    script = "if ((LAB_HAS_CELS_V2)); then\n  crudini --merge /etc/a.conf <<EOF\n[a]\nx = 1\nEOF\nfi\n"
    write(tmp_path, "10-base", GOOD + "when:\n  CONSOLAUTH: {units: []}\n  CELLS_V2: {unit: []}\n", script)
    with pytest.raises(SpecError) as caught:
        load_step("10-base", tmp_path, CAPABILITIES)
    text = str(caught.value)
    assert "when.CELLS_V2.unit: found the unknown key 'unit'" in text
    assert (
        "found the unknown capability CELS_V2, expected one that the release states — did you mean `CELLS_V2`?" in text
    )
    write(tmp_path, "10-base", GOOD + "when:\n  CONSOLAUTH: {units: []}\n")
    with pytest.raises(SpecError, match="10-base.yaml:6: when.CONSOLAUTH: .* did you mean `CONSOLEAUTH`"):
        load_step("10-base", tmp_path, CAPABILITIES)


def test_release_names() -> None:
    assert {"epoxy", "victoria", "zed"} <= set(release_names())


@pytest.mark.parametrize("name", release_names())
def test_every_release_has_its_steps(name: str) -> None:
    loaded = load_release(name)
    assert loaded.name == name
    assert (resources.RELEASES / f"{name}.yaml").read_text().isascii()
    steps = load_steps(loaded, resources.PROVISION)
    assert list(steps) == sorted(steps), "the numbers give the teaching order"
    passwords = {p for step in steps.values() for p in _passwords(step.facts)}
    assert passwords <= set(loaded.secrets)
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", capability) for capability in loaded.capabilities)


def _passwords(facts: StepFacts) -> list[str]:
    return [
        *(database.password for database in facts.databases),
        *(user.password for user in facts.queue_users),
        *(user.password for user in facts.users),
    ]


def test_all_releases_state_the_same_capabilities() -> None:
    assert len({tuple(sorted(load_release(name).capabilities)) for name in release_names()}) == 1


@pytest.mark.parametrize("name", release_names())
def test_chapters_name_only_what_their_release_has(name: str) -> None:
    release = load_release(name)
    for chapter in release.chapters.values():
        assert set(chapter.capabilities) <= {capability for capability, has in release.capabilities.items() if not has}
        assert set(chapter.without) <= set(release.steps)


def test_scripts_ask_only_for_capabilities_that_releases_state() -> None:
    stated = {name for release_name in release_names() for name in load_release(release_name).capabilities}
    for script in resources.PROVISION.glob("**/*.sh"):
        asked = set(re.findall(r"LAB_HAS_([A-Z0-9_]+)", script.read_text()))
        assert asked <= stated, f"{script.name}: {asked - stated}"


def test_every_pair_is_in_a_release() -> None:
    releases = [load_release(name) for name in release_names()]
    listed = {resources.PROVISION / release.edition / step for release in releases for step in release.every_step}
    assert {path.with_suffix("") for path in resources.PROVISION.rglob("*.yaml")} == listed
    assert {path.with_suffix("") for path in resources.PROVISION.rglob("[0-9][0-9]-*.sh")} == listed


def test_an_edition_has_its_steps_in_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    for directory, title in ((tmp_path, "everybody's"), (tmp_path / "second", "the edition's")):
        for step in release().every_step:
            write(directory, step, GOOD.replace("title: T", f"title: {title}"))
    edition = release().model_copy(update={"edition": "second"})
    assert {step.facts.title for step in load_steps(release(), tmp_path).values()} == {"everybody's"}
    assert {step.facts.title for step in load_steps(edition, tmp_path).values()} == {"the edition's"}
    assert load_steps(edition, tmp_path)["20-api"].script == tmp_path / "second" / "20-api.sh"


@pytest.mark.parametrize("edition", ["../lib", "/etc", "First", "first_edition"])
def test_an_edition_is_a_folder_of_provision(edition: str) -> None:
    with pytest.raises(ValidationError, match="edition"):
        Release.model_validate({**release().model_dump(), "edition": edition})


def test_awaits_says_what_the_script_waits_for() -> None:
    release = load_release("zed")
    for step in load_steps(release, resources.PROVISION).values():
        waited = re.findall(r"^wait_for_step (\S+)", step.script.read_text(), re.MULTILINE)
        assert tuple(waited) == step.facts.awaits, step.id


def test_every_uwsgi_reads_a_requests_body_before_the_service_answers() -> None:
    written: dict[str, set[tuple[str, str]]] = {"processes": set(), "post-buffering": set()}
    for script in resources.PROVISION.glob("**/*.sh"):
        for file, option in re.findall(r"^ *set_line (\S+) '\^([a-z-]+)", script.read_text(), re.MULTILINE):
            if option in written:
                written[option].add((script.name, file))
    images = {("40-image.sh", "/etc/glance/glance-api-uwsgi.ini")}  # a body is an image: nobody keeps it twice
    assert written["processes"] > images
    assert written["post-buffering"] == written["processes"] - images
