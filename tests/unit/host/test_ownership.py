"""Whose things are whose: descriptions, names of volumes, what is remembered."""

from __future__ import annotations

from pathlib import Path

import pytest
from sample_plans import sample_plan

from lab.base.addresses import bridge_name
from lab.host import records
from lab.host.ownership import in_the_way, is_from, looks_like, own_of, source_of
from lab.planning.project import build_dir_of
from lab.verbs.opening import existing

PLAN = sample_plan()


@pytest.mark.parametrize(
    ("description", "ours"),
    [
        ("Source: /labs/demo/Vagrantfile", True),
        ("Mine, do not touch.\nSource: /labs/demo/Vagrantfile\n", True),
        ("Source: /labs/../labs/demo/Vagrantfile", True),
        ("Source: /labs/demo2/Vagrantfile", False),
        ("Source: /srv/labs/demo/Vagrantfile", False),
        ("Source: /labs/demo/deeper/Vagrantfile", False),
        ("Source: /labs/demo/Vagrantfile.old", False),
        ("A copy of what was in Source: /labs/demo/Vagrantfile", False),
        ("/labs/demo/", False),
        ("", False),
    ],
)
def test_a_domain_is_of_the_directory_that_its_source_names(description: str, ours: bool) -> None:
    assert is_from(description, Path("/labs/demo")) is ours


def test_a_directory_is_the_same_by_whatever_path(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    source = f"Source: {tmp_path}/real/Vagrantfile"
    assert is_from(source, tmp_path / "link")
    assert is_from(source, tmp_path / "real" / ".." / "link")
    assert source_of(f"Source: {tmp_path}/link/Vagrantfile") == tmp_path / "real"


def test_a_spec_by_whatever_path_has_one_build_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    (home / "sub").mkdir(parents=True)
    (home / "lab.yaml").touch()
    (tmp_path / "directory").symlink_to(home)
    (tmp_path / "spec.yaml").symlink_to(home / "lab.yaml")
    monkeypatch.chdir(home / "sub")
    specs: list[str | Path] = [
        "../lab.yaml",
        "../sub/../lab.yaml",
        tmp_path / "directory" / "lab.yaml",
        tmp_path / "spec.yaml",
    ]
    found = {build_dir_of(Path(spec), None, "demo") for spec in specs}
    assert found == {home / ".lab" / "demo"}
    assert build_dir_of(Path("x"), tmp_path / "directory" / "b", "demo") == home / "b"
    (home / "b").mkdir()
    (home / "b" / "plan.json").write_text(PLAN.model_dump_json())
    (home / "b" / "seed").write_text("0" * 64 + "\n")
    assert existing(Path("x"), tmp_path / "directory" / "b").build_dir == home / "b"
    assert {records.lab_key("demo", tmp_path / place) for place in ("home/b", "directory/b", "home/sub/../b")} == {
        records.lab_key("demo", home / "b")
    }


def test_names_that_vagrant_gives_volumes() -> None:
    volumes = ["d-c1.img", "d-c1_1.img", "d-c1-vdb.qcow2", "d-c1.qcow2", "d-c10.img", "d-c1s.img", "box_d-c1.img"]
    assert [volume for volume in volumes if looks_like("d-c1", volume)] == volumes[:4]
    assert in_the_way("d-c1", volumes) == volumes[:2]


def test_what_is_remembered_of_a_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "STATE_ROOT", tmp_path / "state")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    build = tmp_path / "build"
    assert own_of("demo", build).recorded is False
    made = build / ".vagrant" / "machines" / "controller" / "libvirt"
    made.mkdir(parents=True)
    (made / "created_networks").write_text("one\ntwo\n")
    records.save(records.record_of(PLAN, build, "system"))
    records.note_volumes(records.lab_key("demo", build), ["demo-compute1.img"])
    records.save(records.record_of(PLAN, build, "system"))  # as the next `lab up` does
    own = own_of("demo", build)
    assert own.recorded
    assert own.volumes == {"demo-compute1.img"}
    assert own.networks == {"one", "two"}
    assert bridge_name("demo", "access") in own.bridges
    records.note_volumes("nobody-00000000", ["x.img"])
    assert records.load("nobody-00000000") is None
