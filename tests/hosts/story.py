"""A lab on one kind of host: up to a step, looked at, verified, removed; nothing is left."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from faults.used import steps_done

from hosts.calls import HostProofError
from hosts.place import NAME
from lab.base.durable import write_text

if TYPE_CHECKING:
    from hosts.calls import Calls
    from hosts.place import Place

SPEC = """\
name: {name}
release: {release}
"""
SMALL = """\
nodes:
  controller: {memory: 3 GiB}
  compute: {memory: 1 GiB}
"""
"""enough for a lab that stops before its services are many"""


@dataclass
class Figures:
    """What was measured."""

    host: str
    release: str
    prepared_s: float = 0.0
    """the host itself, before the user's first command"""
    up_s: float = 0.0
    """from the user's first command to the last step"""
    checks: int = 0
    """that passed"""
    total_s: float = 0.0


def prove(place: Place, calls: Calls, figures: Figures, to: str | None) -> None:
    """Do it all, on a small lab up to a step, or on one of the default size (None: every step).

    HostProofError at the first thing that is not as it should be; the place stays open.
    """
    began = time.monotonic()
    place.open(calls)
    text = small_spec(figures.release) if to else spec(figures.release)
    write_text(place.directory / "lab.yaml", text, mode=0o644, like=place.directory)  # the user's own, as all of it
    figures.prepared_s = _since(began)
    up_began = time.monotonic()
    said = place.up(calls, to)
    figures.up_s = _since(up_began)
    require(f"{place.mode} (" in said, f"`lab up` did not take the way {place.mode}")
    place.lab(calls, ["doctor"])
    steps = steps_done(place.directory / ".lab" / NAME)
    require(to is None or to in steps, f"{to} is not among the steps done: {steps}")
    status = json.loads(place.lab(calls, ["status", "--json"]))
    require_running(status)
    # Where every step is done, `lab up` has verified the lab.
    figures.checks = passed(place.lab(calls, ["verify", *steps]) if to else said)
    place.lab(calls, ["down"])
    left = place.left(calls)
    require(not left, "`lab down` left: " + "; ".join(left))
    figures.total_s = _since(began)


def spec(release: str) -> str:
    """Write the spec of a lab of the default size."""
    return SPEC.format(name=NAME, release=release)


def small_spec(release: str) -> str:
    """Write the spec of a lab that stops before its services are many."""
    return spec(release) + SMALL


def require(ok: bool, otherwise: str) -> None:
    """Refuse what is not as it should be."""
    if not ok:
        raise HostProofError(otherwise)


def require_running(status: dict[str, Any]) -> None:
    """Refuse a status in which a node does not run."""
    states = {node["name"]: node["state"] for node in status["nodes"]}
    require(set(states.values()) == {"running"} and len(states) == 2, f"nodes: {states}")


def passed(said: str) -> int:
    """Give the number of checks that passed, which is all."""
    found = re.search(r"all (\d+) checks passed", said)
    if found is None or int(found[1]) == 0:
        raise HostProofError(f"`lab verify` does not say that all checks passed:\n{said[-500:]}")
    return int(found[1])


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)
