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


@pytest.mark.parametrize("verb", [["check"], ["up", "--check-only"], ["render", "--diff"]], ids=" ".join)
def test_every_input_is_read_once(tmp_path: Path, verb: list[str]) -> None:
    (tmp_path / "lab.yaml").write_text("name: once\nrelease: victoria\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", COUNT, *verb], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    opened = json.loads(done.stderr.splitlines()[-1])
    steps = [path for path in opened if "/provision/" in path and path.endswith(".yaml")]
    assert len(steps) > 10, done.stderr
    # A script is read for its options, and once more where it is copied into the build directory.
    ends = (".yaml",) if "render" in verb or "up" in verb else (".yaml", ".sh")
    twice = {path: times for path, times in opened.items() if times > 1 and path.endswith(ends)}
    assert twice == {}
