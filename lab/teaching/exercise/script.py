"""What a node is sent, on standard input: values, the library, the exercise's functions, the call of one of them."""

from __future__ import annotations

import re
import shlex
from textwrap import dedent
from typing import TYPE_CHECKING

from lab.teaching.exercise.catalog import BREAK, START_AGAIN, library

if TYPE_CHECKING:
    from lab.teaching.exercise.draw import Variant

SHELL = ("sudo", "-n", "bash", "-s")
"""a list of processes, and the log of sudo, show only this"""
_HEAD = """\
set -euo pipefail
unset HISTFILE
export LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
source /opt/lab/env
export "${!LAB_@}"
"""
_MAY_START = "systemctl reset-failed {units} 2>/dev/null || true\n"
"""five failures within ten seconds, and a unit is not started again: a person is not so fast, a script is"""


def message(variant: Variant, function: str) -> str:
    """Write the script that calls a function of the exercise on its node; passwords come from the node's own file."""
    values = "".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(variant.values.items()))
    call = f"leaving_no_trace {BREAK}" if function == BREAK else function
    units = shlex.join(variant.restarts())
    before = _MAY_START.format(units=units) if units and function not in (BREAK, START_AGAIN) else ""
    # bash reads everything before the call, whose own input is empty.
    return f"{_HEAD}{values}{library()}\n{variant.exercise.script}\n{before}{call} </dev/null\n"


def shown(variant: Variant, function: str) -> str:
    """Show what a function does, with the values that were drawn; passwords stay names."""
    body = dedent(variant.exercise.functions()[function])
    lines = [line for line in body.splitlines() if not line.lstrip().startswith("# shellcheck")]

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        return variant.values.get(name, match[0])

    return re.sub(r"\$\{(\w+)\}|\$(\w+)", value, "\n".join(lines))
