"""What exercises are worth. Whole numbers and fractions only: a pass mark is met or it is not."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

WORTH = {1: 10, 2: 20, 3: 30}
"""points, by level"""
PERCENT = (10, 20, 30)
"""of the worth, that the first, second and third hint cost"""


def price(level: int, hint: int) -> int:
    """Give the points that a hint costs (0 is the first); they come off when the exercise is solved."""
    return WORTH[level] * PERCENT[hint] // 100


def won(level: int, hints: int) -> int:
    """Give what a solved exercise brings after so many hints."""
    return WORTH[level] - sum(price(level, hint) for hint in range(hints))


@dataclass(frozen=True)
class Mark:
    """The mark of an exam."""

    won: int
    of: int
    needed: Fraction
    """percent"""

    @property
    def percent(self) -> Fraction:
        """What was reached, exactly."""
        return Fraction(100 * self.won, self.of) if self.of else Fraction(0)

    @property
    def passed(self) -> bool:
        """Whether the pass mark is met: 69.5 % is less than 70 %."""
        return self.percent >= self.needed

    def __str__(self) -> str:
        reached = f"{float(self.percent):.2f}".rstrip("0").rstrip(".")
        return f"{self.won} of {self.of} points ({reached} %, needed {float(self.needed):g} %)"
