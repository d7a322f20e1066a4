"""`lab exercise new`: the two files of an exercise, to be filled in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lab.base import resources
from lab.base.errors import UsageError
from lab.teaching.exercise.catalog import EXERCISE_ID

if TYPE_CHECKING:
    from pathlib import Path

FACTS = """\
title: What a user would call it
level: 1 # 1, 2 or 3: 10, 20 or 30 points
minutes: 15
guide: "Environment: Memcached" # the section of the guide, as the step's `guide` has it
symptom: "What a user reports; nothing of the answer."
on: controller # or compute, or any: ${NODE} is its name
draw: # what differs from student to student: lists, A..B, `computes`, or values that belong together
  OCTET: 1..250
  SECOND: 0..9
shows: ["${NODE}-22-memcached-socket-*"] # ids of the checks that turn red, with * and ?
restarts: [memcached] # that a repair must survive
hints:
  - name: Where to look
    text: The place.
  - name: What to compare
    text: What is different.
  - name: What is wrong
    text: "The answer: 127.0.${SECOND}.${OCTET}."
broken: "What was done."
showed: "How it showed."
found: "How it is found."
"""
SCRIPT = "19-cache.sh"
"""of the project's own exercises: the script that a new one begins with"""


def write(directory: Path, slug: str) -> tuple[Path, Path]:
    """Write the files of a new exercise, with the next number.

    Raises:
        UsageError: the slug cannot be one, or is taken; or there is no such directory.
    """
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a directory", hint="name another one with --directory")
    taken = {path.stem for path in directory.glob("[0-9][0-9]-*.yaml")}
    number = max((int(name[:2]) for name in taken), default=0) + 1
    name = f"{number:02d}-{slug}"
    if not EXERCISE_ID.fullmatch(name):
        raise UsageError(f"{slug!r} cannot be an exercise's name", hint="small letters, digits and dashes: wrong-port")
    if any(re.sub(r"^\d\d-", "", each) == slug for each in taken):
        raise UsageError(f"there is an exercise {slug} already", hint="take another name")
    facts, script = directory / f"{name}.yaml", directory / f"{name}.sh"
    facts.write_text(FACTS, encoding="utf-8")
    script.write_text((resources.EXERCISES / SCRIPT).read_text(encoding="utf-8"), encoding="utf-8")
    return facts, script
