"""Opening a lab: one that was made before, or the one that a spec asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lab.base import builddir
from lab.base.errors import UsageError
from lab.host import records
from lab.host.capacity import host_facts
from lab.inputs.load import load_spec
from lab.planning import project
from lab.planning.secrets import Secrets

if TYPE_CHECKING:
    from pathlib import Path

    from lab.inputs.model import Spec
    from lab.planning.plan import HostProof, Plan


def existing(spec_file: Path, build_dir: Path | None, *, reach: bool = True) -> project.Lab:
    """Open the lab of a spec's build directory, or of the one that is given, as `opened` does."""
    directory = project.build_dir_of(spec_file, build_dir, "" if build_dir else load_spec(spec_file).name)
    return opened(directory, reach=reach)


def opened(directory: Path, *, reach: bool = True) -> project.Lab:
    """Open the lab that exists in a build directory, as it was decided when it was made.

    Raises:
        UsageError: there is no lab there; or, with `reach`, its machines are not this directory's: it is a copy.
        HostError: others can change it, so that it cannot be trusted.
        MachineError: its plan.json was written by another version.
    """
    builddir.require(directory)
    plan = project.load_plan(directory)
    if plan is None:
        raise UsageError(f"no lab in {directory}", hint="`lab up` makes it")
    if reach:
        records.require_home(directory)
    return project.Lab(directory, plan, Secrets.of_build_dir(directory, plan))


def host_of(spec: Spec, *, prove: bool = False) -> HostProof:
    """Tell what this host can do for a spec's lab; without `prove` nothing is touched, as of `host_facts`."""
    return host_facts(spec.accelerator, mirror=spec.box.mirror, prove=prove)


def plan_of(spec: Spec, *, prove: bool = False) -> Plan:
    """Decide the lab that a spec asks for, on this host, as `host_of` knows it."""
    return project.decide(spec, host_of(spec, prove=prove))


def decided(spec_file: Path, build_dir: Path | None, *, write: bool = False) -> project.Lab:
    """Decide the lab that a spec asks for, whatever exists in its build directory; `write` as of `project.decided`."""
    spec = load_spec(spec_file)
    directory = project.build_dir_of(spec_file, build_dir, spec.name)
    return project.decided(spec, plan_of(spec), directory, write=write)


def planned(spec_file: Path, build_dir: Path | None) -> project.Lab:
    """Open the lab of a spec, or decide it where it was not made yet: then it has the passwords of its seed, if any.

    Nothing is written. Raises as `opened`, or SpecError.
    """
    spec = load_spec(spec_file)
    directory = project.build_dir_of(spec_file, build_dir, spec.name)
    if (directory / "plan.json").exists():
        return opened(directory, reach=False)
    lab = project.decided(spec, plan_of(spec), directory, write=False)
    return lab if (directory / "seed").exists() else replace(lab, secrets=Secrets({}))
