"""A file and its base, read as one document."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.base.errors import SpecError
from lab.inputs.layers import read_layers

if TYPE_CHECKING:
    from pathlib import Path

    from lab.inputs.document import Document

COMMON = """\
flags:
  FAST: false
  SMALL: false
words:
  - one
"""
DEBIAN = """\
base: common
system: Debian
size: 1
words: [two]
chapters:
  spice:
    title: SPICE
    needs: [A]
"""
ZED = """\
base: debian
name: zed
size: 2
flags:
  FAST: true
words: [three]
chapters:
  spice:
    needs: [B]
  serial: {title: Serial}
"""


@pytest.fixture
def zed(tmp_path: Path) -> Document:
    for name, text in (("common", COMMON), ("debian", DEBIAN), ("zed", ZED)):
        file = tmp_path / ("zed.yaml" if name == "zed" else f"base/{name}.yaml")
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return read_layers(tmp_path / "zed.yaml", top="a release")


def test_a_file_and_its_bases_are_one(zed: Document) -> None:
    assert zed.data == {
        "flags": {"FAST": True, "SMALL": False},
        "words": ["one", "two", "three"],
        "system": "Debian",
        "size": 2,
        "chapters": {"spice": {"title": "SPICE", "needs": ["A", "B"]}, "serial": {"title": "Serial"}},
        "name": "zed",
    }


@pytest.mark.parametrize(
    ("loc", "place"),
    [
        (("words", 0), "common.yaml:5"),
        (("words", 1), "debian.yaml:4"),
        (("words", 2), "zed.yaml:6"),
        (("words",), "zed.yaml:6"),
        (("flags", "FAST"), "zed.yaml:5"),
        (("flags", "SMALL"), "common.yaml:3"),
        (("chapters", "spice", "title"), "debian.yaml:7"),
        (("chapters", "spice", "needs", 1), "zed.yaml:9"),
        (("chapters", "serial", "title"), "zed.yaml:10"),
        (("size",), "zed.yaml:3"),
        (("missing",), "zed.yaml"),
    ],
)
def test_a_problem_names_the_file_and_the_line_that_have_the_value(
    zed: Document, loc: tuple[str | int, ...], place: str
) -> None:
    zed.problem(loc, "it", "another")
    with pytest.raises(SpecError) as caught:
        zed.raise_problems()
    assert f"{place}: " in str(caught.value)


def test_problems_of_a_base_are_kept(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base/common.yaml").write_text("a: 1\na: 2\n")
    (tmp_path / "zed.yaml").write_text("base: common\n")
    with pytest.raises(SpecError, match=r"common\.yaml:2: a: found the same key again"):
        read_layers(tmp_path / "zed.yaml", top="a release").raise_problems()


@pytest.mark.parametrize(
    ("base", "hint"), [("comon", "did you mean `common`"), ("zed", "one of: common"), ("[x]", "one of: common")]
)
def test_a_base_that_is_none(tmp_path: Path, base: str, hint: str) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base/common.yaml").write_text("a: 1\n")
    (tmp_path / "zed.yaml").write_text(f"name: zed\nbase: {base}\n")
    with pytest.raises(SpecError) as caught:
        read_layers(tmp_path / "zed.yaml", top="a release")
    assert "zed.yaml:2: base: found " in str(caught.value)
    assert hint in str(caught.value)


def test_bases_do_not_go_round_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    for name, base in (("a", "b"), ("b", "c"), ("c", "b")):
        (tmp_path / ("a.yaml" if name == "a" else f"base/{name}.yaml")).write_text(f"base: {base}\n")
    with pytest.raises(SpecError, match=r"c\.yaml:1: base: found 'b'"):
        read_layers(tmp_path / "a.yaml", top="a release")
