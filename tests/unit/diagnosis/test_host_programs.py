"""Every program that runs on the host is one that the doctor asks for, or that every Debian has."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.diagnosis.doctor_look import PACKAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
ON_THE_HOST = ("prepare.sh", "finish.sh", "assemble.sh")

EVERYWHERE = {
    "bash": "bash sh",
    "coreutils": "cat chmod chroot cp date dd df env install ln mkdir printf rm sort stat true truncate uname",
    "findutils": "find",
    "grep": "grep",
    "tar": "tar",
    "util-linux": "dmesg setpriv unshare",
    "dpkg": "dpkg dpkg-deb dpkg-query",
    "apt": "apt-cache apt-get",
    "passwd": "usermod",
}
"""packages that are essential or required in Debian, and what the lab uses of them"""

WHERE_IT_IS = {
    "sudo": "only where the user is not root; lab.host.host.sudo says so where it is missing. In the nodes always",
    "systemctl": "only on a machine with systemd",
    "erl_call": "only in a controller, whose RabbitMQ runs in Erlang",
}

NO_PROGRAMS = {"password", "seconds", "state", "state.json", "string", "lab"}
"""first words of lists that are no command lines"""

_PROGRAM = re.compile(r"^[a-z][a-z0-9._+-]*$")


def known() -> set[str]:
    asked = {name for package in PACKAGES for name in (package.command, *package.programs) if name}
    return {*asked, *(name for names in EVERYWHERE.values() for name in names.split()), *WHERE_IT_IS}


def started_by_python(source: str) -> Iterator[str]:
    """Give the first word of every list that may be a command line, and the first after what is put before it."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.List | ast.Starred):
            continue
        held = node if isinstance(node, ast.List) else node.value
        words = list(held.elts) if isinstance(held, ast.List | ast.Tuple) else []
        while words and isinstance(words[0], ast.Starred):
            words.pop(0)
        first = words[0].value if words and isinstance(words[0], ast.Constant) else None
        if isinstance(first, str) and _PROGRAM.fullmatch(first):
            yield first


_KEYWORDS = {
    *("if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "in", "function"),
    *(
        "local",
        "readonly",
        "set",
        "return",
        "continue",
        "exit",
        "shift",
        "read",
        "echo",
        "cd",
        "export",
        "trap",
        "exec",
        "source",
    ),
}


def started_by_shell(source: str) -> set[str]:
    """Give the first word of each simple command of a script (in shfmt's layout), without builtins and functions."""
    text = re.sub(r"<<-?'?(\w+)'?(.*?)\n.*?\n\1\n", r"\2\n", source, flags=re.DOTALL)  # here-documents
    text = re.sub(r"\\\n", " ", text)
    text = re.sub(r"(?m)(^|\s)#.*$", "", text)
    own = set(re.findall(r"(?m)^(\w+)\(\) \{", text))
    text = re.sub(r"'[^']*'", "''", text)
    pieces = re.split(r"\n|;|\|\|?|&&|\$\(|<\(|\)", text)
    words = set()
    for piece in pieces:
        left = piece.split()
        while left and (
            left[0] in _KEYWORDS - {"for", "case", "local", "readonly", "in"} or "=" in left[0] or left[0] == "!"
        ):
            left.pop(0)
        if left and _PROGRAM.fullmatch(left[0]):
            words.add(left[0])
    return words - _KEYWORDS - own


def test_the_scanners_see_commands() -> None:
    python = "run(['xz', '-d']); x = [*FIRST, 'mmdebstrap', '--mode=root']; y = (*('setpriv', '--foo'),); z = ['--not']"
    assert {"xz", "mmdebstrap", "setpriv"} <= set(started_by_python(python))
    shell = 'f() {\n  local x=1\n  if zstd -d "$1"; then a=$(busybox cat) | cpio -i; fi\n}\ncat <<E\nnft list\nE\nf 1\n'
    assert started_by_shell(shell) == {"zstd", "busybox", "cpio", "cat"}


def test_python_starts_nothing_that_nobody_asks_for() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "lab").rglob("*.py")
        for name in started_by_python(path.read_text())
        if name not in known() | NO_PROGRAMS
    }
    assert found == set()


@pytest.mark.parametrize("script", ON_THE_HOST)
def test_the_box_scripts_start_nothing_that_nobody_asks_for(script: str) -> None:
    found = started_by_shell((ROOT / "boxes" / script).read_text())
    assert "mkdir" in found
    assert found - known() == set()


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="not a Debian")
def test_what_every_debian_has_is_so() -> None:
    shown = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Essential} ${Priority}\n", *EVERYWHERE],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    ranks = {line.split()[0]: line.split()[1:] for line in shown.splitlines()}
    assert {name for name, rank in ranks.items() if not {"yes", "required", "important"} & set(rank)} == set()
