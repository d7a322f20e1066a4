"""What the tiny guest takes for an answer of the metadata service."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from lab.base import resources

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("status", "expected"), [("200 OK", "instance-compute1.novalocal\n"), ("504 Gateway Timeout", ""), ("500 X", "")]
)
def test_only_a_good_answer_counts(status: str, expected: str, tmp_path: Path) -> None:
    script = (resources.BOXES / "tiny-init.sh").read_text(encoding="utf-8")
    function = re.search(r"^metadata\(\) \{\n.*?^\}\n", script, re.MULTILINE | re.DOTALL)
    assert function is not None
    nc = tmp_path / "nc"
    body = r"HTTP/1.1 %s\r\nContent-Type: text/plain\r\n\r\ninstance-compute1.novalocal\n"
    nc.write_text(f"#!/bin/sh\ncat >/dev/null\nprintf '{body}' '{status}'\n")
    nc.chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", f"{function[0]}metadata hostname"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == expected
