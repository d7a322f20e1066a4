"""A golden lab of a real lab, labs made from it, and kills in the middle of both; the first failure ends it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faults.lab_run import LAB, ROOT, LabRun, run_lab
from faults.traces import qemu_pid, traces
from ruamel.yaml import YAML

from lab.box.store import cache_directory
from lab.host.host import choose_host
from lab.inputs.load import load_spec
from lab.inputs.release import load_release
from lab.verbs.opening import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT_S = 3600.0
"""for a verb that nothing disturbs"""
KEYS = ".vagrant/machines/*/libvirt"
WHO_ACCEPTS = Path(__file__).with_name("who_accepts.py")
SPREAD_S = {"save": 90.0, "up": 60.0}
"""over which the kills are spread: about what the verb takes"""


class NotGoldenError(Exception):
    """Something is not as it should be; the message says what, and where the log is."""


@dataclass
class Story:
    """The first lab, which exists and is verified, and the directory for all others."""

    spec: Path
    build_dir: Path
    work: Path
    seed: int
    kills: int
    figures: dict[str, Any] = field(default_factory=dict)
    say: Callable[[str], None] = print

    def run(self) -> None:
        """Prove all of it."""
        first = ["-f", str(self.spec), "--dir", str(self.build_dir)]
        chance = random.Random(self.seed)
        if there := self._serving(first):
            raise NotGoldenError(f"there is one already; first: lab golden remove {there[0]['name']}")
        for number in range(self.kills):
            self._kill(["golden", "save", *first], chance.random() * SPREAD_S["save"], f"save-{number}")
            self._lab(["up", *first], f"save-{number}-back")
            for row in self._serving(first):  # it had come to its end before
                self._lab(["golden", "remove", row["name"]], f"save-{number}-remove")
        self.figures["save_s"] = self._lab(["golden", "save", *first], "save")
        golden = self._golden(first)
        self.figures["golden_mib"] = golden["size_mib"]
        self._second(golden, first, chance)
        self._other_cache(golden)
        self._other_lab(golden)
        self._lab(["golden", "remove", golden["name"]], "remove")
        self._lab(["verify", *first], "first-verify")

    def _second(self, golden: dict[str, Any], first: list[str], chance: random.Random) -> None:
        """Make a lab from it beside the first one, and verify both."""
        build_dir, options = self._new("second")
        for number in range(self.kills):
            self._kill(["up", *options], chance.random() * SPREAD_S["up"], f"up-{number}")
        if self.kills:
            self._lab(["up", *options], "up-back")
            self._lab(["down", *options], "up-back-down")
        self._from_golden(options, "up")
        self._require_own_keys(build_dir)
        for name, of in (("second", options), ("first", first)):
            self._lab(["verify", *of], f"beside-{name}")
        self.figures |= {f"second_{what}": value for what, value in self._takes(build_dir).items()}
        self.figures |= {f"first_{what}": value for what, value in self._takes(self.build_dir).items()}
        code, _ = run_lab(["golden", "remove", golden["name"]], self.work / "refused.log", LIMIT_S)
        if code != 2:
            raise NotGoldenError(f"removing a golden lab below a lab ended with {code}: {self.work / 'refused.log'}")
        self._rotate(build_dir, options)
        self._lab(["verify", *first], "beside-rotated")
        self._down(build_dir, options)
        if not self._golden(first)["serves"]:
            raise NotGoldenError("the golden lab is another one after a lab from it was removed")

    def _require_own_keys(self, build_dir: Path) -> None:
        """Check that a lab has none of the first lab's ssh host keys and keys to log in."""
        known, firsts = ((of / "known_hosts").read_text().splitlines() for of in (build_dir, self.build_dir))
        if same := set(known) & set(firsts):
            raise NotGoldenError(f"{build_dir} has {len(same)} of the first lab's ssh host keys")
        for key in build_dir.glob(f"{KEYS}/private_key"):
            if key.read_text() == (self.build_dir / key.relative_to(build_dir)).read_text():
                raise NotGoldenError(f"{key} is the first lab's")

    def _rotate(self, build_dir: Path, options: list[str]) -> None:
        """Change all passwords, which verifies the lab: the old ones are let in before, and nowhere afterwards."""
        old = dict(opened(build_dir).secrets)
        before = self._who_accepts(old, options)
        self.figures["rotate_s"] = self._lab(["rotate", *options], "rotate")
        new = dict(opened(build_dir).secrets)
        after, now = self._who_accepts(old, options), self._who_accepts(new, options)
        if not before["lets_in"] or now["lets_in"] != before["lets_in"] or after["lets_in"] or after["files"]:
            raise NotGoldenError(f"lab rotate: before {before}; old ones afterwards {after}; new ones {now}")
        self.figures["rotated"] = len(now["lets_in"])

    def _who_accepts(self, passwords: dict[str, str], options: list[str]) -> dict[str, list[str]]:
        script = WHO_ACCEPTS.read_text().replace("= {}", f"= {passwords!r}", 1)
        argv = [*LAB, "ssh", *options, "controller", "--", "sudo python3 -"]
        done = subprocess.run(
            argv, input=script, text=True, capture_output=True, timeout=LIMIT_S, cwd=ROOT, check=False
        )
        if done.returncode:
            raise NotGoldenError(f"who_accepts.py ended with {done.returncode}: {done.stderr[-500:]}")
        found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
        return found

    def _other_cache(self, golden: dict[str, Any]) -> None:
        """Take it to another cache, which has nothing else, and make a lab from it there."""
        file, cache = self.work / "golden.tar", self.work / "cache"
        self.figures["export_s"] = self._lab(["golden", "export", golden["name"], str(file)], "export")
        cache.mkdir(mode=0o755)
        shutil.copytree(cache_directory() / "guests", cache / "guests")  # else the host is proven again
        shutil.copy(cache_directory() / "host-proof.json", cache)
        with self._cache(cache):
            self.figures["import_s"] = self._lab(["golden", "import", str(file)], "import")
            build_dir, options = self._new("third")
            self.figures["imported_up_s"] = self._from_golden(options, "third-up")
            self._lab(["verify", *options], "third-verify")
            self._down(build_dir, options)
            shutil.rmtree(cache)
        file.unlink()

    def _other_lab(self, golden: dict[str, Any]) -> None:
        """Check that a lab of which a part differs does not start from it, and that `lab up --check-only` says so."""
        build_dir = self.work / "other"
        spec = self.work / "other.yaml"
        spec.write_text(_of_other_chapters(self.spec))
        log = self.work / "other.log"
        code, _ = run_lab(["up", "--check-only", "-f", str(spec), "--dir", str(build_dir)], log, LIMIT_S)
        if code != 1 or f"golden lab {golden['name']} is of another lab: " not in log.read_text():
            raise NotGoldenError(f"a lab of other chapters: exit code {code}, or no difference told: {log}")

    def _from_golden(self, options: list[str], name: str) -> float:
        seconds = self._lab(["up", *options], name)
        said = (self.work / f"{name}.log").read_text()
        if "machines of golden lab" not in said or "its disks boot instead" in said or "could not be used" in said:
            raise NotGoldenError(f"lab up did not run from the golden lab's memory: {self.work / name}.log")
        self.figures[f"{name}_s"] = seconds
        return seconds

    def _new(self, name: str) -> tuple[Path, list[str]]:
        build_dir = self.work / name
        return build_dir, ["-f", str(self.spec), "--dir", str(build_dir)]

    def _down(self, build_dir: Path, options: list[str]) -> None:
        self._lab(["down", *options], f"{build_dir.name}-down")
        if left := traces(load_spec(self.spec).name, build_dir):
            raise NotGoldenError(f"lab down left: {'; '.join(left)}")

    def _kill(self, words: list[str], after_s: float, name: str) -> None:
        """Kill `lab` at a moment; it may have come to its end before."""
        run = LabRun(words, self.work / f"{name}.log")
        time.sleep(after_s)
        run.send(signal.SIGKILL)
        run.end(60)
        self.say(f"lab {' '.join(words[:2])} killed after {after_s:.0f} s")

    def _lab(self, words: list[str], name: str) -> float:
        log = self.work / f"{name}.log"
        code, seconds = run_lab(words, log, LIMIT_S)
        if code != 0:
            raise NotGoldenError(f"lab {' '.join(words[:2])} ended with {code} after {seconds:.0f} s; its log: {log}")
        if "Traceback (most recent call last)" in log.read_text():
            raise NotGoldenError(f"lab {' '.join(words[:2])} shows a traceback; its log: {log}")
        self.say(f"lab {' '.join(words[:2])} ({name}): {seconds:.0f} s")
        return seconds

    def _golden(self, options: list[str]) -> dict[str, Any]:
        """Give the row of the golden lab of the spec."""
        serving = self._serving(options)
        if not serving:
            raise NotGoldenError("no golden lab serves; `lab golden list` says why")
        return serving[0]

    def _serving(self, options: list[str]) -> list[dict[str, Any]]:
        """Give the rows of the golden labs that serve for the spec."""
        argv = [*LAB, "golden", "list", "--json", *options]
        said = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=True).stdout
        return [row for row in json.loads(said) if row.get("serves")]

    def _takes(self, build_dir: Path) -> dict[str, int]:
        """Tell what a lab takes: MiB of its disks' own blocks, and of its QEMUs' resident memory."""
        spec = load_spec(self.spec)
        host = choose_host(spec.name, build_dir)
        disk = sum(path.stat().st_blocks for path in host.pool_dir.glob("*")) // 2048
        names = ["controller", *(f"compute{n + 1}" for n in range(spec.nodes.compute.count))]
        pids = [qemu_pid(host, f"{spec.name}-{node}") for node in names]
        return {"disk_mib": disk, "rss_mib": sum(map(_rss_mib, pids))}

    @contextmanager
    def _cache(self, directory: Path) -> Iterator[None]:
        before = os.environ.get("LAB_CACHE")
        os.environ["LAB_CACHE"] = str(directory)
        try:
            yield
        finally:
            if before is None:
                del os.environ["LAB_CACHE"]
            else:
                os.environ["LAB_CACHE"] = before


def _rss_mib(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20


def _of_other_chapters(file: Path) -> str:
    """Write a spec (JSON is YAML) without its optional chapters, or with one where it has none."""
    spec = load_spec(file)
    data = YAML(typ="safe").load(file.read_text()) or {}
    chapters = [] if spec.chapters else [next(iter(load_release(spec.release).chapters))]
    return json.dumps({**data, "chapters": chapters})
