"""Print the proofs that this run of the gate carries out, one a line as `NAME MINUTES LAB`, and on stderr the seed.

A proof is a file of .ci/proofs; the head of each says how many minutes it takes on a normal day, and whether it wants
the running lab of the gate or makes one of its own; `# not: RELEASE…` names those with which it has not been carried
out. They are drawn in an order that the seed gives, as many as fit.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PROOFS = Path(__file__).parent / "proofs"
NORMAL_DAY_MINUTES = 45
REST_MINUTES = {
    words[0]: int(words[1])
    for line in (Path(__file__).parent / "minutes").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#") and (words := line.split())
}
"""of a normal day, which the rest of the gate takes with each release"""
_HEAD = re.compile(r"^# (minutes|lab|not): (\w+(?: \w+)*)$", re.MULTILINE)


@dataclass(frozen=True, order=True)
class Proof:
    """One of the proofs that take turns."""

    name: str
    minutes: int
    """on a normal day"""
    lab: str
    """`running`: that of the gate; `own`: it makes one"""
    not_for: str = ""
    """releases with which it has not been carried out, with blanks between them; empty: none"""

    def __str__(self) -> str:
        return f"{self.name} {self.minutes} {self.lab}"


def read(file: Path) -> Proof:
    """Read a proof's head. KeyError where it lacks a line."""
    head = dict(_HEAD.findall(file.read_text(encoding="utf-8")))
    return Proof(file.name, int(head["minutes"]), head["lab"], head.get("not", ""))


def draw(proofs: Iterable[Proof], seed: int, minutes: int) -> list[Proof]:
    """Choose by the seed, as many as fit into so many minutes; those of the running lab come first.

    A proof of twice the minutes is twice as often the first: what is long would otherwise rarely find room.
    """
    source = random.Random(seed)
    chosen, left = [], minutes
    for proof in sorted(sorted(proofs), key=lambda proof: source.random() ** (1 / proof.minutes), reverse=True):
        if proof.minutes <= left:
            chosen.append(proof)
            left -= proof.minutes
    return sorted(chosen, key=lambda proof: proof.lab != "running")


def left_by(release: str | None) -> int:
    """Give the minutes that the lab of a release leaves for proofs; of one that is not known, as of the slowest."""
    return NORMAL_DAY_MINUTES - REST_MINUTES.get(release or "", max(REST_MINUTES.values()))


def commits() -> int:
    """Count the commits up to here: the next one draws others, and the same one draws the same."""
    argv = ["git", "rev-list", "--count", "HEAD"]
    return int(subprocess.run(argv, cwd=PROOFS, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Read the files, draw, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="of the drawing (default: the number of commits)")
    parser.add_argument("--minutes", type=int, help="as many as fit in these (default: what the release leaves)")
    parser.add_argument("--release", help="leave out the proofs that are not for this one")
    options = parser.parse_args()
    seed = commits() if options.seed is None else options.seed
    fitting = [proof for proof in map(read, PROOFS.iterdir()) if options.release not in proof.not_for.split()]
    minutes = left_by(options.release) if options.minutes is None else options.minutes
    chosen = draw(fitting, seed, minutes)
    print(f"proofs of seed {seed}: {', '.join(p.name for p in chosen) or 'none'}", file=sys.stderr)
    print(*chosen, sep="\n")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # it has nothing to clean up
    main()
