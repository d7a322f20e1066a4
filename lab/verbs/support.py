"""`lab support`: everything that helps to find out what went wrong with a lab, in one file, and no secret in it.

Nothing of a lab has to run. What could not be read is listed in missing.txt, with the reason.
"""

from __future__ import annotations

import io
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.base import durable
from lab.base.errors import HostError, LabError, UsageError
from lab.base.masking import Masking
from lab.diagnosis import support_parts
from lab.host import records
from lab.host.host import choose_host
from lab.inputs.load import load_spec
from lab.planning import project, rotated
from lab.planning.secrets import Secrets, derive, load_seed
from lab.verbs.opening import plan_of

if TYPE_CHECKING:
    from lab.inputs.model import Spec
    from lab.planning.plan import Plan


@dataclass(frozen=True)
class Packed:
    """The archive of `lab support`."""

    path: Path
    parts: int
    missing: tuple[str, ...]
    """what is not in it, each with why"""


def pack(spec_file: Path, build_dir: Path | None, output: Path | None) -> Packed:
    """Write the archive (0600).

    Raises:
        UsageError: the spec cannot be read, or `output` exists, or its directory does not.
        HostError: the archive cannot be written.
    """
    spec = load_spec(spec_file)
    directory = project.build_dir_of(spec_file, build_dir, spec.name)
    records.require_home(directory)
    target = output or Path(f"lab-support-{spec.name}-{time.strftime('%Y%m%d-%H%M%S')}.tar.xz")
    if target.exists():
        raise UsageError(f"{target} exists", hint="name another file with --output")
    parts = support_parts.Parts()
    plan = _plan(spec, directory, parts)
    host = choose_host(spec.name, directory)
    support_parts.versions(parts)
    support_parts.host_states(parts, host)
    support_parts.findings(parts, plan, directory, host)
    masking = _masking(spec, directory, plan, parts)
    if masking is not None:
        support_parts.build_dir_files(parts, directory, spec_file)
        support_parts.node_states(parts, plan, host, directory)
    _write(target, spec.name, {**parts.texts, "missing.txt": "".join(f"{line}\n" for line in parts.missing)}, masking)
    return Packed(target, len(parts.texts), tuple(parts.missing))


def _plan(spec: Spec, directory: Path, parts: support_parts.Parts) -> Plan:
    """Open the plan of the existing lab; where none can be read, decide what the spec asks for."""
    try:
        plan = project.load_plan(directory)
        if plan is not None:
            return plan
        parts.missing.append("plan.json: no lab was made in this build directory")
    except LabError as error:
        parts.missing.append(f"plan.json: {error.message}")
    return plan_of(spec)


def _masking(spec: Spec, directory: Path, plan: Plan, parts: support_parts.Parts) -> Masking | None:
    """Find out what to hide: the seed, what derives from it, and what the spec sets, now and when the lab was made.

    None where that cannot be known: what may hold a password is then left out.
    """
    values = {*spec.passwords.values()}
    try:
        seed = load_seed(directory / "seed")
        known = rotated.load(directory)
        values |= {seed, *(derive(seed, source) for name in plan.secrets for source in known.sources(name))}
        if (directory / "plan.json").exists():
            values |= set(Secrets.of_build_dir(directory, plan).values())
    except (OSError, LabError) as error:
        why = error.message if isinstance(error, LabError) else "no seed"
        parts.missing.append(
            f"logs, and what the nodes say: left out, because the lab's passwords are not known ({why}) "
            "and could not be hidden"
        )
        return None
    return Masking(values)


def _write(target: Path, name: str, texts: dict[str, str], masking: Masking | None) -> None:
    hide = masking or Masking(())
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as archive:
        for path, text in sorted(texts.items()):
            without = hide.values if path in support_parts.OF_LAB_ITSELF else hide
            data = without(text).encode(errors="replace")
            info = tarfile.TarInfo(f"lab-support-{name}/{path}")
            info.size, info.mode, info.mtime = len(data), 0o600, int(time.time())
            archive.addfile(info, io.BytesIO(data))
    try:
        made = durable.create(target, packed.getvalue(), mode=0o600)
    except OSError as error:
        raise HostError(f"cannot write {target}: {error.strerror}", hint="another place with --output") from error
    if not made:
        raise HostError(f"cannot write {target}: it exists", hint="another place with --output")
