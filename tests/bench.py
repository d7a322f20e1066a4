"""The figures of docs/measured.md, measured on this machine: `make bench`, or for more than the cheap ones

    .venv/bin/python tests/bench.py [--tests] [--boxes] [--lab] [--release zed] [--flavour preloaded]

--tests   `make test`
--boxes   both boxes from nothing, beside a bare mmdebstrap of the same packages (root; about 10 minutes)
--lab     a lab from nothing, removed, made again with its boxes there, verified, saved, restored, removed (root; about
          an hour)

Prints one JSON object; all else goes to stderr. Times are wall clocks around the command `lab` as a user calls it.
--boxes and --lab work in a cache and a build directory of their own: nothing that was there before is used or changed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ending import run_to_the_end

from lab.inputs.release import default_release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
LAB = str(Path(sys.executable).with_name("lab"))
SIXTEEN = ROOT / "examples" / "sixteen-computes.yaml"
DOES_NOT_FIT = 3
"""`lab check`'s exit code for a lab that is too large for this host; it has done all its work by then"""
SAMPLE_EVERY_S = 30.0
MEMORY_NUMBERS = ("MemTotal", "MemAvailable", "oom_kill", "pswpout")
"""of /proc/meminfo (KiB) and /proc/vmstat (counts since boot)"""


def timed(
    argv: Sequence[str], *, good: Sequence[int] = (0,), env: Mapping[str, str] | None = None, show: bool = True
) -> float:
    """Run a command; give its seconds. SystemExit where it fails."""
    if show:
        print(f"$ {' '.join(argv)}", file=sys.stderr, flush=True)
    out = sys.stderr if show else subprocess.DEVNULL
    started = time.monotonic()
    done = subprocess.run(
        argv, cwd=ROOT, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=out, stderr=out
    )
    seconds = round(time.monotonic() - started, 2)
    if done.returncode not in good:
        raise SystemExit(f"bench: exit code {done.returncode} after {seconds} s: {' '.join(argv)}")
    return seconds


def median(argv: Sequence[str], *, good: Sequence[int] = (0,)) -> float:
    """Give the middle of five runs."""
    return statistics.median(timed(argv, good=good, show=False) for _ in range(5))


def machine() -> dict[str, Any]:
    """Say what the figures were measured on."""
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    processor = Path("/proc/cpuinfo").read_text()
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(memory[1]) / 2**20, 1) if memory else None,
        "load_before": os.getloadavg()[0],
        "hardware_virtualization": bool(re.search(r"\b(vmx|svm)\b", processor)),
    }


def bench_cheap() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        return {
            "check_16_computes_s": median([LAB, "check", "-f", str(SIXTEEN)], good=(0, DOES_NOT_FIT)),
            "render_16_computes_s": median([LAB, "render", "-f", str(SIXTEEN), "--dir", f"{scratch}/build"]),
        }


@contextmanager
def workplace(release: str, flavour: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """A spec in a directory of its own, and the environment that keeps `lab` and Vagrant inside it."""
    with tempfile.TemporaryDirectory(prefix="lab-bench-", dir=os.environ.get("TMPDIR", "/var/tmp")) as scratch:
        spec = Path(scratch) / "lab.yaml"
        spec.write_text(f"name: bench\nrelease: {release}\nbox: {{flavour: {flavour}}}\n")
        yield spec, {"LAB_CACHE": f"{scratch}/cache", "VAGRANT_HOME": f"{scratch}/vagrant.d"}


def bench_boxes(release: str, flavour: str) -> dict[str, Any]:
    """Both boxes, then a bare mmdebstrap for each role, side by side as the boxes were."""
    with workplace(release, flavour) as (spec, env):
        boxes_s = timed([LAB, "box", "build", "-f", str(spec)], env=env)
        listed = subprocess.run(
            [LAB, "box", "list", "--json"], env={**os.environ, **env}, check=True, capture_output=True, text=True
        ).stdout
        manifests = [json.loads(Path(box["directory"], "manifest.json").read_text()) for box in json.loads(listed)]
        started = time.monotonic()
        bare = []
        for manifest in manifests:
            target = spec.parent / f"bare-{manifest['role']}"
            argv = [
                *("unshare", "--mount", "--propagation=private", "--"),
                *("mmdebstrap", "--mode=root", "--variant=apt", "--format=directory"),
                *("--aptopt=APT::Install-Recommends false", "--aptopt=Acquire::Languages none"),
                "--dpkgopt=force-unsafe-io",
                f"--include={','.join(manifest['inputs']['requested'])}",
                *(manifest["inputs"]["suite"], str(target), *manifest["sources"]),
            ]
            bare.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr))
        for process in bare:
            if process.wait() != 0:
                raise SystemExit("bench: mmdebstrap failed")
        bare_s = round(time.monotonic() - started, 2)
    phases = {manifest["name"]: manifest["seconds"] for manifest in manifests}
    return {"boxes_s": boxes_s, "bare_mmdebstrap_s": bare_s, "ratio": round(boxes_s / bare_s, 2), "phases_s": phases}


class MemoryWatch(threading.Thread):
    """Reads the guests' memory now and then while a lab comes up; keeps the worst of each number."""

    def __init__(self, spec: Path, env: Mapping[str, str]) -> None:
        super().__init__(daemon=True)
        self._command = [LAB, "ssh", "--file", str(spec)]
        self._env = {**os.environ, **env}
        self._over = threading.Event()
        self.worst = {"peak_used_mib": 0, "swapped_out_pages": 0, "oom_kills": 0}

    def run(self) -> None:
        while not self._over.wait(SAMPLE_EVERY_S):
            self.sample()

    def sample(self) -> None:
        """Ask both nodes; a node that does not answer yet makes no sample."""
        nodes = [self._numbers(name) for name in ("controller", "compute1")]
        if not all(nodes):
            return
        now = {
            "peak_used_mib": sum(n["MemTotal"] - n["MemAvailable"] for n in nodes) // 1024,
            "swapped_out_pages": sum(n["pswpout"] for n in nodes),
            "oom_kills": sum(n["oom_kill"] for n in nodes),
        }
        self.worst = {name: max(value, self.worst[name]) for name, value in now.items()}

    def _numbers(self, node: str) -> dict[str, int]:
        argv = ["timeout", "60", *self._command, node, "--", "cat", "/proc/meminfo", "/proc/vmstat"]
        done = subprocess.run(
            argv, env=self._env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        return parse_numbers(done.stdout) if done.returncode == 0 else {}

    def result(self) -> dict[str, int]:
        self._over.set()
        self.join()
        self.sample()
        return self.worst


def parse_numbers(text: str) -> dict[str, int]:
    """Find the numbers of MEMORY_NUMBERS in /proc/meminfo and /proc/vmstat; empty unless all are there."""
    found = {name: int(value) for name, value in re.findall(r"^(\w+):?\s+(\d+)", text, re.MULTILINE)}
    return {name: found[name] for name in MEMORY_NUMBERS} if set(MEMORY_NUMBERS) <= set(found) else {}


def bench_checkpoint(lab: Callable[..., float], up_s: float, listed: Callable[[], str]) -> dict[str, Any]:
    """Save a running lab, restore it, delete the checkpoint; seconds, and their share of a complete `lab up`.

    `lab` runs a verb and gives its seconds; a restore that ends well has seen that point's quick checks pass.
    `listed` gives what `lab checkpoint list --json` prints.
    """
    save_s = lab("checkpoint", "save", "bench")
    size_mib = json.loads(listed())[0]["size_mib"]
    restore_s = lab("checkpoint", "restore", "bench")
    lab("checkpoint", "delete", "bench")
    return {
        "save_s": save_s,
        "restore_s": restore_s,
        "save_of_up": round(save_s / up_s, 3),
        "restore_of_up": round(restore_s / up_s, 3),
        "size_mib": size_mib,
    }


def bench_lab(release: str, flavour: str) -> dict[str, Any]:
    with workplace(release, flavour) as (spec, env):

        def lab(*verb: str) -> float:
            return timed([LAB, *verb, "--file", str(spec)], env=env)

        def listed() -> str:
            argv = [LAB, "checkpoint", "list", "--json", "--file", str(spec)]
            return subprocess.run(argv, env={**os.environ, **env}, check=True, stdout=subprocess.PIPE, text=True).stdout

        try:
            seconds = {"up_from_nothing_s": lab("up"), "down_after_s": lab("down")}
            watch = MemoryWatch(spec, env)
            watch.start()
            seconds["up_with_boxes_s"] = lab("up")
            memory = watch.result()
            seconds |= {"verify_s": lab("verify"), "up_again_s": lab("up")}
            checkpoint = bench_checkpoint(lab, seconds["up_with_boxes_s"], listed)
            seconds["down_s"] = lab("down")
        finally:
            timed([LAB, "down", "--file", str(spec)], env=env)
    return {"release": release, "flavour": flavour, **seconds, "memory": memory, "checkpoint": checkpoint}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for group in ("tests", "boxes", "lab"):
        parser.add_argument(f"--{group}", action="store_true", help=f"also the figures of {group}")
    parser.add_argument("--release", default=default_release(), help="of --boxes and --lab")
    parser.add_argument("--flavour", choices=["installed", "preloaded"], default="installed", help="of the boxes")
    options = parser.parse_args()
    figures: dict[str, Any] = {"machine": machine(), **bench_cheap()}
    if options.tests:
        figures["tests_s"] = timed(["make", "--no-print-directory", "test"])
    if options.boxes:
        figures["boxes"] = bench_boxes(options.release, options.flavour)
    if options.lab:
        figures["lab"] = bench_lab(options.release, options.flavour)
    print(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    run_to_the_end("bench", main)
