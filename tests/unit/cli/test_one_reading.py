"""Every file of the inputs is read at most once by a command."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

COUNT = """
import atexit, collections, json, sys
opened = collections.Counter()
def note(event, args):
    if event == "open" and str(args[0]).endswith((".yaml", ".sh")):
        opened[str(args[0])] += 1
sys.addaudithook(note)
atexit.register(lambda: print(json.dumps(opened), file=sys.stderr))
from lab.cli.main import main
main()
"""


READING_VERBS = (
    ["check"],
    ["check", "--json"],
    ["up", "--check-only"],
    ["render"],
    ["render", "--diff"],
    ["status"],
    ["verify"],
    ["secrets"],
    ["release", "list"],
    ["release", "show", "zed"],
    ["box", "list"],
    ["golden", "list"],
)
"""all that read inputs, change no host and boot no test guest; `release diff` reads the steps of each release"""
WITH_STEPS = ("check", "up", "render")


@pytest.mark.parametrize("verb", READING_VERBS, ids=" ".join)
def test_every_input_is_read_once(tmp_path: Path, verb: list[str]) -> None:
    (tmp_path / "lab.yaml").write_text("name: once\nrelease: victoria\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", COUNT, *verb], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    opened = json.loads(done.stderr.splitlines()[-1])
    steps = [path for path in opened if "/provision/" in path and path.endswith(".yaml")]
    assert len(steps) > 10 or verb[0] not in WITH_STEPS, done.stderr
    assert opened or verb[0] in ("box", "secrets"), done.stderr
    assert {path: times for path, times in opened.items() if times > 1} == {}
