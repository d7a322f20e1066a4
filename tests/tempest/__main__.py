"""OpenStack's own test suite, Tempest, from outside against a running lab: the tests that it calls smoke tests.

    lab exec -- env PYTHONPATH=$PWD/tests $PWD/.venv/bin/python -m tempest [--concurrency N] [SERVICE ...]

`lab exec` starts it in the build directory, with the lab's names and clouds.yaml. It ends well where at least 95 % of
what the release and the chapters of the lab support has passed, of each service something, and nothing is left over.
Tempest itself is in a virtualenv of its own (`make test-tempest` sets it up).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ending import run_to_the_end
from ruamel.yaml import YAML

from lab.base.errors import MachineError, UsageError
from lab.planning.project import load_plan
from lab.planning.secrets import Secrets
from tempest.cloud import Cloud
from tempest.report import told
from tempest.results import ENOUGH, Known, Result, Verdict, judge
from tempest.settings import FLAVOR, IMAGE, NETWORK, PREFIX, SERVICES, as_text, services_of, settings, wait_s

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lab.planning.plan import Plan

HERE = Path(__file__).parent
VENV = HERE.parents[1] / ".venv" / "tempest"
_TEST_WAITS = 4
"""A test waits for an instance a few times: it is ended after so many times the longest wait."""


@dataclass(frozen=True)
class Tempest:
    """Tempest in its virtualenv, with a directory to work in."""

    work: Path
    venv: Path = VENV
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def ask(self, script: str, *words: str, stdin: bytes = b"") -> object:
        """Run one of our scripts with Tempest's Python, and give what it printed as JSON."""
        argv = [str(self.venv / "bin" / "python"), str(HERE / script), *words]
        ran = subprocess.run(argv, env=self._environment(), input=stdin, capture_output=True, check=False)
        if ran.returncode != 0:
            said = ran.stderr.decode(errors="replace")
            raise MachineError(f"{script} {' '.join(words)} failed", detail=said[-2000:], hint="`lab verify`")
        return json.loads(ran.stdout)

    def prepare(self, text: str) -> None:
        """Write the configuration, which has a password in it."""
        place = self.work / "tempest.conf"
        place.touch(0o600)
        place.write_text(text)
        tests = next(self.venv.glob("lib/python3*/site-packages/tempest"), None)
        if tests is None:
            raise UsageError(f"no Tempest in {self.venv}", hint="make test-tempest")
        # The tests of one class run one after the other, in one process.
        lines = ("[DEFAULT]", f"test_path={tests / 'test_discover'}", f"top_dir={tests}", r"group_regex=([^\.]*\.)*")
        (self.work / ".stestr.conf").write_text("\n".join(lines) + "\n")
        self._validate(place)

    def _validate(self, conf: Path) -> None:
        """Refuse an option that this Tempest does not know: it would be ignored in silence."""
        argv = [str(self.venv / "bin" / "oslo-config-validator"), "--input-file", str(conf)]
        for namespace in ("tempest.config", "oslo.log", "oslo.concurrency"):
            argv += ["--namespace", namespace]
        ran = subprocess.run(argv, env=self._environment(), capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            raise MachineError("this Tempest has other options", detail=ran.stderr[-2000:])

    def run(self, pattern: str, concurrency: int, limit_s: int) -> list[Result]:
        """Run the tests whose id matches; each is ended after so many seconds."""
        stestr = str(self.venv / "bin" / "stestr")
        environ = {**self._environment(), "OS_TEST_TIMEOUT": str(limit_s)}
        argv = [stestr, "run", "--concurrency", str(concurrency), pattern]
        run_in_group(argv, self.work, environ)  # its exit code: whether all passed
        last = subprocess.run(
            [stestr, "last", "--subunit"], cwd=self.work, env=environ, capture_output=True, check=False
        )
        results = self.ask("results.py", stdin=last.stdout)
        assert isinstance(results, list)
        if not results:
            raise MachineError("Tempest ran no test", detail=last.stderr.decode(errors="replace")[-2000:])
        return [Result(**result) for result in results]

    def left(self) -> set[str]:
        """Name what the cloud has with a name of Tempest's."""
        found = self.ask("cloud.py", "--left", PREFIX)
        assert isinstance(found, list)
        return set(found)

    def clean(self, before: set[str]) -> list[str]:
        """Remove what tests that were cut short have left; name what is still there then.

        Tempest knows its own by their names alone: where there were such names before, nothing is removed.
        """
        left = self.left() - before
        if left and not before:
            argv = [str(self.venv / "bin" / "tempest"), "cleanup", "--prefix", PREFIX]
            subprocess.run(argv, cwd=self.work, env=self._environment(), check=False)
            left = self.left()
        return sorted(left)

    def _environment(self) -> dict[str, str]:
        own = {"TEMPEST_CONFIG_DIR": str(self.work), "TEMPEST_CONFIG": "tempest.conf", "PYTHONWARNINGS": "ignore"}
        return {**{name: value for name, value in self.environ.items() if name != "PYTHONPATH"}, **own}


def run_in_group(argv: list[str], cwd: Path, environ: Mapping[str, str]) -> int:
    """Run a program to its end; where this program is ended first, all that it started is ended too."""
    with subprocess.Popen(argv, cwd=cwd, env=environ, start_new_session=True) as ran:
        try:
            return ran.wait()
        finally:
            # stestr's workers go on without it, and would make what is just being removed.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(ran.pid, signal.SIGKILL)
            ran.wait()


def pattern_of(services: Iterable[str]) -> str:
    """Write the regular expression of the smoke tests of these services."""
    return rf"^tempest\.api\.({'|'.join(services)})\..*[\[,]smoke[\],]"


def known_faults() -> tuple[Known, ...]:
    """Read the faults of releases."""
    read = YAML(typ="safe").load((HERE / "known.yaml").read_text())
    return tuple(Known(**{**fault, "releases": tuple(fault["releases"])}) for fault in read)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="test-tempest", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("services", nargs="*", metavar="SERVICE", help=f"of {', '.join(SERVICES)}")
    parser.add_argument("--concurrency", type=int, default=2, help="tests at the same time (default: 2)")
    parser.add_argument("--json", type=Path, help="write the results there too")
    return parser.parse_args()


def chosen(plan: Plan, asked: Iterable[str]) -> tuple[str, ...]:
    """Check the services that were asked for; without any, all that the lab supports."""
    supported = services_of(plan)
    asked = tuple(asked)
    if unknown := [service for service in asked if service not in SERVICES]:
        raise UsageError(f"no service {', '.join(unknown)}", hint=f"services: {', '.join(SERVICES)}")
    if missing := [service for service in asked if service not in supported]:
        raise UsageError(f"this lab has no tests of {', '.join(missing)}", hint="chapters: [self-service]")
    return asked or supported


def run(options: argparse.Namespace, work: Path) -> int:
    """Configure, run, clean, judge, tell."""
    build_dir = Path.cwd()
    plan = load_plan(build_dir)
    if plan is None:
        raise UsageError(f"no lab in {build_dir}", hint="make test-tempest")
    services = chosen(plan, options.services)
    tempest = Tempest(work)
    answer = tempest.ask("cloud.py", IMAGE, FLAVOR, NETWORK)
    assert isinstance(answer, dict)
    cloud = Cloud(**answer)
    password = Secrets.of_build_dir(build_dir, plan)["ADMIN_PASS"]
    tempest.prepare(as_text(settings(plan, cloud, password, work)))
    before = tempest.left()
    begun = time.monotonic()
    try:
        results = tempest.run(pattern_of(services), options.concurrency, _TEST_WAITS * wait_s(plan))
    finally:  # a Ctrl-C too
        left = tempest.clean(before)
    verdict = judge(results, known_faults(), plan.release)
    if options.json:
        options.json.write_text(json.dumps([vars(result) for result in results], indent=2) + "\n")
    print(told(verdict, services, (time.monotonic() - begun) / 60), flush=True)
    return code_of(verdict, services, left)


def code_of(verdict: Verdict, services: Iterable[str], left: Iterable[str]) -> int:
    """Say what is wrong with the run, and give the exit code."""
    wrong = []
    if verdict.share < ENOUGH:
        wrong.append(f"{verdict.share:.0%} of what this lab supports passed, not {ENOUGH:.0%}")
    wrong += [f"nothing passed of {service}" for service in verdict.missing(services)]
    wrong += [f"left over: {thing}" for thing in left]
    for line in wrong:
        print(f"test-tempest: {line}", file=sys.stderr)
    return 1 if wrong else 0


def main() -> int:
    options = arguments()
    os.umask(0o077)
    work = Path(tempfile.mkdtemp(prefix="lab-tempest-"))
    code = 1
    try:
        code = run(options, work)
    finally:
        if code == 0:
            shutil.rmtree(work)
        else:
            (work / "tempest.conf").unlink(missing_ok=True)
            print(f"Tempest's own log: {work}/tempest.log")
    return code


if __name__ == "__main__":
    run_to_the_end("test-tempest", main)
