"""What a program that `lab` starts sees of the caller's environment."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from lab.base.environment import HANDED_TO_SUDO, search_path, sudo_words, tool_environment, which
from lab.base.process import run

ROOT = Path(__file__).resolve().parents[3]


def test_a_tool_speaks_english_whatever_the_user_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "de")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    said = run(["sh", "-c", "echo ${LANGUAGE-none} $LC_ALL"], timeout_s=10).stdout
    assert said == "none C.UTF-8\n"


@pytest.mark.parametrize("path", ["/usr/bin:/bin", "", ":/usr/bin::"])
def test_programs_of_sbin_are_found_where_path_lacks_it(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", path)
    assert which("chroot") is not None  # coreutils has it in /usr/sbin
    assert run(["chroot", "--version"], timeout_s=10).ok
    assert "" not in search_path().split(":")  # which would be the current directory


def test_the_users_own_directories_come_first() -> None:
    assert search_path("/home/ada/bin:/usr/bin").split(":")[:2] == ["/home/ada/bin", "/usr/bin"]


def test_a_proxy_in_capitals_reaches_apt() -> None:
    given = {"HTTP_PROXY": "http://proxy.example:3128", "https_proxy": "http://one", "HTTPS_PROXY": "http://two"}
    seen = tool_environment(base=given)
    assert seen["http_proxy"] == "http://proxy.example:3128"
    assert seen["https_proxy"] == "http://one"
    assert "no_proxy" not in seen


def test_a_temporary_directory_that_cannot_be_used_is_not_handed_on(tmp_path: Path) -> None:
    assert "TMPDIR" not in tool_environment(base={"TMPDIR": str(tmp_path / "gone")})
    assert tool_environment(base={"TMPDIR": str(tmp_path)})["TMPDIR"] == str(tmp_path)


def test_sudo_keeps_what_is_set_and_shows_no_value() -> None:
    words = sudo_words({"HTTP_PROXY": "http://ada:secret@proxy.example", "LAB_CACHE": "/c", "EDITOR": "vi"})
    assert words == ["sudo", "--preserve-env=LAB_CACHE,HTTP_PROXY"]
    assert sudo_words({}) == ["sudo"]


def test_the_makefile_hands_the_same_to_sudo() -> None:
    found = re.search(r"^HANDED := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found is not None
    assert set(found[1].split()) == set(HANDED_TO_SUDO)


def test_every_program_is_started_with_that_environment() -> None:
    """No call of subprocess inherits the caller's; the suite (lab/verification) runs inside a pytest that has it."""
    bare = []
    for path in sorted((ROOT / "lab").rglob("*.py")):
        if path.parent.name == "verification":
            continue
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            name = ast.unparse(call.func)
            options = {keyword.arg for keyword in call.keywords}
            lacks = (
                name.startswith("subprocess.") and name != "subprocess.CompletedProcess" and "env" not in options
            ) or (name == "shutil.which" and "path" not in options)
            if lacks:
                bare.append(f"{path.relative_to(ROOT)}:{call.lineno}: {name}")
    assert bare == []
