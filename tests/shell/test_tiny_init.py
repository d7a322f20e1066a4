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


@pytest.mark.parametrize("before", ["", "S"])
def test_every_step_finds_the_line_of_a_boot_also_after_a_stray_character(before: str) -> None:
    """Seen on a busy machine: udhcpc's last line, then "STINY: ip=…"; the step waited for a line that never came."""
    steps = [path.read_text(encoding="utf-8") for path in resources.PROVISION.rglob("*.sh")]
    patterns = [pattern for text in steps for pattern in re.findall(r'booted \d+ "([^"]+)"', text)]
    assert len(patterns) >= 3
    console = f"udhcpc: started\n{before}TINY: ip=172.16.1.5/24 instance-id=i-00000001 hostname=vm\n"
    for pattern in patterns:
        assert re.search(pattern, console, re.MULTILINE), pattern
