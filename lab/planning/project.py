"""A lab as the verbs see it: its directory, what was decided about it, and its secrets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from lab.base import builddir, resources, rights
from lab.base.builddir import canonical
from lab.base.errors import DamagedFileError, MachineError, UsageError
from lab.inputs.catalog import load_steps
from lab.inputs.release import load_release
from lab.planning import rotated
from lab.planning.plan import PLAN_VERSION, HostProof, Plan
from lab.planning.resolve import resolve
from lab.planning.secrets import Secrets, load_or_create_seed, load_seed

if TYPE_CHECKING:
    from pathlib import Path

    from lab.inputs.model import Spec


@dataclass(frozen=True)
class Lab:
    """A decided lab."""

    build_dir: Path
    plan: Plan
    secrets: Secrets


def build_dir_of(spec_file: Path, build_dir: Path | None, name: str) -> Path:
    """Give the build directory: the one asked for, or `.lab/NAME` beside the spec, by its one path.

    Raises:
        UsageError: it has a name that the lab's programs do not accept.
    """
    directory = canonical(build_dir or canonical(spec_file).parent / ".lab" / name)
    if not str(directory).isprintable():
        raise UsageError(
            f"{str(directory)!r} cannot be a lab's directory: ssh and libvirt do not accept such a name",
            hint="use a name without control characters, in UTF-8",
        )
    rights.made(directory)
    return directory


def decide(spec: Spec, host: HostProof) -> Plan:
    """Resolve a spec with the project's own release files and steps, for what was found of the host."""
    release = load_release(spec.release)
    steps = load_steps(release, resources.PROVISION)
    return resolve(spec, release, steps, host.facts, reason=host.accelerator_reason)


def decided(spec: Spec, plan: Plan, directory: Path, *, write: bool = True) -> Lab:
    """Give a decided lab its directory and its passwords; makes the seed where there is none.

    Without `write` nothing is made: a lab that has no seed yet then gets passwords that no lab has.

    Raises:
        UsageError: the build directory is not a lab's, and not empty.
        HostError: others can reach into it.
    """
    path = directory / "seed"
    if write:
        builddir.claim(directory)
        seed = load_or_create_seed(path)
    elif path.exists():
        seed = load_seed(path)
    else:
        seed = "0" * 64
    return Lab(directory, plan, Secrets.derive(seed, plan.secrets, spec.passwords, rotated.load(directory)))


def load_plan(build_dir: Path) -> Plan | None:
    """Read the plan of a build directory; None where there is none.

    Raises:
        DamagedFileError: it is cut short, or no plan.
        MachineError: it was written by another version.
    """
    path = build_dir / "plan.json"
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        data = json.loads(text)
        version = data.get("version") if isinstance(data, dict) else None
        if isinstance(version, int) and version != PLAN_VERSION:
            raise MachineError(
                f"{path} is of another version of lab (format {version}, this one knows {PLAN_VERSION})",
                hint="use that version, or run `lab render` to write it again from the spec",
            )
        return Plan.model_validate(data, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        raise DamagedFileError(path, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except ValueError as error:  # not JSON, or not even text
        raise DamagedFileError(path, str(error)) from None
