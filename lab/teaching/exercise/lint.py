"""`lab exercise lint`: is an exercise complete, fair, and silent about its answer? Pure; no lab is needed."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING

from lab.teaching.exercise.catalog import BREAK, FUNCTIONS, OTHERWISE, SOLVE, WRONGLY, Loaded
from lab.teaching.exercise.draw import Variant, draw, patterns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lab.planning.plan import Plan

SEEDS = tuple(f"seed-{number}" for number in range(40))
"""by which particulars are drawn; enough for each choice of a short list to come"""
TOLD = frozenset({"SAYS", "IS"})
"""names of texts: SAYS is for the student, IS for hints and debrief"""
SHORTEST = 4
"""letters of a word that would give something away"""
_HELPERS = "option, change, sql, batch of lib.sh"
_TRACES = (
    (r"\bsed\b.*\s(-i|--in-place)", f"`sed -i` makes a new file, whose time of creation shows: use {_HELPERS}"),
    (r"^\s*crudini --(set|merge|del)", f"crudini makes a new file, whose time of creation shows: use {_HELPERS}"),
    (r"\b(logger|history|wall)\b", "it informs users of the node"),
    (r"(?i)[/.-](exercise|fault|broken|lesson|student)", "a name that points at the exercise"),
)
_SECRET = re.compile(r"\$\{?!?(\w+_(DB)?PASS|SECRET|METADATA_SECRET)\b")
_QUIET = re.compile(r"<<<|\bprintf\b|^\s*(local|option|return)\b|^\s*\w+=")


def problems(exercise: Loaded, plans: Iterable[Plan]) -> list[str]:
    """List what is wrong with an exercise, for labs of these plans (one of each release that it may be done on)."""
    known = tuple(plans)
    return [*_parts(exercise), *_traces(exercise), *_secrets(exercise), *_drawn(exercise, known)]


def _parts(exercise: Loaded) -> Iterator[str]:
    functions = exercise.functions()
    for name in FUNCTIONS:
        if not functions.get(name, "").strip():
            yield f"the script has no function {name}"
    for name in (OTHERWISE, WRONGLY):
        if name in functions and functions[name] == functions.get(SOLVE):
            yield f"{name} does the same as {SOLVE}"


def _traces(exercise: Loaded) -> Iterator[str]:
    for line in exercise.functions().get(BREAK, "").splitlines():
        for pattern, why in _TRACES:
            if not line.lstrip().startswith("#") and re.search(pattern, line):
                yield f"{BREAK}: `{line.strip()}`: {why}"


def _secrets(exercise: Loaded) -> Iterator[str]:
    """Find passwords in the arguments of programs; here-documents and bash's own commands are no arguments."""
    end = ""
    for line in exercise.script.splitlines():
        if end:
            end = "" if line == end else end
            continue
        if _SECRET.search(line) and not _QUIET.search(line):
            yield f"`{line.strip()}`: a password in the arguments of a program, which every user of the node can read"
        if match := re.search(r"<<-?(\w+)\Z", line):
            end = match[1]


def _drawn(exercise: Loaded, plans: tuple[Plan, ...]) -> Iterator[str]:
    facts, told = exercise.facts, set[str]()
    sections = {step.guide for plan in plans for step in plan.steps}
    if facts.guide not in sections:
        yield f"guide: {facts.guide!r} is no section of the guide that a step names"
    for plan in plans:
        for seed in SEEDS:
            variant = draw(exercise, seed, plan)
            told.update(_given_away(variant))
            told.update(_unmatched(variant, plan))
    yield from sorted(told)


def _given_away(variant: Variant) -> Iterator[str]:
    facts = variant.exercise.facts
    shown = {"title": facts.title, "symptom": facts.symptom, "the first hint": facts.hints[0].text}
    computes = {name for name, choices in facts.draw.items() if choices == "computes"} | {"NODE"}
    words = {value for name, value in variant.values.items() if name not in TOLD | computes and len(value) >= SHORTEST}
    for where, text in shown.items():
        for word in sorted(words):
            if re.search(rf"(?<![\w./-]){re.escape(word)}(?![\w-])", variant.text(text)):
                yield f"{where} says {word!r}, which is drawn: it is a part of the answer"


def _unmatched(variant: Variant, plan: Plan) -> Iterator[str]:
    ids = [check.id for check in plan.checks]
    for pattern in patterns(variant):
        if not fnmatch.filter(ids, pattern):
            yield f"shows: no check of a lab of {plan.release} is called {pattern}"
