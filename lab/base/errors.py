"""Every error that a user can meet, and the exit code that it ends with.

    LabError
    ├── UsageError          2   the spec or the call is wrong
    │   └── SpecError       2   one or more problems of a spec file, all at once
    ├── HostError           3   the host is not ready
    │   └── LockedError     3   another process works on this lab
    └── MachineError        4   a machine or a step failed
        ├── StepError       4   a provisioning step failed on a node
        └── DamagedFileError 4   a file of the build directory cannot be read; `lab up` renames it

A failed check of `lab verify` is a result, not an error: it ends with CHECK_FAILED (1). So is a repair that
`lab exercise grade` could not judge: it ends with CANNOT_TELL (5).
lab.cli.main is the one place that catches LabError, prints it and exits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pathlib import Path

GOOD = 0
CHECK_FAILED = 1
CANNOT_TELL = 5
INTERRUPTED = 130


class LabError(Exception):
    """What happened in one line, then detail, then what to do next."""

    exit_code: ClassVar[int] = 4

    def __init__(self, message: str, *, detail: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.message]
        lines += [f"  {line}" for line in self.detail.splitlines()]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class UsageError(LabError):
    """The spec or the call is wrong; nothing was changed."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One problem of a file, in the words of its reader."""

    file: str
    line: int
    """1-based; 0 where the file has no such line (a missing key of the top level)"""
    path: str
    """dotted path in the file, as nodes.compute.count"""
    found: str
    expected: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        subject = f"{self.path}: " if self.path else ""
        text = f"{where}: {subject}found {self.found}, expected {self.expected}"
        return _printable(f"{text} — {self.hint}" if self.hint else text)


def _printable(text: str) -> str:
    """Write line breaks and control characters as a file has them: to a terminal they would be commands."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class SpecError(UsageError):
    """All problems of one file at once."""

    SHOWN: ClassVar[int] = 50

    def __init__(self, problems: list[Problem]) -> None:
        count = len(problems)
        lines = [str(p) for p in problems[: self.SHOWN]]
        if count > self.SHOWN:
            lines.append(f"and {count - self.SHOWN} more")
        super().__init__(f"{problems[0].file}: {count} problem{'s' if count > 1 else ''}", detail="\n".join(lines))
        self.problems = problems


class HostError(LabError):
    """The host is not ready: a requirement is missing, or something is too small."""

    exit_code = 3


class LockedError(HostError):
    """Another process holds this lab."""


class MachineError(LabError):
    """A machine failed: Vagrant, libvirt or ssh said no."""


class HostKeyError(MachineError):
    """A node shows another host key than the recorded one: it is not known who answers."""


class DamagedFileError(MachineError):
    """A file that lab wrote is incomplete or was changed. Nothing in it is needed that could not be found out again."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path} is damaged: {what}", hint="`lab up` renames it and runs every step again")
        self.path = path

    def set_aside(self) -> Path:
        """Rename the file to NAME.damaged, so that it is not read any more; gives its new name."""
        aside = self.path.with_name(f"{self.path.name}.damaged")
        self.path.replace(aside)
        return aside


@dataclass(frozen=True)
class StepFailure:
    """What a reader needs to repair a failed step."""

    node: str
    step: str
    command: str
    exit_code: int
    log: Path
    tail: list[str] = field(default_factory=list)


class StepError(MachineError):
    """A provisioning step failed on a node; `lab up` goes on at that step."""

    def __init__(self, failure: StepFailure) -> None:
        super().__init__(
            f"step {failure.step} failed on {failure.node} (exit code {failure.exit_code}): {failure.command}",
            detail="\n".join([*failure.tail, f"full log: {failure.log}"]),
            hint="fix the cause, then run `lab up` again: it continues at this step",
        )
        self.failure = failure
