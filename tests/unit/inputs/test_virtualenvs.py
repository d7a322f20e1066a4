"""The recipes of packages that no archive has: boxes/NAME/packages.yaml and its pins."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from lab.base.errors import SpecError
from lab.inputs.release import load_release, release_names
from lab.inputs.virtualenvs import Recipe, load_recipe, read_pins

if TYPE_CHECKING:
    from pathlib import Path

RECIPES = [release for release in map(load_release, release_names()) if release.virtualenvs]


@pytest.fixture(params=RECIPES, ids=lambda release: release.name)
def recipe(request: pytest.FixtureRequest) -> Recipe:
    return load_recipe(request.param.virtualenvs)


def test_every_pin_has_a_checksum(recipe: Recipe) -> None:
    for name in ("bootstrap", *recipe.table.virtualenvs):
        assert recipe.pins(name), name


def test_every_source_and_every_patch_is_of_something_pinned(recipe: Recipe) -> None:
    sources = {pin.key for name in recipe.table.virtualenvs for pin in recipe.sources(name)}
    assert {v.source for v in recipe.table.virtualenvs.values() if v.source} <= sources
    patches = sorted((recipe.directory / "patches").glob("*"))
    assert patches == sorted(path for key in sources for path in recipe.patches(key))
    for path in patches:
        reason = path.read_text(encoding="utf-8").partition("--- a/")[0]
        assert len(reason.split()) > 5, f"{path.name} says why"


def test_every_file_is_of_a_package(recipe: Recipe) -> None:
    packages = {*recipe.table.packages, *(v.package for v in recipe.table.virtualenvs.values())}
    assert {path.name for path in (recipe.directory / "files").iterdir()} <= packages


def test_every_configuration_file_of_a_unit_comes_with_a_package(recipe: Recipe) -> None:
    files = {f"/{path.relative_to(own)}" for own in (recipe.directory / "files").iterdir() for path in own.rglob("*")}
    rows = {**recipe.table.packages, **{v.package: v for v in recipe.table.virtualenvs.values()}}
    wanted = {config for row in rows.values() for unit in row.units.values() for config in unit.configs or ()}
    assert wanted
    assert wanted <= files


def test_a_pin_without_a_checksum_is_told_with_its_line_and_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "nova.txt"
    file.write_text(f"# pins\nsix==1.10.0 --hash=sha256:{'a' * 64}\nnova==15.1.5\npbr>=1.8\n")
    with pytest.raises(SpecError) as caught:
        read_pins(file, locked=True)
    assert [(problem.line, problem.found) for problem in caught.value.problems] == [
        (3, "'nova==15.1.5'"),
        (4, "'pbr>=1.8'"),
    ]
    assert "make lock-virtualenvs" in caught.value.problems[0].hint


def test_pins_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=re.escape("nova.txt: found no such file, expected the pins of a virtualenv")):
        read_pins(tmp_path / "nova.txt", locked=True)


def test_a_package_of_an_unknown_virtualenv_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/packages.yaml").write_text(
        "suite: bullseye\nepoch: 9\npython: python2.7\nbuild: [gcc]\n"
        "virtualenvs:\n  nova: {package: nova-common, title: a}\n"
        "packages:\n  nova-api: {of: neutron, title: b}\n  nova-common: {of: nova, title: c}\n"
    )
    with pytest.raises(SpecError) as caught:
        load_recipe("x", tmp_path)
    assert [(problem.path, problem.found) for problem in caught.value.problems] == [
        ("packages.nova-api.of", "'neutron'"),
        ("packages.nova-common", "nova-common twice"),
    ]
