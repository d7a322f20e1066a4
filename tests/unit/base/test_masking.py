"""What the masker hides is tested with `lab support`; here: its time is linear in the length of a line."""

import time
from itertools import product

import pytest

from lab.base.masking import Masking
from lab.verification.values import Values

LENGTH = 32_000  # characters
# What the shapes are made of. A line that repeats two of them meets every way in which a shape could start again.
PIECES = (
    "password", "secret-", "_pass", "a", "a-", "-", "=", ": ", "\t ", '"', "'", "://", "a:", "@", "/", "$", "[",
    "gAAAA", "*", "*ABCDEF0123", "-----BEGIN ", "-----END ", "PRIVATE KEY-----", "PRIVATE KEY", "\n",
)  # fmt: skip


def seconds(text: str) -> float:
    """CPU seconds that both maskers take, support's and the suite's, which a busy machine does not change much."""
    before = time.process_time()
    Masking(["a-password-of-the-lab"])(text)
    Values({}, ()).mask(text)
    return time.process_time() - before


@pytest.mark.parametrize("first", PIECES)
def test_a_line_of_any_two_pieces_is_masked_in_linear_time(first: str) -> None:
    # linear takes some 10 ms each; the former patterns took 37 s for the worst line of this length
    slow = {
        (first, second): taken
        for second in PIECES
        if (taken := seconds((first + second) * (LENGTH // len(first + second)))) > 1
    }

    assert not slow


@pytest.mark.parametrize(
    ("head", "tail"),
    list(
        product(("password", "x-password", "://a:", "password=", 'password="', "-----BEGIN PRIVATE KEY-----"), PIECES)
    ),
)
def test_a_long_tail_after_a_beginning_costs_no_more(head: str, tail: str) -> None:
    assert seconds(head + tail * (LENGTH // len(tail))) < 1


def test_twice_the_length_takes_twice_the_time() -> None:
    line = "x-password-" * 20_000
    short, long = (min(seconds(text) for _ in range(3)) for text in (line, line * 2))

    assert long < 4 * short


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("--db-password-file=abc x", "--db-password-file=*** x"),
        ("a=password=abc", "a=password=***"),
        ("password==abc", "password=***"),
        ("http://u:p://v:q@h", "http://u:***@h"),
        ("http://u:p //v:q@h ://w:r@h", "http://u:p //v:q@h ://w:***@h"),
        ("://a /://u:p@h", "://a /://u:***@h"),
        ("passwordless = [a]", "passwordless = [a]"),
    ],
)
def test_names_and_urls_are_found_where_they_begin(text: str, masked: str) -> None:
    assert Masking([])(text) == masked
