"""The console of a node whose kernel gave up, and of one that has booted again since."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.machines.console import stands_still

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
    assert stands_still(tmp_path / "console.log") == (wanted and f"kernel panic: {wanted}")


def test_no_console_no_panic(tmp_path: Path) -> None:
    assert stands_still(tmp_path / "console.log") == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "The root filesystem on /dev/vda1 requires a manual fsck\r\n(initramfs) ",
            "its initial RAM disk has no root file system to go on with: "
            "The root filesystem on /dev/vda1 requires a manual fsck",
        ),
        ("(initramfs) ", "its initial RAM disk has no root file system to go on with: no reason given"),
        (f"{FIRST}\n", f"kernel panic: {WHY}"),
        ("(initramfs) exit\r\ncompute1 login: ", ""),
        ("root: clean, 81164/1310720 files, 544331/5242624 blocks\r\n", ""),
        ("", ""),
    ],
)
def test_a_boot_that_waits_for_a_person_stands_still(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "console.log").write_bytes(text.encode())
    assert stands_still(tmp_path / "console.log") == why
