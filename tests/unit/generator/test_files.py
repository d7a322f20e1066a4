"""Writing a build directory: private, atomic, tidy; and the diff of it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from lab.base.errors import HostError
from lab.generator.files import KEPT_LIST, diff_tree, remove_tree, write_tree
from lab.generator.render import RenderedFile

if TYPE_CHECKING:
    from pathlib import Path

ENV = "nodes/controller/env"


def _env(password: str, ip: str = "10.0.0.11") -> RenderedFile:
    return RenderedFile(f"MY_IP={ip}\nNOVA_PASS={password}\n", secrets=frozenset({"NOVA_PASS"}))


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_modes_whatever_the_umask(tmp_path: Path) -> None:
    root = tmp_path / "new" / "build"
    old = os.umask(0)
    try:
        write_tree(root, {ENV: _env("a"), "nodes/controller/run-step": RenderedFile("#!/bin/sh\n", 0o700)})
    finally:
        os.umask(old)
    assert _mode(root / ENV) == 0o600
    assert _mode(root / "nodes/controller/run-step") == 0o700
    assert {_mode(p) for p in (root, root / "nodes", root / "nodes/controller")} == {0o700}
    assert _mode(root / KEPT_LIST) == 0o600


def test_a_loose_mode_is_mended_even_where_the_text_is_the_same(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": RenderedFile("x")})
    (tmp_path / "a").chmod(0o644)
    assert "mode 0644 becomes 0600" in diff_tree(tmp_path, {"a": RenderedFile("x")})
    write_tree(tmp_path, {"a": RenderedFile("x")})
    assert _mode(tmp_path / "a") == 0o600


def test_what_is_no_longer_rendered_goes_and_nothing_else(tmp_path: Path) -> None:
    write_tree(tmp_path, {"nodes/compute2/env": RenderedFile("x"), "plan.json": RenderedFile("{}")})
    (tmp_path / "seed").write_text("mine")
    (tmp_path / "nodes/notes").write_text("mine too")
    write_tree(tmp_path, {"plan.json": RenderedFile("{}")})
    assert not (tmp_path / "nodes/compute2").exists()
    assert (tmp_path / "seed").read_text() == "mine"
    assert (tmp_path / "nodes/notes").exists()


def test_a_list_that_leads_out_of_the_directory_is_not_believed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("stays")
    root = tmp_path / "build"
    root.mkdir()
    (root / KEPT_LIST).write_text(json.dumps(["../outside", str(outside), 7]))
    write_tree(root, {})
    assert outside.read_text() == "stays"


@pytest.mark.parametrize("damaged", ["", "{", '"text"', "[1, null]"])
def test_a_damaged_list_counts_as_empty(tmp_path: Path, damaged: str) -> None:
    (tmp_path / KEPT_LIST).write_text(damaged)
    write_tree(tmp_path, {"a": RenderedFile("x")})
    assert json.loads((tmp_path / KEPT_LIST).read_text()) == ["a"]


def test_a_symbolic_link_is_replaced_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    root = tmp_path / "build"
    root.mkdir()
    (root / "hosts").symlink_to(victim)
    write_tree(root, {"hosts": RenderedFile("untouched")})
    assert not (root / "hosts").is_symlink()
    write_tree(root, {"hosts": RenderedFile("new")})
    assert victim.read_text() == "untouched"


def test_no_temporary_files_stay(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": RenderedFile("1")})
    write_tree(tmp_path, {"a": RenderedFile("2")})
    assert {p.name for p in tmp_path.iterdir()} == {"a", KEPT_LIST}


def test_a_place_that_cannot_be_written_is_the_hosts_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="file is not a directory"):
        write_tree(tmp_path / "file", {"a": RenderedFile("x")})


def test_diff_of_an_unchanged_tree_is_empty(tmp_path: Path) -> None:
    files = {ENV: _env("a")}
    write_tree(tmp_path, files)
    assert diff_tree(tmp_path, files) == ""


def test_diff_shows_made_changed_and_removed(tmp_path: Path) -> None:
    write_tree(tmp_path, {"hosts": RenderedFile("10.0.0.11\tcontroller\n"), "old": RenderedFile("x\n")})
    shown = diff_tree(tmp_path, {"hosts": RenderedFile("10.9.0.11\tcontroller\n"), "new": RenderedFile("y\n")})
    assert shown == (
        "--- a/hosts\n+++ b/hosts\n@@ -1 +1 @@\n-10.0.0.11\tcontroller\n+10.9.0.11\tcontroller\n"
        "--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+y\n"
        "--- a/old\n+++ /dev/null\n(removed)\n"
    )


def test_diff_writes_nothing(tmp_path: Path) -> None:
    diff_tree(tmp_path, {"a": RenderedFile("x")})
    assert list(tmp_path.iterdir()) == []


def test_diff_masks_secrets_but_tells_that_they_change(tmp_path: Path) -> None:
    write_tree(tmp_path, {ENV: _env("oldSecret1")})
    shown = diff_tree(tmp_path, {ENV: _env("newSecret2", ip="10.0.0.12")})
    assert "oldSecret1" not in shown
    assert "newSecret2" not in shown
    assert "-MY_IP=10.0.0.11\n" in shown
    assert "+MY_IP=10.0.0.12\n" in shown
    assert "+NOVA_PASS=*** (changed)\n" in shown


def test_diff_masks_a_password_of_yaml(tmp_path: Path) -> None:
    def clouds(password: str) -> RenderedFile:
        return RenderedFile(f"auth:\n  user: admin\n  password: {password}\n", secrets=frozenset({"password"}))

    write_tree(tmp_path, {"clouds.yaml": clouds('"old: Secret1"')})
    shown = diff_tree(tmp_path, {"clouds.yaml": clouds('"new=Secret2"')})
    assert "Secret" not in shown
    assert "+  password: *** (changed)\n" in shown


def test_diff_of_another_line_shows_the_secret_as_unchanged(tmp_path: Path) -> None:
    write_tree(tmp_path, {ENV: _env("same")})
    shown = diff_tree(tmp_path, {ENV: _env("same", ip="10.0.0.12")})
    assert " NOVA_PASS=***\n" in shown
    assert "changed" not in shown


def test_diff_of_a_new_env_file_has_no_secret(tmp_path: Path) -> None:
    assert "fresh" not in diff_tree(tmp_path, {ENV: _env("fresh")})


def test_remove_tree_leaves_what_others_made(tmp_path: Path) -> None:
    write_tree(tmp_path, {"nodes/controller/env": RenderedFile("x"), "plan.json": RenderedFile("{}")})
    (tmp_path / "seed").write_text("mine")
    remove_tree(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["seed"]
    remove_tree(tmp_path)
