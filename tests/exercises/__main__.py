"""Prove the exercises on a lab that runs: in two orders drawn from a seed; with exit code 1 if one is not good.

In the first order each exercise goes through all of its repairs, in the second through the teacher's answer alone, by
another seed: so no exercise depends on what another one left.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from ending import run_to_the_end

from exercises.matrix import Matrix, Row
from lab.base.errors import UsageError
from lab.teaching.exercise.bench import LabBench
from lab.teaching.exercise.catalog import catalog
from lab.teaching.exercise.desk import Desk
from lab.teaching.exercise.results import Results
from lab.terminal.progress import LiveProgress
from lab.verbs.opening import existing


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make test-exercises", description=__doc__)
    parser.add_argument("--lab", type=Path, default=Path("lab.yaml"), metavar="SPEC")
    parser.add_argument("--dir", type=Path, metavar="BUILD", help="its build directory, if it is not .lab/NAME")
    parser.add_argument("--seed", type=int, help="of orders and particulars (default: a new one, printed)")
    parser.add_argument("--only", default="", metavar="N,N", help="these exercises")
    parser.add_argument("--draw", type=int, default=0, metavar="COUNT", help="so many, drawn by the seed")
    parser.add_argument("--orders", type=int, choices=(1, 2), default=2)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, after each exercise")
    found = parser.parse_args()
    if found.seed is None:
        found.seed = random.SystemRandom().randrange(10**6)
    return found


def orders(numbers: list[int], seed: int, count: int) -> list[list[int]]:
    """Draw so many orders of the same exercises, each another one."""
    source = random.Random(seed)
    drawn = [source.sample(numbers, len(numbers)) for _ in range(count)]
    while len(numbers) > 1 and count > 1 and drawn[1] == drawn[0]:
        drawn[1] = source.sample(numbers, len(numbers))
    return drawn


def chosen(only: str, draw: int, seed: int) -> list[int]:
    """Choose the exercises of a run."""
    known = [each.number for each in catalog()]
    wanted = [int(word) for word in only.split(",")] if only else known
    if unknown := sorted(set(wanted) - set(known)):
        raise UsageError(f"no exercise {', '.join(map(str, unknown))}", hint="`lab exercise list`")
    return sorted(random.Random(seed).sample(wanted, draw)) if 0 < draw < len(wanted) else wanted


def main() -> int:
    options = arguments()
    print(f"seed {options.seed}", flush=True)
    lab = existing(options.lab, options.dir)
    progress = LiveProgress()
    desk = Desk(lab.plan, lab.build_dir, LabBench(lab, progress), progress)
    if not desk.bench.verify().good:
        raise UsageError("checks of this lab fail before the first exercise", hint="`lab up` repairs it")
    results = Results(lab.build_dir).path
    kept = results.read_bytes() if results.exists() else None
    rows: list[Row] = []
    try:
        numbers = chosen(options.only, options.draw, options.seed)
        for turn, order in enumerate(orders(numbers, options.seed, options.orders)):
            print(f"order {turn + 1}: {order}", flush=True)
            for number in order:
                rows.append(Matrix(desk).prove(number, f"{options.seed}-{turn}", complete=turn == 0))
                if options.json is not None:
                    found = {"seed": options.seed, "rows": [row.as_dict() for row in rows]}
                    options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    finally:
        if kept is None:
            results.unlink(missing_ok=True)
        else:
            results.write_bytes(kept)
    good = sum(row.good for row in rows)
    print(f"{good} of {len(rows)} good (seed {options.seed})")
    return 0 if good == len(rows) else 1


if __name__ == "__main__":
    run_to_the_end("test-exercises", main)
