"""A lab's bench that does nothing twice: one checkpoint for all exercises, and no checks if nothing was changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Collection, Sequence

    from lab.planning.plan import Plan
    from lab.teaching.exercise.bench import Bench
    from lab.verification.report import Report


class ThriftyBench:
    """Sits between the stories of exercises and a bench.

    The lab is saved once. If a complete suite was green and the lab was not changed since, it does not run again.
    The state that a start records is that of the checkpoint, which a reset restores.
    """

    def __init__(self, bench: Bench, plan: Plan, *, quick: bool = False) -> None:
        """Take a bench; `quick`: a complete suite is only the quick checks, and those that ran on their own before."""
        self._bench, self._plan, self._quick = bench, plan, quick
        self._others = {check.id for check in plan.checks if check.kind != "log"}
        self._saved = ""
        self._state: dict[str, dict[str, str]] | None = None
        self._was_restored = False
        self._green: Report | None = None
        self._asked: set[str] = set()
        self.last: Report | None = None
        """the last result of the suite"""

    def locked(self, verb: str) -> contextlib.AbstractContextManager[None]:
        """Hold the lab's lock."""
        return self._bench.locked(verb)

    def unreachable(self) -> list[str]:
        """Name the nodes that do not answer."""
        return self._bench.unreachable()

    def run(self, node: str, script: str) -> str:
        """Run a script; after it nothing is known of the lab."""
        self._green = None
        return self._bench.run(node, script)

    def verify(self, ids: Collection[str] | None = None, *, quick: bool = False) -> Report:
        """Run the suite, or these checks of it."""
        if quick and self._green is not None:
            return self._green
        complete = quick or ids is None or self._others <= set(ids)
        if not complete:
            self._asked |= set(ids or ())
        elif self._quick and not quick:
            ids = [c.id for c in self._plan.checks if (c.quick or c.id in self._asked) and (ids is None or c.id in ids)]
        self.last = self._bench.verify(ids, quick=quick)
        if complete and self.last.good:
            self._green = self.last
        return self.last

    def restart(self, node: str, units: Sequence[str]) -> None:
        """Restart services."""
        self._green = None
        self._bench.restart(node, units)

    def settle(self, limit_s: float | None = None, *, restarted: Collection[tuple[str, str]] | None = None) -> None:
        """Wait until the services work."""
        self._bench.settle(limit_s, restarted=restarted)

    def reboot(self) -> None:
        """Boot all nodes."""
        self._green = None
        self._bench.reboot()

    def state(self) -> dict[str, dict[str, str]]:
        """Digest the lab as it was restored, else as the checkpoint has it."""
        if self._state is not None and not self._was_restored:
            return self._state
        found = self._bench.state()
        self._was_restored = False
        self._state = self._state or found
        return found

    def save(self, name: str) -> None:
        """Save a checkpoint, the first time."""
        if not self._saved:
            self._bench.save(name)
            self._saved = name

    def restore(self, name: str) -> Report | None:
        """Restore it."""
        self._green, self._was_restored = None, True
        found = self._bench.restore(name)
        if found is not None:
            self.last = found
            self._green = found if found.good else None
        return found

    def forget(self, name: str) -> None:
        """Delete one that an earlier run left; that of this run stays until `close`."""
        if not self._saved:
            self._bench.forget(name)

    def close(self) -> None:
        """Delete the checkpoint."""
        if self._saved:
            self._bench.forget(self._saved)
            self._saved = ""
