"""Type chapters of the handout on a lab that runs, as a student does, and grade each by `lab check-step`.

Nothing but the student's edition is read, and the passwords by their names. A chapter whose work by hand is not as good
as that of its script ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ending import run_to_the_end

from by_hand.paper import chapters, typed
from lab.base.errors import MachineError
from lab.nodes.state import StateFile
from lab.planning.step_names import step_of
from lab.teaching import pages
from lab.teaching.companion import graded, place_of
from lab.teaching.exercise.bench import LabBench
from lab.teaching.handout import Edition, handout
from lab.terminal.companion import print_graded
from lab.terminal.progress import LiveProgress
from lab.verbs.opening import existing
from lab.verification import proven
from lab.verification.run import verify

if TYPE_CHECKING:
    from lab.planning.project import Lab


def main() -> int:
    parser = argparse.ArgumentParser(prog="make test-by-hand", description=__doc__)
    parser.add_argument("--existing", type=Path, default=Path("lab.yaml"), metavar="SPEC", help="of the lab that runs")
    parser.add_argument("steps", nargs="*", metavar="STEP", help="chapters (default: all that are not proven yet)")
    options = parser.parse_args()
    lab = existing(options.existing, None)
    bench = LabBench(lab, LiveProgress())
    paper = chapters(pages.markdown(handout(lab.plan, lab.secrets, Edition.STUDENT)))
    done = [step.id for step in place_of(lab.plan, StateFile(lab.build_dir / "state.json").load()).proven]
    wanted = [step_of(lab.plan, word) for word in options.steps]
    for step in wanted or [step.id for step in lab.plan.steps if step.id not in done]:
        began = time.monotonic()
        with bench.locked("make test-by-hand"):
            for node, script in typed(paper.get(step, []), lab.secrets):
                print(f"{step}: typing {script.count(chr(10))} lines on {node}", flush=True)
                try:
                    bench.run(node, script)
                except MachineError as error:
                    print(f"{step}: {error}", flush=True)
                    return 1
        took = time.monotonic() - began
        if not _is_right(lab, step):
            return 1
        print(f"{step}: as good as the script's, typed in {took:.0f} s", flush=True)
    return 0


def _is_right(lab: Lab, step: str) -> bool:
    report = verify(lab.plan, lab.build_dir, (step,))
    proven.note(lab, report)
    found = graded(lab.plan, step, report)
    print_graded(found)
    return not found.of("missing") and not found.of("unknown")


if __name__ == "__main__":
    run_to_the_end("test-by-hand", main)
