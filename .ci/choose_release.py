"""Print the release that this run of the gate brings up, and on stderr why it is this one.

One that the last commit changed goes first; else the tested ones take turns, a commit each.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from lab.inputs.release import load_release, release_names

ROOT = Path(__file__).parent.parent


def git(*words: str) -> list[str]:
    """Lines of git's answer; none where it has none, as for what changed in the first commit."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


def choose() -> tuple[str, str]:
    """Name a release, and say why."""
    tested = [release for release in map(load_release, release_names()) if release.tested]
    changed = git("diff", "--name-only", "HEAD~1", "HEAD")
    for release in tested:
        for path in (f"lab/releases/{release.name}.yaml", f"boxes/{release.suite}.yaml"):
            if path in changed:
                return release.name, f"the last commit changed {path}"
    turn = int("".join(git("rev-list", "--count", "HEAD")) or 0)
    return tested[turn % len(tested)].name, f"its turn among {', '.join(r.name for r in tested)} (commit {turn})"


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # it has nothing to clean up
    name, reason = choose()
    print(f"release {name}: {reason}", file=sys.stderr)
    print(name)
