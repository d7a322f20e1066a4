"""Bring a real lab up to a step on one kind of host, which is made for it: see docs/host.md, "How each kind is tried".

Needs root. The first thing that is not as it should be ends the run with exit code 1; nothing stays but logs then.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ending import run_to_the_end

from hosts.calls import Calls, HostProofError
from hosts.container import Container
from hosts.debian import SUITES, minimal
from hosts.desktop import Desktop
from hosts.story import Figures, prove
from lab.base.errors import HostError
from lab.base.surroundings import home

if TYPE_CHECKING:
    from hosts.place import Place

HOSTS = (*SUITES, "container", "system")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make test-hosts", description=__doc__)
    parser.add_argument("host", choices=HOSTS)
    parser.add_argument("--release", default="victoria", help="of the lab (default: victoria, the fastest)")
    how_far = parser.add_mutually_exclusive_group()
    how_far.add_argument("--to", default="20-database", metavar="STEP", help="how far (default: 20-database)")
    how_far.add_argument("--complete", action="store_true", help="every step, in a lab of the default size")
    parser.add_argument(
        "--own-boxes", action="store_true", help="a minimal host builds its boxes, whether there are any"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    return parser.parse_args()


def cache_of_systems() -> Path:
    """Give the directory of minimal systems and images, which are made once: $LAB_HOSTS_CACHE, else in the cache."""
    named = os.environ.get("LAB_HOSTS_CACHE")
    cache = Path(named).absolute() if named else home() / ".cache" / "openstack-compute-lab-hosts"
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def place_of(options: argparse.Namespace, work: Path) -> Place:
    if options.host == "container":
        return Container(work, cache_of_systems(), options.release)
    if options.host == "system":
        return Desktop(work, options.release)
    return minimal(options.host, work, cache_of_systems(), options.release, boxes=not options.own_boxes)


def tried(place: Place, calls: Calls, figures: Figures, to: str | None) -> str:
    """Prove a kind of host, and remove it whatever happens, a Ctrl-C too; gives what is wrong with it, if anything."""
    try:
        prove(place, calls, figures, to)
    except (HostProofError, subprocess.CalledProcessError) as error:
        return str(error)
    finally:
        place.close(calls)
    return ""


def main() -> int:
    options = arguments()
    if os.geteuid() != 0:
        raise HostError("needs root")
    # Not in /tmp: a lab's disks are in it.
    work = Path(tempfile.mkdtemp(prefix="lab-hosts-", dir="/var/tmp"))
    (logs := work / "logs").mkdir()
    calls = Calls(logs, say=lambda text: print(text, flush=True))
    figures = Figures(options.host, options.release)
    try:
        failure = tried(place_of(options, work), calls, figures, None if options.complete else options.to)
    except KeyboardInterrupt:
        shutil.rmtree(work)
        raise
    if options.json:
        options.json.write_text(json.dumps({**asdict(figures), "calls": calls.seconds, "failure": failure}) + "\n")
    if failure:
        kept = Path(tempfile.mkdtemp(prefix="lab-hosts-logs-"))
        shutil.copytree(logs, kept, dirs_exist_ok=True)
        print(f"FAILED on {options.host}: {failure.replace(str(logs), str(kept))}", file=sys.stderr)
    else:
        end = "the end" if options.complete else options.to
        print(
            f"{options.host}: {options.release} up to {end} in {figures.up_s / 60:.1f} min, "
            f"{figures.checks} checks passed, nothing left; {figures.total_s / 60:.1f} min in all"
        )
    shutil.rmtree(work)
    return 1 if failure else 0


if __name__ == "__main__":
    run_to_the_end("test-hosts", main)
