"""The console of a node whose kernel gave up, and of one that has booted again since."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.machines.console import panic

if TYPE_CHECKING:
    from pathlib import Path

FIRST = "[    2.104211] Kernel panic - not syncing: IO-APIC + timer doesn't work!"
TRACE = "[    2.104300] CPU: 0 PID: 1 Comm: swapper/0\n[    2.104321] Call Trace:\n"
LAST = "[    2.190004] ---[ end Kernel panic - not syncing: IO-APIC + timer doesn't work! ]---"
WHY = "IO-APIC + timer doesn't work!"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{'x' * 9000}\n{FIRST}\n{TRACE}{LAST}\n", WHY),
        (f"{FIRST}\r\n{TRACE}{LAST}\r\n", WHY),
        (f"{FIRST}\n", WHY),
        (f"{FIRST}\n{TRACE}", WHY),
        ("---[ end Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009\n", None),
        (f"{LAST}\n[    2.201000] sched: Unexpected reschedule of offline CPU#0!\n", WHY),
        (f"{LAST}\n\x1bc\x1b[?7lSeaBIOS (version 1.16)\n", ""),
        (f"{LAST}\nGNU GRUB  version 2.06\n", ""),
        (f"{LAST}\n[    0.000000] Linux version 6.1.0\n[    9.000000] a line\n", ""),
        (f"{LAST}\n\ncompute1 login: ", ""),
        (f"[    0.000000] Linux version 6.1.0\n{FIRST}\n{TRACE}{LAST}", WHY),
        ("compute1 login: ", ""),
        ("", ""),
    ],
)
def test_a_panic_counts_until_the_machine_boots_again(tmp_path: Path, text: str, why: str | None) -> None:
    (tmp_path / "console.log").write_bytes(text.encode())
    wanted = "Attempted to kill init! exitcode=0x00000009" if why is None else why
    assert panic(tmp_path / "console.log") == wanted


def test_no_console_no_panic(tmp_path: Path) -> None:
    assert panic(tmp_path / "console.log") == ""
