"""Which golden lab `lab up` begins with, and what it says where none serves."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest
from recorded_progress import RecordedProgress
from sample_plans import sample_plan

from lab.base.errors import MachineError
from lab.generator.render import render
from lab.golden import fit as fitting
from lab.golden import mark
from lab.golden.digest import Machine, parts_of
from lab.golden.fit import passwords_digest
from lab.golden.mark import Mark
from lab.golden.store import GoldenLabs, Manifest
from lab.host import page_sharing
from lab.host.private import PrivateHost
from lab.inputs.model import Spec
from lab.nodes.state import State, StateFile, StepRecord
from lab.planning import rotated
from lab.planning.project import Lab
from lab.planning.secrets import Secrets
from lab.verbs import up_golden
from lab.verbs.run import Run
from lab.verification.report import CheckResult, Report

if TYPE_CHECKING:
    from pathlib import Path

    from lab.golden.store import Golden
    from lab.planning.plan import Plan

PLAN = sample_plan()
SPEC = Spec(name="demo", release="zed")
SEED = "5e" * 32
MACHINE = Machine("private", "7.2", "9.0", "emulated")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GoldenLabs:
    monkeypatch.setattr(fitting, "today", lambda plan, files, _mode: parts_of(plan, files, {}, MACHINE))
    made = GoldenLabs(tmp_path / "cache", state_root=tmp_path / "hosts")
    monkeypatch.setattr(up_golden, "GoldenLabs", lambda: made)
    return made


def golden_of(store: GoldenLabs, plan: Plan = PLAN, name: str = "zed-1") -> Golden:
    secrets = Secrets.derive(SEED, plan.secrets)
    partial = store.begin(name)
    (partial / "seed").write_text(SEED)
    parts = parts_of(plan, render(plan, secrets), {}, MACHINE)
    digest = passwords_digest(SEED, secrets)
    manifest = Manifest(
        created=1.0, lab="demo", release="zed", build_dir="", parts=parts, passwords=digest, disks={}, files={}
    )
    return store.finish(partial, manifest)


def a_host(tmp_path: Path) -> Any:
    return PrivateHost("demo", tmp_path / "build", reason="", state_root=tmp_path / "hosts")


def choose(tmp_path: Path, spec: Spec = SPEC) -> tuple[fitting.Fit | None, list[str]]:
    progress = RecordedProgress()
    found = up_golden.choose(spec, PLAN, tmp_path / "build", a_host(tmp_path), progress)
    return found, progress.lines


def test_one_that_fits_is_chosen_and_gives_its_seed(store: GoldenLabs, tmp_path: Path) -> None:
    golden = golden_of(store)
    found, said = choose(tmp_path)
    assert found is not None
    assert (found.golden.name, said) == (golden.name, [])
    seed = tmp_path / "build" / "seed"
    assert (seed.read_text().strip(), seed.stat().st_mode & 0o777) == (SEED, 0o600)
    assert choose(tmp_path)[0] is not None  # as after a crash


@pytest.mark.parametrize(
    ("rotate", "changed"), [("off", set()), ("access", {"ADMIN_PASS"}), ("all", set(PLAN.secrets))]
)
def test_the_spec_says_which_passwords_change_at_once(
    rotate: Any, changed: set[str], store: GoldenLabs, tmp_path: Path
) -> None:
    golden_of(store)
    spec = SPEC.model_copy(update={"rotate": rotate})
    assert choose(tmp_path, spec)[0] is not None
    build = tmp_path / "build"
    before, after = Secrets.derive(SEED, PLAN.secrets), Secrets.derive(SEED, PLAN.secrets, rotated=rotated.load(build))
    assert {name for name in before if before[name] != after[name]} == changed
    assert choose(tmp_path, spec)[0] is not None  # as after a crash, and after `lab down`
    assert Secrets.derive(SEED, PLAN.secrets, rotated=rotated.load(build)) == after


def test_what_the_golden_lab_had_changed_comes_first(store: GoldenLabs, tmp_path: Path) -> None:
    golden = golden_of(store)
    rotated.save(golden.directory, rotated.Rotated().more(["NOVA_PASS"]))
    manifest = golden.manifest.model_copy(
        update={
            "passwords": passwords_digest(
                SEED, Secrets.derive(SEED, PLAN.secrets, rotated=rotated.load(golden.directory))
            )
        }
    )
    (golden.directory / "manifest.json").write_text(manifest.model_dump_json())
    assert choose(tmp_path)[0] is not None
    build = tmp_path / "build"
    assert rotated.load(build) == rotated.load(golden.directory)
    rotated.save(build, rotated.load(build).more(["NOVA_PASS"]))
    later = rotated.load(build)
    assert choose(tmp_path)[0] is not None
    assert rotated.load(build) == later


def test_without_any_nothing_is_said_or_made(store: GoldenLabs, tmp_path: Path) -> None:
    assert choose(tmp_path) == (None, [])
    assert not (tmp_path / "build").exists()


def test_one_of_another_lab_is_not_used_and_said_in_a_line(store: GoldenLabs, tmp_path: Path) -> None:
    nodes = tuple(node.model_copy(update={"memory_mib": node.memory_mib + 1024}) for node in PLAN.nodes)
    golden_of(store, PLAN.model_copy(update={"nodes": nodes}))
    found, said = choose(tmp_path)
    assert found is None
    assert said == [
        "golden lab zed-1 is of another lab, and not used: compute1: memory mib: 4096 -> 3072 and 1 more; "
        "`lab golden list` shows them"
    ]
    assert not (tmp_path / "build" / "seed").exists()


def test_other_passwords_are_said(store: GoldenLabs, tmp_path: Path) -> None:
    golden_of(store)
    found, said = choose(tmp_path, SPEC.model_copy(update={"passwords": {"ADMIN_PASS": "mine"}}))
    assert (found, said) == (
        None,
        ["golden lab zed-1 is of another lab, and not used: passwords: the spec sets others"],
    )


def test_who_only_looks_is_told_of_other_passwords_too(store: GoldenLabs, tmp_path: Path) -> None:
    golden_of(store)
    lab = Lab(tmp_path / "build", PLAN, Secrets.derive("0" * 64, PLAN.secrets))
    spec = SPEC.model_copy(update={"passwords": {"ADMIN_PASS": "mine"}})
    (found,) = up_golden.look(spec, lab, a_host(tmp_path))
    assert found.other == ("passwords: the spec sets others",)
    (found,) = up_golden.look(SPEC, lab, a_host(tmp_path))
    assert found.serves


@pytest.mark.parametrize("seed", ["", "not a seed"])
def test_one_with_a_damaged_seed_does_not_serve(seed: str, store: GoldenLabs, tmp_path: Path) -> None:
    (golden_of(store).directory / "seed").write_text(seed)
    found, said = choose(tmp_path)
    assert found is None
    assert "is damaged: it should hold 64 hexadecimal digits" in said[0]


def test_one_without_its_seed_does_not_serve(store: GoldenLabs, tmp_path: Path) -> None:
    (golden_of(store).directory / "seed").unlink()
    found, said = choose(tmp_path)
    assert (found, said) == (None, ["golden lab zed-1 is of another lab, and not used: passwords: its seed is missing"])


def test_a_lab_that_has_begun_goes_on(store: GoldenLabs, tmp_path: Path) -> None:
    golden_of(store)
    (tmp_path / "build").mkdir()
    record = StepRecord(inputs="x", seconds=1.0, finished="2026-01-01T00:00:00+00:00")
    StateFile(tmp_path / "build" / "state.json").save(State(steps={"controller/10-environment": record}))
    assert choose(tmp_path) == (None, [])


def a_run(tmp_path: Path) -> Run:
    (tmp_path / "build").mkdir(exist_ok=True)
    lab = Lab(tmp_path / "build", PLAN, Secrets.derive(SEED, PLAN.secrets))
    return Run.of(lab, a_host(tmp_path), RecordedProgress())


@pytest.mark.parametrize(
    ("error", "why"),
    [(MachineError("libvirt says no"), "libvirt says no"), (OSError(28, "No space left on device"), "No space left")],
)
def test_where_it_fails_the_lab_is_made_as_ever(
    error: Exception, why: str, store: GoldenLabs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden_of(store)
    fit, _ = choose(tmp_path)
    undone: list[Path] = []

    def fails(lab: Lab, *_: Any) -> bool:
        mark.save(lab.build_dir, Mark(golden="zed-1"))
        raise error

    monkeypatch.setattr(up_golden, "provide", fails)
    monkeypatch.setattr(up_golden, "undo", lambda lab, _: undone.append(lab.build_dir))
    run = a_run(tmp_path)
    assert not up_golden.begin(run, fit, SPEC)
    assert undone == [tmp_path / "build"]
    said = run.progress.lines[-1]  # type: ignore[attr-defined]
    assert said.startswith("golden lab zed-1 could not be used, making everything: ")
    assert why in said


@pytest.mark.parametrize(
    ("rotate", "called"), [("off", "begin"), ("access", "begin"), ("all", "keep_apart"), (None, None)]
)
def test_memory_is_shared_unless_labs_are_to_be_apart(
    rotate: Any, called: str | None, store: GoldenLabs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden_of(store)
    fit = choose(tmp_path)[0] if rotate else None
    calls: list[tuple[str, Path]] = []

    def told(name: str, at: Path) -> str:
        calls.append((name, at))
        return "told"

    for name in ("begin", "keep_apart"):
        monkeypatch.setattr(page_sharing, name, functools.partial(told, name))
    monkeypatch.setattr(up_golden, "provide", lambda *_: True)
    run = a_run(tmp_path)
    assert up_golden.begin(run, fit, SPEC.model_copy(update={"rotate": rotate})) is bool(rotate)
    assert calls == ([(called, a_host(tmp_path).state_dir)] if called else [])
    assert run.progress.lines[-1:] == (["told"] if called else [])  # type: ignore[attr-defined]


def test_what_was_cut_short_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undone: list[Path] = []
    monkeypatch.setattr(up_golden, "undo", lambda lab, _: undone.append(lab.build_dir))
    run = a_run(tmp_path)
    for known, expected in ((None, 0), (Mark(golden="zed-1", complete=True), 0), (Mark(golden="zed-1"), 1)):
        if known is not None:
            mark.save(run.lab.build_dir, known)
        up_golden.remove_unfinished(run.lab, run.host, run.progress)
        assert len(undone) == expected
    (run.lab.build_dir / mark.FILE).write_text("{")
    with pytest.raises(MachineError, match="is damaged") as caught:
        up_golden.remove_unfinished(run.lab, run.host, run.progress)
    assert len(undone) == 1  # it may be a complete lab, with its user's work in it
    (run.lab.build_dir / mark.FILE).write_text((caught.value.hint or "").partition("file: ")[2])
    up_golden.remove_unfinished(run.lab, run.host, run.progress)
    assert len(undone) == 1


@pytest.mark.parametrize(
    ("outcome", "known", "saved"),
    [("passed", None, True), ("failed", None, False), ("passed", Mark(golden="zed-1", complete=True), False)],
)
def test_a_lab_is_kept_after_its_first_good_suite(
    outcome: Any, known: Mark | None, saved: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuses(lab: Lab, *_: Any) -> None:
        asked.append(lab.plan.name)
        raise MachineError("no room")

    monkeypatch.setattr(up_golden, "GoldenLabs", lambda: GoldenLabs(tmp_path / "cache"))
    monkeypatch.setattr(up_golden, "name_of", lambda *_: "zed-2")
    monkeypatch.setattr(up_golden, "save", refuses)
    run = a_run(tmp_path)
    if known is not None:
        mark.save(run.lab.build_dir, known)
    up_golden.keep(run, Report((CheckResult("c", "10-environment", "controller", outcome, "", "", 0.1),)))
    assert bool(asked) == saved
    assert ("no golden lab is saved: no room" in run.progress.lines) == saved  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "saved"), [("zed-1", False), ("zed-2", True)])
def test_an_equal_golden_lab_is_kept_without_a_word(
    name: str, saved: bool, store: GoldenLabs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden_of(store)
    asked: list[str] = []
    monkeypatch.setattr(up_golden, "name_of", lambda *_: name)
    monkeypatch.setattr(up_golden, "save", lambda lab, *_: asked.append(lab.plan.name))
    run = a_run(tmp_path)
    up_golden.keep(run, Report((CheckResult("c", "10-environment", "controller", "passed", "", "", 0.1),)))
    assert bool(asked) == saved
    assert run.progress.lines == (["golden: saving a golden lab"] if saved else [])  # type: ignore[attr-defined]


def test_a_lab_whose_disk_cannot_be_read_is_not_kept(
    store: GoldenLabs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> str:
        raise MachineError("qemu-img says no")

    monkeypatch.setattr(up_golden, "name_of", fails)
    run = a_run(tmp_path)
    up_golden.keep(run, Report((CheckResult("c", "10-environment", "controller", "passed", "", "", 0.1),)))
    assert run.progress.lines == ["no golden lab is saved: qemu-img says no"]  # type: ignore[attr-defined]
