"""Prove golden labs on a real lab, which exists and is verified: it stays, and so do the cache's other golden labs.

Needs root, a private host, and memory for two such labs. The first failure ends it with exit code 1.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

from ending import run_to_the_end

from instant.goals import table
from instant.story import NotGoldenError, Story
from lab.host.host import choose_host
from lab.inputs.load import load_spec
from lab.planning.project import build_dir_of


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make test-golden", description=__doc__)
    parser.add_argument("spec", type=Path, help="of the lab")
    parser.add_argument("--dir", type=Path, metavar="BUILD", help="its build directory, where it is not .lab/NAME")
    parser.add_argument("--kills", type=int, default=2, help="kills of each of save and up (default 2)")
    parser.add_argument("--seed", type=int, help="of their moments (default: a new one, printed)")
    parser.add_argument("--short", action="store_true", help="save, one lab from it, its quick checks, and no more")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    spec = options.spec.absolute()
    work = Path(tempfile.mkdtemp(prefix="test-golden-"))
    print(f"seed {seed}; logs in {work}")
    build_dir = build_dir_of(spec, options.dir, load_spec(spec).name)
    if choose_host(load_spec(spec).name, build_dir).mode != "private":
        print("left out: a second lab of the same name needs a private host", file=sys.stderr)
        return 0 if options.short else 1
    story = Story(spec, build_dir, work, seed, options.kills)
    try:
        if options.short:
            story.short()
        else:
            story.run()
    except NotGoldenError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    finally:
        print(json.dumps(story.figures, indent=2))
        print(table(story.figures))
        if options.json:
            options.json.write_text(json.dumps(story.figures, indent=2) + "\n")
    shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    run_to_the_end("make test-golden", main)
