"""docs/clients.md: each example says how it is tested, and the tests take it from the page."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from clients.examples import KINDS, PAGE, Example, examples, of_page
from clients.outside import SPEC, User
from ruamel.yaml import YAML

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = """
`a.py`:

<!-- file: a.py -->
```python
print(1)
```

<!-- run: it: 1 -->
```sh
lab exec -- python "$PWD/a.py"
```

<!-- browser -->
```sh
chromium
```
"""


def test_a_block_is_read_with_what_is_said_about_it() -> None:
    assert examples(SAMPLE) == [
        Example("file", "a.py", "print(1)\n"),
        Example("run", "it: 1", 'lab exec -- python "$PWD/a.py"\n'),
        Example("browser", "", "chromium\n"),
    ]


@pytest.mark.parametrize("comment", ["", "<!-- tested -->\n"])
def test_a_block_that_does_not_say_how_it_is_tested_is_refused(comment: str) -> None:
    with pytest.raises(ValueError, match="nothing says how this is tested"):
        examples(f"{comment}```sh\nlab up\n```\n")


def test_the_page_has_examples_of_every_kind_and_none_that_is_not_read() -> None:
    page = PAGE.read_text()
    assert len(examples(page)) == len(re.findall(r"^```\w+$", page, re.MULTILINE))
    assert {example.kind for example in examples(page)} == set(KINDS)
    assert not re.search(r"^ {4}\S", re.sub(r"```.*?```", "", page, flags=re.DOTALL), re.MULTILINE)


@pytest.mark.parametrize("kind", ["run", "forward"])
def test_what_is_run_expects_something_and_is_shell(kind: str) -> None:
    for example in of_page(kind):  # type: ignore[arg-type]
        assert example.told
        subprocess.run(["bash", "-n"], input=example.text, text=True, check=True)


def test_what_is_not_run_says_why() -> None:
    assert all(example.told for example in of_page("not run"))


def test_every_file_is_used_by_a_command() -> None:
    commands = "".join(example.text for example in of_page("run"))
    for example in of_page("file"):
        assert f"$PWD/{example.told}" in commands
        if example.told.endswith(".py"):
            ast.parse(example.text)
        else:
            assert YAML(typ="safe").load(example.text)


FORWARD = """#!/bin/sh
trap 'exit {code}' INT
echo dashboard on 8080
echo Ctrl-C ends it.
while :; do sleep 0.1; done
"""


def user_with(lab: str, home: Path) -> User:
    user = User(home)
    (home / "bin" / "lab").write_text(lab)
    return user


def test_lab_forward_is_ended_as_by_ctrl_c(tmp_path: Path) -> None:
    user = user_with(FORWARD.format(code=0), tmp_path)
    with user.forwarding() as said:
        assert "dashboard on 8080" in said


@pytest.mark.parametrize("lab", [FORWARD.format(code=4), "#!/bin/sh\necho no lab; exit 2\n"])
def test_lab_forward_that_fails_is_told(lab: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="ended with 4|no lab"), user_with(lab, tmp_path).forwarding():
        pass


def test_a_command_that_fails_is_told_with_what_it_wrote(tmp_path: Path) -> None:
    user = User(tmp_path)
    assert user.run("echo one; echo two") == "one\ntwo\n"
    with pytest.raises(AssertionError, match="no such server"):
        user.run("echo no such server >&2; false; echo three")


def test_the_users_lab_knows_the_spec_and_leaves_the_words(tmp_path: Path) -> None:
    user = User(tmp_path)
    text = (tmp_path / "bin" / "lab").read_text()
    (tmp_path / "bin" / "lab").write_text(text.replace(sys.executable, "printf '%s|'"))
    assert user.run("lab exec -- echo 'a b'").endswith(f"|exec|--file|{SPEC}|--|echo|a b|")
