"""Which faults, to what and when: drawn from a seed, and the same for the same seed. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal[
    "kill-lab",
    "hangup",
    "interrupt",
    "terminate",
    "kill-vm",
    "kill-libvirtd",
    "power-cut",
    "cut-ssh",
    "full-disk-guest",
    "full-disk-build",
    "damaged-state",
    "damaged-plan",
    "stop-libvirtd",
    "unsynced-writes",
    "used",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

SIGNALS: frozenset[Kind] = frozenset({"kill-lab", "hangup", "interrupt", "terminate"})
"""what is done to the process `lab`"""
DAMAGES: frozenset[Kind] = frozenset({"damaged-state", "damaged-plan"})
"""`lab up` may refuse these with a hint; following the hint is part of the way back"""
USED: Kind = "used"
"""something that people do with a lab at rest (faults.used); drawn by the moment's fraction"""
NEEDS_SSH: frozenset[Kind] = frozenset({"cut-ssh", "full-disk-guest"})
"""what cannot be done before the nodes answer"""

Event = Literal["machines", "checks", "started", "finished", "verification", "idle"]
"""machines: the virtual machines are being made; checks: the quick checks run; started, finished: a step;
idle: nothing runs"""


@dataclass(frozen=True)
class Moment:
    """When a fault happens, told by what `lab up` says."""

    event: Event
    nth: int = 1
    """the how manieth of its kind in this `lab up`"""
    fraction: float = 0.0
    """how far into what begins with the event, as a part of the time that it should take"""

    def __str__(self) -> str:
        if self.event == "idle":
            return "idle"
        which = f"{self.event} {self.nth}" if self.event in ("started", "finished") else self.event
        return f"{which} + {self.fraction:.0%}"


@dataclass(frozen=True)
class Round:
    """One `lab up`, the fault that meets it, and what it is to arrive at."""

    number: int
    kind: Kind
    node: str
    moment: Moment
    target: str
    """the step that `lab up --to` names; empty: none, the complete lab"""
    forget: int
    """so many records of done steps are dropped before, the last ones first, so that there is something to do"""


@dataclass(frozen=True)
class Jobs:
    """A step, and on how many nodes it runs."""

    step: str
    count: int


def targets(steps: Sequence[str], kills: int) -> list[str]:
    """Spread the rounds' targets over the steps, so that each round has new ones to do as long as there are any."""
    return [steps[max(0, -(-(number * len(steps)) // kills) - 1)] for number in range(1, kills + 1)]


def draw(seed: int, kills: int, kinds: Sequence[Kind], steps: Sequence[Jobs], nodes: Sequence[str]) -> list[Round]:
    """Draw the rounds of a lab that is being made; no kind comes again before all have come."""
    chance = random.Random(seed)
    rounds: list[Round] = []
    done = 0
    order = _order(chance, kinds, kills)
    for number, (kind, target) in enumerate(zip(order, targets([s.step for s in steps], kills), strict=True), start=1):
        upto = [s.step for s in steps].index(target) + 1
        new = sum(s.count for s in steps[done:upto])
        forget = 0 if new else chance.randint(1, 3)
        moment = _moment(chance, kind, new or forget, first=done == 0)
        rounds.append(Round(number, kind, chance.choice(nodes), moment, target, forget))
        done = upto
    return rounds


def draw_existing(seed: int, kills: int, kinds: Sequence[Kind], nodes: Sequence[str]) -> list[Round]:
    """Draw the rounds of an existing lab: nothing is left to do, so the faults meet a lab at rest.

    What is done to the process `lab` meets it while it checks the lab.
    """
    chance = random.Random(seed)
    rounds = []
    for number, kind in enumerate(_order(chance, kinds, kills), start=1):
        node, part = chance.choice(nodes), round(chance.random(), 3)
        event: Event = "checks" if kind in SIGNALS else "idle"
        rounds.append(Round(number, kind, node, Moment(event, 1, part), "", 0))
    return rounds


def _order(chance: random.Random, kinds: Sequence[Kind], count: int) -> list[Kind]:
    order: list[Kind] = []
    while len(order) < count:
        some = list(kinds)
        chance.shuffle(some)
        order += some
    return order[:count]


def _moment(chance: random.Random, kind: Kind, jobs: int, *, first: bool) -> Moment:
    if kind == USED:
        return Moment("idle", 1, round(chance.random(), 3))
    events: list[Event] = ["started", "started", "started", "finished", "verification"]
    if first and kind not in NEEDS_SSH:
        events += ["machines", "machines"]
    event = chance.choice(events)
    nth = chance.randint(1, max(1, jobs)) if event in ("started", "finished") else 1
    return Moment(event, nth, round(chance.random(), 3))
