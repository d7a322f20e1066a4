"""A build directory that was copied or moved: what its verbs say, and that they reach nobody's machines."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from sample_plans import sample_plan
from typer.testing import CliRunner

from lab.base import builddir
from lab.base.errors import UsageError
from lab.cli.main import app
from lab.host import place, records
from lab.host.place import At, whereabouts
from lab.machines import moved
from lab.nodes.ssh_config import SshConfig

if TYPE_CHECKING:
    from pathlib import Path

PLAN = sample_plan()
CONFIG = "Host controller\n  HostName 192.168.121.2\n  User vagrant\n  IdentityFile {}/.vagrant/key\n"
REACHING = [
    *(["status"], ["ssh", "controller"], ["exec", "--", "true"], ["ssh-config"], ["verify"], ["support"]),
    *(["halt"], ["resume"], ["pause"], ["unpause"], ["goto", "identity"], ["up", "--check-only"]),
    *(["checkpoint", "save", "x"], ["checkpoint", "list"], ["checkpoint", "restore", "x"]),
    ["checkpoint", "delete", "x"],
]


@pytest.fixture(autouse=True)
def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "STATE_ROOT", tmp_path / "state")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant"))
    monkeypatch.setenv("LAB_HOST", "private")
    (tmp_path / "lab.yaml").write_text("name: demo\nrelease: zed\n")


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """The build directory of a lab that is up."""
    directory = tmp_path / "original"
    builddir.claim(directory)
    (directory / "plan.json").write_text(PLAN.model_dump_json())
    (directory / "seed").write_text("0" * 64 + "\n")
    SshConfig(directory).add(CONFIG.format(directory))
    moved.claim(PLAN, directory, "private")
    return directory


def lab(tmp_path: Path, directory: Path, *argv: str) -> tuple[int, str]:
    end = argv.index("--") if "--" in argv else len(argv)
    options = ["-f", str(tmp_path / "lab.yaml"), "--dir", str(directory)]
    result = CliRunner().invoke(app, [*argv[:end], *options, *argv[end:]])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def everything(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_directory_that_stayed_is_at_home(original: Path) -> None:
    before = records.known_keys()
    assert whereabouts(original) is At.HOME
    assert whereabouts(original / ".." / "original") is At.HOME
    moved.claim(PLAN, original, "private")
    assert records.known_keys() == before
    record = records.load(before[0])
    remembered = place.load(original)
    assert record is not None
    assert remembered is not None
    assert record.id == remembered.id


@pytest.mark.parametrize("verb", [*REACHING, ["up"], ["down"]], ids=" ".join)
def test_a_copy_reaches_nothing(tmp_path: Path, original: Path, verb: list[str]) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(original, copy)
    before = everything(original), everything(copy), everything(tmp_path / "state")
    code, text = lab(tmp_path, copy, *verb)
    assert code == 2
    assert f"{copy} is a copy of {original}" in text
    assert f"`rm -r {copy}`, then `lab up`" in text
    after = everything(original), everything(copy), everything(tmp_path / "state")
    assert after == before


@pytest.mark.parametrize("verb", REACHING, ids=" ".join)
def test_a_lab_that_was_moved_is_told_how_to_go_on(tmp_path: Path, original: Path, verb: list[str]) -> None:
    there = original.rename(tmp_path / "there")
    code, text = lab(tmp_path, there, *verb)
    assert code == 2
    assert f"this lab was moved from {original} to {there}" in text
    assert "`lab up` continues here" in text


def test_passwords_and_logs_of_a_copy_can_be_read(tmp_path: Path, original: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(original, copy)
    assert lab(tmp_path, copy, "secrets")[0] == 0


def test_the_doctor_tells_of_a_copy(tmp_path: Path, original: Path) -> None:
    from lab.cli.diagnose import lab_findings

    shutil.copytree(original, tmp_path / "copy")
    (finding,) = lab_findings("demo", tmp_path / "copy")
    assert (finding.id, finding.ok) == ("place", False)
    assert "is a copy of" in finding.found
    assert "rm -r" in finding.repair


def test_a_copy_of_a_lab_that_was_moved_on_is_a_copy(tmp_path: Path, original: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(original, copy)
    there = original.rename(tmp_path / "there")
    remembered = place.load(there)
    assert remembered is not None
    record = records.load(remembered.key)
    assert record is not None
    place.save(there, remembered.model_copy(update={"build_dir": str(there)}))
    records.save(record.model_copy(update={"build_dir": str(there)}))
    with pytest.raises(UsageError, match=f"is a copy of {there}"):
        records.require_home(copy)
    records.require_home(there)


def test_the_same_directory_by_another_path_is_no_copy(
    tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a bind mount."""
    other = tmp_path / "other"
    shutil.copytree(original, other)
    monkeypatch.setattr("os.path.samefile", lambda *_: True)
    with pytest.raises(UsageError, match=f"{other} is {original} by another path"):
        records.require_home(other)


def test_a_moved_lab_keeps_its_name_on_this_machine_and_another_one_gets_its_own(
    tmp_path: Path, original: Path
) -> None:
    key = records.lab_key("demo", original)
    there = original.rename(tmp_path / "there")
    assert records.lab_key("demo", there) != key  # not before it is known to have been moved
    remembered, record = place.load(there), records.load(key)
    assert remembered is not None
    assert record is not None
    place.save(there, remembered.model_copy(update={"build_dir": str(there)}))
    records.save(record.model_copy(update={"build_dir": str(there)}))
    assert records.lab_key("demo", there) == key
    original.mkdir()
    new = records.lab_key("demo", original)
    assert new != key
    moved.claim(PLAN, original, "private")
    assert records.lab_key("demo", original) == new
    assert sorted(records.known_keys()) == sorted([key, new])


def test_a_lab_is_not_made_in_the_place_of_one_that_was_moved_away(tmp_path: Path, original: Path) -> None:
    key = records.lab_key("demo", original)
    original.rename(tmp_path / "there")
    code, text = lab(tmp_path, original, "up")
    assert code == 2
    assert f"this machine has a lab demo of {original}, but that directory has no record of it" in text
    assert f"`lab down --lab {key}`" in text


def test_a_new_directory_in_the_place_of_a_moved_lab_is_not_its_original(tmp_path: Path, original: Path) -> None:
    there = original.rename(tmp_path / "there")
    builddir.claim(original)  # as `lab render` does
    assert whereabouts(there) is At.MOVED
    place.save(there, place.Place(id="other", key="demo-00000000", build_dir=str(original)))
    (original / builddir.MARKER).write_text("{damaged")
    assert whereabouts(there) is At.COPY  # it may be


def test_the_lab_that_is_there_now_keeps_its_files_when_the_one_of_before_is_removed(
    tmp_path: Path, original: Path
) -> None:
    key = records.lab_key("demo", original)
    original.rename(tmp_path / "there")
    (original / "logs").mkdir(parents=True)
    place.save(original, place.Place(id=place.new_id(), key=key, build_dir=str(original)))
    CliRunner().invoke(app, ["down", "--lab", key], catch_exceptions=False)
    assert records.known_keys() == []
    assert (original / "logs").is_dir()
    assert place.load(original) is not None


def test_a_removal_that_was_cut_short_is_no_lab_that_was_moved(
    tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as cut:
        cut.setattr(records, "remove", lambda _key: (_ for _ in ()).throw(KeyboardInterrupt))
        assert lab(tmp_path, original, "down")[0] == 130
    moved.refuse_lost("demo", original)
    assert lab(tmp_path, original, "down")[0] == 0
    assert records.known_keys() == []
    assert place.load(original) is None


def test_a_lab_of_which_this_machine_has_nothing_begins_anew(tmp_path: Path, original: Path) -> None:
    """The directory came from another machine, or the lab was removed while it was away."""
    there = original.rename(tmp_path / "there")
    records.remove(records.known_keys()[0])
    said: list[str] = []
    moved.follow("demo", there, "lab up", said.append)
    assert "this machine has no machines of it" in said[0]
    records.require_home(there)
    assert str(original) not in SshConfig(there).path.read_text()


def test_the_keys_and_sockets_of_a_moved_lab_are_those_of_its_new_place(tmp_path: Path, original: Path) -> None:
    between, there = original.rename(tmp_path / "50% & more"), tmp_path / "a place"
    SshConfig(between).relocate(original)
    assert 'IdentityFile "' + f"{between}/.vagrant/key".replace("%", "%%") in SshConfig(between).path.read_text()
    between.rename(there)
    SshConfig(there).relocate(between)
    text = SshConfig(there).path.read_text()
    assert f'IdentityFile "{there}/.vagrant/key"' in text
    assert f'UserKnownHostsFile "{there}/known_hosts"' in text
    assert f"{original}/" not in text
    SshConfig(tmp_path / "nothing").relocate(original)
    assert not (tmp_path / "nothing").exists()


def test_a_note_that_cannot_be_read_is_none(original: Path) -> None:
    (original / builddir.MARKER).write_bytes(b"")
    assert place.load(original) is None
    records.require_home(original)
    moved.claim(PLAN, original, "private")
    remembered, record = place.load(original), records.load(records.known_keys()[0])
    assert remembered is not None
    assert record is not None
    assert remembered.id == record.id
