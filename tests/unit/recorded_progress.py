"""A Progress that keeps what it is told; for tests, which have no terminal."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.base.progress import Verdict


class RecordedProgress:
    """Phases, lines and steps, in the order in which they were told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.notes: dict[str, str] = {}
        self.phases: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str, title: str) -> Iterator[None]:
        self.lines.append(f"{name}: {title}")
        yield
        self.phases[name] = self.phases.get(name, 0.0) + 1.0

    def say(self, text: str, loud: str = "") -> None:
        assert loud in text
        self.lines.append(text)

    def note(self, key: str, text: str) -> None:
        self.notes[key] = text

    def counter(self, key: str) -> Callable[[object], None]:
        return lambda _: self.note(key, "one more")

    def step_started(self, node: str, step: str, expected_s: float) -> None:
        self.lines.append(f"{node} {step} started")

    def step_finished(self, node: str, step: str, verdict: Verdict = "done") -> float:
        self.lines.append(f"{node} {step} {verdict}")
        return 1.0
