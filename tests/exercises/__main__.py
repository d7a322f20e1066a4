"""Prove the exercises on a lab that runs: in two orders drawn from a seed; with exit code 1 if one is not good.

In the first order each exercise goes through all of its repairs, and the lab is restored after it. In the second, by
another seed, only the teacher's answer is tried, and nothing is restored in between: so no exercise depends on
what another one left. The lab is saved once for all, and restored at the end.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from ending import run_to_the_end

from exercises.matrix import GREEN, Matrix, Row, red, table
from exercises.thrift import ThriftyBench
from lab.base.errors import UsageError
from lab.teaching.exercise.bench import LabBench
from lab.teaching.exercise.catalog import catalog
from lab.teaching.exercise.desk import Desk
from lab.teaching.exercise.results import Results
from lab.terminal.progress import LiveProgress
from lab.verbs.opening import existing


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make test-exercises", description=__doc__)
    parser.add_argument("--existing", type=Path, default=Path("lab.yaml"), metavar="SPEC", help="of the lab that runs")
    parser.add_argument("--dir", type=Path, metavar="BUILD", help="its build directory, if it is not .lab/NAME")
    parser.add_argument("--seed", type=int, help="of orders and particulars (default: a new one, printed)")
    parser.add_argument("--only", default="", metavar="N,N", help="these exercises")
    parser.add_argument("--draw", type=int, default=0, metavar="COUNT", help="so many, drawn by the seed")
    parser.add_argument("--order", type=int, choices=(1, 2), help="only the first or the second (default: both)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quick", action="store_true", help="grade with the quick checks: faster, and less sure")
    how.add_argument("--suite", action="store_true", help="look at each symptom with the complete suite")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the matrix there, after each exercise")
    found = parser.parse_args()
    if found.seed is None:
        found.seed = random.SystemRandom().randrange(10**6)
    return found


def orders(numbers: list[int], seed: int) -> dict[int, list[int]]:
    """Draw the two orders of the same exercises, each another one."""
    source = random.Random(seed)
    first, second = source.sample(numbers, len(numbers)), source.sample(numbers, len(numbers))
    while len(numbers) > 1 and second == first:
        second = source.sample(numbers, len(numbers))
    return {1: first, 2: second}


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
    lab = existing(options.existing, options.dir)
    progress = LiveProgress()
    bench = ThriftyBench(LabBench(lab, progress), lab.plan, quick=options.quick)
    matrix = Matrix(Desk(lab.plan, lab.build_dir, bench, progress), bench, all_checks=options.suite)
    if matrix.desk.file.path.exists():
        raise UsageError("an exercise runs on this lab", hint="`lab exercise reset` restores the lab")
    if wrong := red(bench.verify()):
        raise UsageError("checks of this lab fail before the first exercise", detail=wrong, hint="`lab up` repairs it")
    results = Results(lab.build_dir).path
    kept = results.read_bytes() if results.exists() else None
    try:
        rows = proven(matrix, options)
    finally:
        if matrix.lab != "right" or matrix.desk.file.path.exists():
            matrix.reset()
        bench.close()
        if kept is None:
            results.unlink(missing_ok=True)
        else:
            results.write_bytes(kept)
    good = sum(row.good for row in rows)
    print(f"{table(rows)}\n{good} of {len(rows)} good (seed {options.seed})")
    return 0 if good == len(rows) else 1


def proven(matrix: Matrix, options: argparse.Namespace) -> list[Row]:
    """Prove the chosen exercises in their orders; ends if the lab cannot be restored."""
    rows: list[Row] = []
    numbers = chosen(options.only, options.draw, options.seed)
    for turn, order in orders(numbers, options.seed).items():
        if options.order not in (None, turn):
            continue
        print(f"order {turn}: {order}", flush=True)
        for number in order:
            rows.append(matrix.prove(number, f"{options.seed}-{turn}", complete=turn == 1))
            write(options, matrix, rows)
            if not rows[-1].stages[GREEN].good:
                print("the lab could not be restored: no more exercises", flush=True)
                return rows
        if turn == 2:
            rows.append(matrix.end())
            write(options, matrix, rows)
    return rows


def write(options: argparse.Namespace, matrix: Matrix, rows: list[Row]) -> None:
    """Write the matrix as JSON, if --json is given."""
    if options.json is not None:
        plan = matrix.desk.plan
        found = {"seed": options.seed, "lab": plan.name, "release": plan.release, "quick": options.quick}
        found["rows"] = [row.as_dict() for row in rows]
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_to_the_end("test-exercises", main)
