"""Texts without the secrets in them, for what leaves the machine: the lab's passwords, and whatever looks like one.

A text comes from logs, so a line may be long and hold anything: the time is linear in its length. Each shape keeps two
rules for that. A quantifier is possessive (`++`) wherever giving characters back cannot help, and a shape that would
scan the same stretch from many starting points begins where the stretch begins, or matches it and gives it back as it
was. `tests/unit/test_masking.py` measures each shape.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = "***"


def _password_of_url(match: re.Match[str]) -> str:
    """Mask the password of ://user:password@; without the @ it is something else, and no part of it is a match."""
    return f"://{match[1]}:{MASK}@" if match[2] else match[0]


_SHAPES = (
    # complete keys
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
    # scheme://user:password@host, as connection and transport_url have them; a password may hold a slash or a colon
    (re.compile(r"://([^\s:/@'\"]++):[^\s@'\"]++(@)?"), _password_of_url),
    # keystone's tokens, and what fernet encrypts
    (re.compile(r"gAAAA[A-Za-z0-9_=%-]{16,}+"), MASK),
    # MariaDB's password hashes
    (re.compile(r"\*[0-9A-F]{40}\b"), MASK),
    # option = value, NAME_PASS=value, "password": "value"; neither a list of names nor a ${VARIABLE}. The name is read
    # from its beginning only, once by the lookahead and once by the name itself.
    (
        re.compile(
            r"(?i)((?<![\w-])(?=[\w-]*?(?:passw(?:or)?d|secret|token|_pass|_dbpass))[\w-]++[\"']?+[ \t]*+[=:][ \t]*+)"
            r"(?:\"[^\"\n]*+\"|'[^'\n]*+'|(?![\[{$])[^\s,;}\"']++)"
        ),
        rf"\1{MASK}",
    ),
)


class Masking:
    """Hides these values, by their text, and everything that has the shape of a secret."""

    def __init__(self, values: Iterable[str]) -> None:
        # the longest first: one may be a part of another
        self._values = sorted({value for value in values if value}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Give the text without either."""
        text = self.values(text)
        for shape, instead in _SHAPES:
            text = shape.sub(instead, text)
        return text

    def values(self, text: str) -> str:
        """Give the text without the values alone: for what is known to hold no other secret, and must stay JSON."""
        for value in self._values:
            text = text.replace(value, MASK)
        return text
