"""Do faults to a real lab, one after the other; the first that it does not survive ends the run, with exit code 1.

Without --existing a lab of its own is made for it, in a directory of its own, and removed at the end. With it the
faults meet an existing lab, which stays.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ending import run_to_the_end

from faults.deeds import Target, possible
from faults.draw import KINDS, USED, Jobs, draw, draw_existing
from faults.lab_run import run_lab
from faults.story import NotSurvivedError, Suite
from faults.traces import traces
from lab.base.errors import HostError
from lab.host.host import choose_host
from lab.inputs.load import load_spec
from lab.inputs.release import default_release
from lab.planning import project
from lab.planning.step_names import step_of
from lab.verbs import opening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from faults.draw import Round
    from lab.planning.plan import Plan

NAME = "faults"
BUILD_DIR_MIB = 64
SMALL = "nodes:\n  controller: {memory: 3 GiB}\n  compute: {memory: 1 GiB}\n"
"""for a lab that stops before its services are many"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make test-faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=5, help="so many faults (default 5)")
    parser.add_argument("--seed", type=int, help="of the drawing (default: a new one, printed)")
    parser.add_argument("--to", default="", metavar="STEP", help="make the lab up to this step (default: all)")
    parser.add_argument("--release", default=default_release())
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"which, of {', '.join(KINDS)}")
    parser.add_argument("--existing", type=Path, metavar="SPEC", help="an existing lab, instead of one made for this")
    parser.add_argument("--dir", type=Path, metavar="BUILD", help="its build directory, where it is not .lab/NAME")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--draw", action="store_true", help="only show what would be done")
    parser.add_argument("--keep", action="store_true", help="leave a lab that did not come back as it is")
    found = parser.parse_args()
    found.kinds = found.kinds.split(",")
    if unknown := set(found.kinds) - set(KINDS):
        parser.error(f"no kind {', '.join(sorted(unknown))}")
    if found.kills < 1:
        parser.error("--kills is 1 or more")
    if found.seed is None:
        found.seed = random.SystemRandom().randrange(10**6)
    return found


@contextlib.contextmanager
def small_file_system(directory: Path) -> Iterator[bool]:
    """Lay a small file system over a directory, which can be filled; whether this machine allows that."""
    directory.mkdir(mode=0o700)
    options = f"size={BUILD_DIR_MIB}m,mode=700"
    argv = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)]
    mounted = subprocess.run(argv, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            # Lazily: what failed may have left a process there, and its logs were copied.
            subprocess.run(["umount", "--lazy", str(directory)], check=False)


def plan_of(spec_file: Path, build_dir: Path) -> Plan:
    """Give the plan of the existing lab, else the one that it will have."""
    spec = load_spec(spec_file)
    return project.load_plan(build_dir) or opening.plan_of(spec, prove=True)


def target_of(spec_file: Path, build_dir: Path, plan: Plan, *, of_tmpfs: bool) -> Target:
    host = choose_host(plan.name, build_dir)
    return Target(spec_file, build_dir, host, {node.name: node.domain for node in plan.nodes}, plan.name, of_tmpfs)


def steps_of(plan: Plan, to: str) -> list[str]:
    ids = [step.id for step in plan.steps]
    return ids[: ids.index(step_of(plan, to)) + 1] if to else ids


def existing(options: argparse.Namespace, logs: Path) -> int:
    """Meet an existing lab."""
    spec_file = options.existing.absolute()
    build_dir = project.build_dir_of(spec_file, options.dir, load_spec(spec_file).name)
    plan = plan_of(spec_file, build_dir)
    target = target_of(spec_file, build_dir, plan, of_tmpfs=False)
    rounds = draw_existing(options.seed, options.kills, possible(options.kinds, target), list(target.domains))
    rounds = [replace(round_, target=options.to) for round_ in rounds]
    suite = Suite(target, options.seed, logs, say)

    def last() -> None:
        if rounds[-1].kind != USED:  # that of a use has verified the lab
            suite.verify(steps_of(plan, options.to))

    return play(suite, rounds, options, last)


def own(options: argparse.Namespace, work: Path, logs: Path) -> int:
    """Make a lab, meet it, and remove it."""
    spec_file, build_dir = work / "lab.yaml", work / "build"
    spec_file.write_text(f"name: {NAME}\nrelease: {options.release}\n{SMALL if options.to else ''}")
    with small_file_system(build_dir) as mounted:
        plan = plan_of(spec_file, build_dir)
        steps = steps_of(plan, options.to)
        target = target_of(spec_file, build_dir, plan, of_tmpfs=mounted)
        jobs = [Jobs(step, len(plan.step(step).nodes)) for step in steps]
        rounds = draw(options.seed, options.kills, possible(options.kinds, target), jobs, list(target.domains))
        if left := traces(NAME, build_dir):
            raise HostError(f"something of a lab {NAME} is here already", detail="\n".join(left))
        suite = Suite(target, options.seed, logs, say)

        def last() -> None:
            suite.verify(steps)
            suite.down(NAME)

        code = 1
        try:
            code = play(suite, rounds, options, last)
        finally:  # a Ctrl-C too
            if code != 0 and not options.keep and not options.draw:
                run_lab(["down", *target.options], logs / "down.log", 600)
        return code


def play(suite: Suite, rounds: list[Round], options: argparse.Namespace, last: Callable[[], None]) -> int:
    """Do the rounds and what comes last; write the results, and keep what tells of a failure."""
    if options.draw:
        for r in rounds:
            say(f"{r.number}: {r.kind} {r.node} at {r.moment}, up to {r.target or 'the end'}, forget {r.forget}")
        return 0
    failure = ""
    try:
        suite.run(rounds)
        last()
    except NotSurvivedError as error:
        failure = str(error)
        say(f"FAILED: {failure}")
        archive = str(suite.logs / "support.tar.xz")
        run_lab(["support", *suite.target.options, "--output", archive], suite.logs / "support.log", 600)
        if (said := suite.target.build_dir / "logs").is_dir():  # somebody may have taken the lab down meanwhile
            shutil.copytree(said, suite.logs / "build", dirs_exist_ok=True)
    if options.json:
        options.json.write_text(json.dumps({**suite.as_dict(), "failure": failure}, indent=2) + "\n")
    return 1 if failure else 0


def say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    options = arguments()
    say(f"seed {options.seed}: {options.kills} faults")
    work = Path(tempfile.mkdtemp(prefix="lab-faults-"))
    logs = work / "logs"
    logs.mkdir()
    code = 1
    try:
        code = existing(options, logs) if options.existing else own(options, work, logs)
    finally:
        if code == 0:
            shutil.rmtree(work)
        else:
            say(f"logs: {logs}")
    return code


if __name__ == "__main__":
    run_to_the_end("test-faults", main)
