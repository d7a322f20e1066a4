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
from faults.traces import traces
from ruamel.yaml import YAML

from instant import takes
from lab.box.store import cache_directory
from lab.host import page_sharing
from lab.inputs.load import load_spec
from lab.inputs.release import load_release
from lab.verbs.opening import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT_S = 3600.0
"""for a verb that nothing disturbs"""
CHECKPOINT = "test-golden"
KEYS = ".vagrant/machines/*/libvirt"
WHO_ACCEPTS = Path(__file__).with_name("who_accepts.py")
SPREAD_S = {"save": 40.0, "up": 60.0}
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

    def short(self) -> None:
        """Prove the way that all take: a golden lab, a lab from it with its quick checks, and nothing of both left."""
        first = self._first()
        golden = self._save(first)
        build_dir, options = self._new("second")
        try:
            self._from_golden(options, "up")
            self._require_own_keys(build_dir)
            self._measure_disks(build_dir)
        finally:
            self._down(build_dir, options)
        self._lab(["golden", "remove", golden["name"]], "remove")
        self._lab(["up", *first], "first-up")

    def run(self) -> None:
        """Prove all of it."""
        first = self._first()
        self.figures["first_up_s"] = self._made_in_s(first)
        self._checkpoint(first)
        chance = random.Random(self.seed)
        for number in range(self.kills):
            self._kill(["golden", "save", *first], chance.random() * SPREAD_S["save"], f"save-{number}")
            self._lab(["up", *first], f"save-{number}-back")
            for row in self._serving(first):  # it had come to its end before
                self._lab(["golden", "remove", row["name"]], f"save-{number}-remove")
        golden = self._save(first)
        before = takes.pressure()
        build_dir, second = self._second(first, chance)
        passes = takes.passes() if takes.is_sharing() else None
        self._three(first, second, before)
        self._measure_memory(build_dir, passes)
        with self._alone(first):
            self._rotate(build_dir, second)
        self._lab(["verify", *first], "beside-rotated")
        with self._alone(first, second):
            self._another_admin()
            self._another_name()
            self._other_cache(golden)
        self._other_lab(golden)
        code, _ = run_lab(["golden", "remove", golden["name"]], self.work / "refused.log", LIMIT_S)
        if code != 2:
            raise NotGoldenError(f"removing a golden lab below a lab ended with {code}: {self.work / 'refused.log'}")
        self._down(build_dir, second)
        if not self._golden(first)["serves"]:
            raise NotGoldenError("the golden lab is another one after a lab from it was removed")
        self._lab(["golden", "remove", golden["name"]], "remove")
        self._lab(["verify", *first], "first-verify")

    def _first(self) -> list[str]:
        """Give the options of the first lab, of which there must be no golden one yet."""
        first = ["-f", str(self.spec), "--dir", str(self.build_dir)]
        if there := self._serving(first):
            raise NotGoldenError(f"there is one already; first: lab golden remove {there[0]['name']}")
        return first

    def _made_in_s(self, first: list[str]) -> float | None:
        """Give how long the first lab took, its boxes aside; None if more than one `lab up` has made it."""
        timing = json.loads(self._said(["timing", "--json", *first]))
        if timing["up"] is None or any(step["began_s"] is None for step in timing["steps"]):
            self.say("more than one `lab up` has made this lab: no share of it can be told")
            return None
        return float(timing["up"]["seconds"]) - float(timing["up"]["phases"].get("boxes", 0.0))

    def _checkpoint(self, first: list[str]) -> None:
        """Measure a checkpoint of the first lab."""
        self.figures["checkpoint_s"] = self._lab(["checkpoint", "save", *first, CHECKPOINT], "checkpoint-save")
        self.figures["restore_s"] = self._lab(["checkpoint", "restore", *first, CHECKPOINT], "checkpoint-restore")
        self._lab(["checkpoint", "delete", *first, CHECKPOINT], "checkpoint-delete")

    def _save(self, first: list[str]) -> dict[str, Any]:
        self.figures["save_s"] = self._lab(["golden", "save", *first], "save")
        golden = self._golden(first)
        self.figures["golden_mib"] = golden["size_mib"]
        return golden

    def _second(self, first: list[str], chance: random.Random) -> tuple[Path, list[str]]:
        """Make a lab from the golden one beside the first; give its directory and its options."""
        build_dir, options = self._new("second")
        for number in range(self.kills):
            self._kill(["up", *options], chance.random() * SPREAD_S["up"], f"up-{number}")
        if self.kills:
            self._lab(["up", *options], "up-back")
            self._lab(["down", *options], "up-back-down")
        with self._alone(first):
            self._from_golden(options, "up")
        self._measure_disks(build_dir)
        self._require_own_keys(build_dir)
        return build_dir, options

    def _three(self, first: list[str], second: list[str], before: int) -> None:
        """Make one more lab beside the two, and verify all of them while all run; nothing may be swapped or killed."""
        build_dir, options = self._new("beside")
        self.figures["third_up_beside_s"] = self._lab(["up", *options], "beside-up")
        self.figures["three_available_mib"] = takes.available_mib()
        labs = {"first": first, "second": second, "beside": options}
        for name, of in labs.items():
            self._lab(["verify", *of], f"three-{name}")
        self.figures["three_available_after_mib"] = takes.available_mib()
        spec = load_spec(self.spec)
        self.figures["third_rss_mib"] = takes.rss_mib(spec, build_dir)
        self.figures["third_pss_mib"] = takes.pss_mib(spec, build_dir)
        found = {"this machine": takes.pressure() - before}
        for name, of in labs.items():
            for node in takes.nodes(spec):
                found[f"{node} of the {name} lab"] = takes.pressure(self._said(["ssh", *of, node, "--", takes.VMSTAT]))
        if bad := [where for where, count in found.items() if count]:
            raise NotGoldenError(f"swapped, or processes killed for memory: {', '.join(bad)}")
        self._down(build_dir, options)

    @contextmanager
    def _alone(self, *labs: list[str]) -> Iterator[None]:
        """Stop these labs, so that what is measured has the processors alone, as the first `lab up` had."""
        for of in labs:
            self._lab(["pause", *of], "pause")
        try:
            yield
        finally:
            for of in labs:
                self._lab(["unpause", *of], "unpause")

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

    def _another_admin(self) -> None:
        """Make a lab that changes ADMIN_PASS at once."""
        spec = self._other_spec("access", rotate="access")
        build_dir, options = self._new("access", spec)
        self._from_golden(options, "access_up")
        if opened(build_dir).secrets["ADMIN_PASS"] == opened(self.build_dir).secrets["ADMIN_PASS"]:
            raise NotGoldenError(f"{build_dir} has the golden lab's ADMIN_PASS, in spite of rotate: access")
        self._down(build_dir, options)

    def _another_name(self) -> None:
        """Make a lab of another name, which cannot have the memory: its machines boot from the golden disks."""
        spec = self._other_spec("named", name=f"{load_spec(self.spec).name[:14]}-named")
        build_dir, options = self._new("named", spec)
        self.figures["boot_up_s"] = self._lab(["up", *options], "boot_up")
        said = (self.work / "boot_up.log").read_text()
        if "machines of golden lab" not in said or "its disks boot instead" not in said:
            raise NotGoldenError(f"lab up did not boot the disks of the golden lab: {self.work / 'boot_up.log'}")
        self._require_own_keys(build_dir)
        self._down(build_dir, options, spec)

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
            self._from_golden(options, "imported_up")
            self._lab(["verify", *options], "third-verify")
            self._down(build_dir, options)
            shutil.rmtree(cache)
        file.unlink()

    def _other_lab(self, golden: dict[str, Any]) -> None:
        """Check that a lab of which a part differs does not start from it, and that `lab up --check-only` says so."""
        build_dir = self.work / "other"
        spec = self._other_spec("other", chapters=_other_chapters(self.spec))
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

    def _new(self, name: str, spec: Path | None = None) -> tuple[Path, list[str]]:
        build_dir = self.work / name
        return build_dir, ["-f", str(spec or self.spec), "--dir", str(build_dir)]

    def _other_spec(self, name: str, /, **changes: Any) -> Path:
        """Write the spec with some values changed (JSON is YAML)."""
        file = self.work / f"{name}.yaml"
        file.write_text(json.dumps({**(YAML(typ="safe").load(self.spec.read_text()) or {}), **changes}))
        return file

    def _down(self, build_dir: Path, options: list[str], spec: Path | None = None) -> None:
        self._lab(["down", *options], f"{build_dir.name}-down")
        if left := traces(load_spec(spec or self.spec).name, build_dir):
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
        rows = json.loads(self._said(["golden", "list", "--json", *options]))
        return [row for row in rows if row.get("serves")]

    def _said(self, words: list[str]) -> str:
        """Give what a `lab` prints that must not fail."""
        argv = [*LAB, *words]
        return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=True).stdout

    def _measure_disks(self, build_dir: Path) -> None:
        spec = load_spec(self.spec)
        for name, of in (("first", self.build_dir), ("second", build_dir)):
            self.figures[f"{name}_disk_mib"] = takes.disk_mib(spec, of)

    def _measure_memory(self, build_dir: Path, passes: int | None) -> None:
        """Measure the memory of both labs; with page sharing where `passes`, as of `lab up`, says that it is on."""
        spec = load_spec(self.spec)
        for name, of in (("first", self.build_dir), ("second", build_dir)):
            self.figures[f"{name}_rss_mib"] = takes.rss_mib(spec, of)
        if passes is None:
            self.say("page sharing is off here: no figures of it")
        elif takes.wait_for_passes(passes + takes.PASSES):
            shared = [takes.pss_mib(spec, of) for of in (self.build_dir, build_dir)]
            self.figures["second_shared_pss_mib"] = shared[1]
            self.figures["further_mib"] = sum(shared) - self.figures["first_rss_mib"]
            self.figures["shared_saves_mib"] = page_sharing.saved_mib()
            self.figures["second_unshared_pss_mib"] = takes.unshared_pss_mib(spec, build_dir)
        else:
            self.say("the kernel has not compared all memory in time: no figures of page sharing")

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


def _other_chapters(file: Path) -> list[str]:
    """Choose no optional chapters, or one where a spec has none."""
    spec = load_spec(file)
    return [] if spec.chapters else [next(iter(load_release(spec.release).chapters))]
