"""How long to wait, on a machine of this speed."""

from __future__ import annotations

import os
import time

POLL_S = 1
"""between two questions, on a KVM host; each is work for the services that it waits for"""
LONGEST_POLL_S = 10


def scaled(seconds: int) -> float:
    """Stretch a limit by the factor measured on this machine."""
    return seconds * max(1.0, float(os.environ.get("LAB_WAIT_FACTOR") or 1))


def pause() -> None:
    """Wait before the next question."""
    time.sleep(min(scaled(POLL_S), LONGEST_POLL_S))
