from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.base import resources
from lab.inputs.blocks import ConfigOption, complete_script, config_options, shared_blocks, template

if TYPE_CHECKING:
    from pathlib import Path


def options(body: str, start: str = "crudini --merge /etc/nova/nova.conf <<EOF") -> tuple[ConfigOption, ...]:
    return config_options(f"#!/usr/bin/env bash\n{start}\n{body}\nEOF\necho done\n")


def test_sections_options_and_lines() -> None:
    first, second, third = options("[DEFAULT]\nmy_ip = $MY_IP\n\n# why\n[vnc]\nenabled = true\nnothing =")
    assert first == ConfigOption(
        path="/etc/nova/nova.conf", section="DEFAULT", option="my_ip", value="${MY_IP}", line=4, conditional=False
    )
    assert (second.section, second.option, second.value, second.line) == ("vnc", "enabled", "true", 8)
    assert (third.option, third.value) == ("nothing", "")


def test_option_before_the_first_section() -> None:
    (option,) = options("key = value")
    assert option.section == ""


def test_value_with_equals_signs() -> None:
    (option,) = options("[quotas]\nfilter = a=b,c=d")
    assert option.value == "a=b,c=d"


def test_two_blocks_of_two_files() -> None:
    script = (
        "crudini --merge /etc/a.conf <<EOF\n[a]\nx = 1\nEOF\n"
        "crudini --merge '/etc/b.conf' <<'END' || exit 1\n[b]\ny = $z\nEND\n"
    )
    first, second = config_options(script)
    assert (first.path, first.value) == ("/etc/a.conf", "1")
    assert (second.path, second.value, second.line) == ("/etc/b.conf", "$z", 7)


def test_quoted_word_keeps_everything() -> None:
    (option,) = options("[a]\nx = $(date) \\$y ${z}", "crudini --merge /etc/a.conf <<'EOF'")
    assert option.value == "$(date) \\$y ${z}"


def test_dash_strips_tabs() -> None:
    (option,) = config_options("\tcrudini --merge /etc/a.conf <<-EOF\n\t\t[a]\n\t\tx = 1\n\tEOF\n")
    assert option.section == "a"
    assert option.conditional


BLOCK = "  crudini --merge /etc/a.conf <<EOF\n[a]\n{}\nEOF\n"


@pytest.mark.parametrize(("sign", "has"), [("", True), ("! ", False)])
def test_a_capability_decides_before_the_script_runs(sign: str, has: bool) -> None:
    script = f"if (({sign}LAB_HAS_X1)); then\n{BLOCK.format('x = 1')}else\n{BLOCK.format('x = 2')}fi\n"
    first, second, third = config_options(script + BLOCK.format("x = 3"))
    assert [(o.where, o.conditional) for o in (first, second, third)] == [
        ({"X1": has}, False),
        ({"X1": not has}, False),
        ({}, True),
    ]
    assert (first.runs_with({"X1": True}), first.runs_with({"X1": False})) == (has, not has)
    assert third.runs_with({})


def test_a_comment_behind_the_if_of_a_capability() -> None:
    (option,) = config_options(f"if ((LAB_HAS_X)); then # why\n{BLOCK.format('x = 1')}fi\n")
    assert (option.where, option.conditional) == ({"X": True}, False)


def deeper(text: str) -> str:
    """Indent all but the body of a block."""
    return "".join(line if line[0] in "[xE" else f"  {line}" for line in text.splitlines(keepends=True))


def test_a_capability_in_the_if_of_another_one() -> None:
    inner = f"if ((LAB_HAS_Y)); then\n{BLOCK.format('x = 1')}else\n{BLOCK.format('x = 2')}fi\n"
    outer = f"if ((LAB_HAS_X)); then\n{deeper(inner)}{BLOCK.format('x = 3')}else\n{BLOCK.format('x = 4')}fi\n"
    found = config_options(outer)
    assert [(o.where, o.conditional) for o in found] == [
        ({"X": True, "Y": True}, False),
        ({"X": True, "Y": False}, False),
        ({"X": True}, False),
        ({"X": False}, False),
    ]
    assert [o.value for o in found if o.runs_with({"X": True, "Y": False})] == ["2", "3"]


def test_what_stands_deeper_than_a_capability_may_not_run() -> None:
    (option,) = config_options(f"if ((LAB_HAS_X)); then\n  if other; then\n{deeper(BLOCK.format('x = 1'))}  fi\nfi\n")
    assert (option.where, option.conditional) == ({"X": True}, True)


def test_indented_block_is_conditional() -> None:
    (option,) = options("[a]\nx = 1", "  crudini --merge /etc/a.conf <<EOF")
    assert option.conditional


@pytest.mark.parametrize(
    "start",
    [
        'crudini --merge "$file" <<EOF',
        "crudini --set /etc/a.conf a x 1 <<EOF",
        "cat >/etc/a.conf <<EOF",
        "# crudini --merge /etc/a.conf <<EOF",
    ],
)
def test_no_block(start: str) -> None:
    assert options("[a]\nx = 1", start) == ()


def test_text_of_another_here_document_is_not_a_block() -> None:
    assert [o.option for o in options("[a]\nx = 1")] == ["x"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("$NAME", "${NAME}"),
        ("${NAME}", "${NAME}"),
        ("rabbit://openstack:$RABBIT_PASS@controller", "rabbit://openstack:${RABBIT_PASS}@controller"),
        (r"\$my_ip", "$my_ip"),
        (r"a\\b", r"a\b"),
        (r"a\nb", r"a\nb"),
        (r"\`x\`", "`x`"),
        ("100%", "100%"),
        ("a$", "a$"),
        ("a $ b", "a $ b"),
        ("$(hostname)", None),
        ("`hostname`", None),
        ("${NAME:-x}", None),
        ("${#NAME}", None),
        ("$1", None),
        ("$@", None),
    ],
)
def test_template(text: str, value: str | None) -> None:
    assert template(text) == value


SHARED = "# shellcheck shell=bash\n#\n# Of two steps.\n\ncrudini --merge /etc/a.conf <<EOF\n[a]\nx = $X\nEOF\n"


def test_a_script_has_its_shared_blocks_where_it_reads_them(tmp_path: Path) -> None:
    (tmp_path / "blocks").mkdir()
    (tmp_path / "blocks" / "a-conf.sh").write_text(SHARED)
    script = tmp_path / "10-base.sh"
    script.write_text('say before\nsource "$LAB_DIR/blocks/a-conf.sh"\nsay after\n')
    assert shared_blocks(script.read_text()) == ("blocks/a-conf.sh",)
    complete = complete_script(script)
    assert complete == "say before\ncrudini --merge /etc/a.conf <<EOF\n[a]\nx = $X\nEOF\nsay after\n"
    (option,) = config_options(complete)
    assert (option.value, option.line, option.conditional) == ("${X}", 4, False)


def test_every_script_reads_shared_blocks_where_they_are_seen() -> None:
    """In an `if` or a function they would run, and their options would not be checked."""
    read = set()
    for script in resources.PROVISION.rglob("[0-9]*.sh"):
        text = script.read_text()
        assert text.count("/blocks/") == len(shared_blocks(text)), script
        read |= {script.parent / path for path in shared_blocks(text)}
    assert read == set(resources.PROVISION.rglob("blocks/*"))
