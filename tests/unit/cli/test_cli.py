"""The command line as a user meets it: messages and exit codes, nothing changed by a wrong call."""

from __future__ import annotations

import errno
import json
import shutil
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from lab import __version__
from lab.checkpoint.store import Checkpoints, Manifest
from lab.cli.main import app
from lab.nodes.state import State
from lab.planning.project import load_plan

if TYPE_CHECKING:
    from pathlib import Path

runner = CliRunner()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LAB_HOST", "private")
    # other labs may run here now
    monkeypatch.setattr("lab.host.capacity.memory_mib", lambda: (24000, 20000))


def lab(*argv: str) -> tuple[int, str]:
    result = runner.invoke(app, list(argv))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_version() -> None:
    assert lab("--version") == (0, f"lab {__version__}\n")


def test_init_writes_a_spec_that_check_accepts(tmp_path: Path) -> None:
    assert lab("init", "my-lab")[0] == 0
    code, text = lab("check", "--json")
    assert code == 0
    # with warnings beside it, where this machine has little room
    found, _ = json.JSONDecoder().raw_decode(text[text.index("{") :])
    assert found["name"] == "my-lab"
    assert not (tmp_path / ".lab").exists()


def test_init_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text("mine")
    code, text = lab("init")
    assert code == 2
    assert "lab.yaml exists" in text
    assert (tmp_path / "lab.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    "verb",
    [
        "check",
        "render",
        "up",
        "status",
        "verify",
        "down",
        "secrets",
        "logs",
        "ssh-config",
        "ssh controller",
        "exec -- id",
        "checkpoint save first",
        "checkpoint list",
        "checkpoint restore first",
        "checkpoint delete first",
        "goto identity",
    ],
)
def test_a_missing_spec_is_one_message(verb: str, tmp_path: Path) -> None:
    code, text = lab(*verb.split())
    assert code == 2
    assert "lab.yaml" in text
    assert "Traceback" not in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "verb",
    [
        *("status", "verify", "secrets", "logs", "ssh-config", "ssh controller", "exec -- id"),
        *("checkpoint save first", "checkpoint list", "checkpoint restore first", "checkpoint delete first"),
    ],
)
def test_a_lab_that_does_not_stand(verb: str) -> None:
    lab("init", "nobody")
    code, text = lab(*verb.split())
    assert code == 2
    assert "no lab in" in text
    assert "lab up" in text


def test_down_without_a_lab_is_fine() -> None:
    lab("init", "nobody")
    code, text = lab("down")
    assert code == 0
    assert "nothing to remove" in text


def test_down_without_a_checkpoint_keeps_none(tmp_path: Path) -> None:
    lab("init", "render-me")
    lab("render")
    code, text = lab("down", "--keep-checkpoints")
    assert code == 2
    assert "there is no checkpoint to keep" in text
    assert (tmp_path / ".lab" / "render-me" / "plan.json").exists()


def test_down_with_checkpoints_does_not_cut_a_half_done_one_short(tmp_path: Path) -> None:
    lab("init", "render-me")
    lab("render")
    store = keep(tmp_path, "first")
    (store.root / "second.partial").mkdir()
    code, text = lab("down", "--keep-checkpoints")
    assert code == 2
    assert "a save or a restore was interrupted" in text


def keep(tmp_path: Path, name: str) -> Checkpoints:
    """Make a checkpoint that has nothing but its papers."""
    build = tmp_path / ".lab" / "render-me"
    plan = load_plan(build)
    assert plan is not None
    store = Checkpoints(build)
    store.finish(store.begin(name, plan, State()), Manifest(created=0.0, running=True, steps=("10-environment",)))
    return store


def test_checkpoints_are_listed_and_go_with_the_lab(tmp_path: Path) -> None:
    lab("init", "render-me")
    lab("render")
    assert "no checkpoints yet" in lab("checkpoint", "list")[1]
    store = keep(tmp_path, "first")
    (store.root / "second.partial").mkdir()
    rows = json.loads(lab("checkpoint", "list", "--json")[1])
    assert rows[0] == {
        "version": 1,
        "name": "first",
        "complete": True,
        "running": True,
        "created": 0.0,
        "steps": ["10-environment"],
        "size_mib": store.find("first").size_mib(),
    }
    assert rows[1] == {"name": "second", "complete": False}
    text = lab("checkpoint", "list")[1]
    assert "10-environment" in text
    assert "half-written" in text
    assert lab("down")[0] == 0
    assert sorted(path.name for path in store.root.parent.iterdir()) == [".lab-build", "lock", "seed"]


def test_render_is_private_and_diff_is_then_empty(tmp_path: Path) -> None:
    lab("init", "render-me")
    code, before = lab("render", "--diff")
    assert code == 0
    assert "\n+++ b/Vagrantfile\n" in before
    assert not (tmp_path / ".lab").exists()
    assert lab("render")[0] == 0
    build = tmp_path / ".lab" / "render-me"
    assert [p for p in build.rglob("*") if p.stat().st_mode & 0o077] == []
    assert lab("render", "--diff") == (0, "")


def test_no_secret_is_shown_by_a_diff(tmp_path: Path) -> None:
    lab("init", "render-me")
    lab("render")
    password = json.loads(lab("secrets", "--json")[1])["NOVA_DBPASS"]
    (tmp_path / ".lab" / "render-me" / "nodes" / "controller" / "env").write_text("NOVA_DBPASS=other\n")
    code, text = lab("render", "--diff")
    assert code == 0
    assert "nodes/controller/env" in text
    assert password not in text


def test_a_full_disk_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/labs/plan.json")

    lab("init", "full")
    monkeypatch.setattr("lab.generator.files.write_tree", full)
    code, text = lab("render")
    assert code == 3
    assert "the disk is full (/labs/plan.json)" in text
    assert "hint: free some" in text


def test_the_schema_is_json() -> None:
    assert json.loads(lab("schema")[1])["type"] == "object"


def spec_with(tmp_path: Path, **nodes: object) -> None:
    spec = {"name": "grow-me", "release": "zed", "nodes": nodes}
    (tmp_path / "lab.yaml").write_text(json.dumps(spec))  # JSON is YAML


def test_check_shows_what_differs_from_the_lab_that_stands(tmp_path: Path) -> None:
    spec_with(tmp_path, compute={"count": 1})
    assert "would run" not in lab("check")[1]
    lab("render")
    spec_with(tmp_path, compute={"count": 2})
    code, text = lab("check")
    assert code == 0
    assert "node compute2: added" in text
    assert "all 21 steps would run: none has finished yet" in text
    spec_with(tmp_path, compute={"count": 1, "memory": "4 GiB"})
    code, text = lab("check")
    assert code == 0
    assert "compute1.memory_mib: 1536 -> 4096" in text
    assert "lab up --recreate" in text


def test_a_damaged_plan_is_told_by_check_and_refused_by_the_others(tmp_path: Path) -> None:
    spec_with(tmp_path)
    lab("render")
    plan = tmp_path / ".lab/grow-me/plan.json"
    plan.write_text(plan.read_text()[:1000])
    assert lab("check")[0] == 0
    assert "lab up` renames it" in " ".join(lab("check")[1].split())
    code, text = lab("status")
    assert code == 4
    assert "plan.json is damaged" in text
    plan.write_text(json.dumps({"version": 99}))
    code, text = lab("status")
    assert code == 4
    assert "is of another version of lab (format 99, this one knows" in text


def test_check_only_without_a_lab_tells_and_makes_nothing(tmp_path: Path) -> None:
    spec_with(tmp_path)
    code, text = lab("up", "--check-only")
    assert code == 1
    assert "would start libvirtd" in text
    assert "all 17 steps would run" in text
    assert lab("up", "--check-only", "--to", "20-databse")[0] == 2
    assert lab("up", "--check-only", "--recreate")[0] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["lab.yaml"]


def test_an_unknown_verb_or_option() -> None:
    assert lab("upp")[0] == 2
    assert lab("check", "--bogus")[0] == 2


@pytest.mark.parametrize("verb", [["render"], ["up"], ["up", "--recreate"], ["down"], ["status"]])
def test_a_directory_that_is_no_labs_is_refused_and_stays_as_it_is(tmp_path: Path, verb: list[str]) -> None:
    lab("init", "render-me")
    mine = tmp_path / "mine"
    for name in ("logs/a.log", "checkpoints/notes", "state.json"):
        (mine / name).parent.mkdir(parents=True, exist_ok=True)
        (mine / name).write_text("mine")
    before = {path: path.read_text() for path in mine.rglob("*") if path.is_file()}
    code, text = lab(*verb, "--dir", "mine")
    assert code == 2
    assert "not a lab's build directory" in text
    assert "--dir" in text
    assert {path: path.read_text() for path in mine.rglob("*") if path.is_file()} == before


def test_down_removes_a_link_and_not_what_it_leads_to(tmp_path: Path) -> None:
    lab("init", "render-me")
    lab("render", "--dir", "build")
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "file").write_text("stays")
    shutil.rmtree(tmp_path / "build" / "nodes")
    for name in ("logs", "checkpoints", "nodes"):
        (tmp_path / "build" / name).symlink_to(tmp_path / "victim")
    (tmp_path / "build" / "known_hosts").symlink_to(tmp_path / "victim" / "file")
    (tmp_path / "victim" / "controller").mkdir()
    (tmp_path / "victim" / "controller" / "env").write_text("stays")
    assert lab("down", "--dir", "build")[0] == 0
    assert not (tmp_path / "build" / "logs").is_symlink()
    assert {path.read_text() for path in (tmp_path / "victim").rglob("*") if path.is_file()} == {"stays"}
    assert len(list((tmp_path / "victim").rglob("*"))) == 3


def test_a_seed_that_is_a_link_is_refused(tmp_path: Path) -> None:
    lab("init", "render-me")
    lab("render", "--dir", "build")
    (tmp_path / "build" / "seed").rename(tmp_path / "elsewhere")
    (tmp_path / "build" / "seed").symlink_to(tmp_path / "elsewhere")
    code, text = lab("render", "--dir", "build")
    assert code == 3
    assert "is not a plain file" in text


def test_a_damaged_checkpoint_is_listed_among_good_ones(tmp_path: Path) -> None:
    lab("init", "render-me")
    lab("render")
    store = keep(tmp_path, "first")
    for name, content in (("second", ""), ("third", '{"version": 2}')):
        (store.root / name).mkdir()
        (store.root / name / "manifest.json").write_text(content)
    code, text = lab("checkpoint", "list", "--json")
    assert code == 0
    assert [(row["name"], row["complete"]) for row in json.loads(text)] == [
        ("first", True),
        ("third", True),
        ("second", False),
    ]
    assert "of a newer version" in lab("checkpoint", "list")[1]
    assert store.half_written() == ["second"]
