"""Texts without the secrets in them: the lab's passwords in any form, and whatever looks like one.

The one masker of the steps' logs, of messages, of the suite and of `lab support`. A password of the lab is shown as
`${NOVA_PASS}`, as scripts and checks name it; one without a known name, and all else that looks like one, as `***`.

A text comes from logs, so a line may be long and hold anything: the time is linear in its length. Each shape keeps two
rules for that. A quantifier is possessive (`++`) wherever giving characters back cannot help, and a shape that would
scan the same stretch from many starting points begins where the stretch begins, or matches it and gives it back as it
was. `tests/unit/base/test_masking.py` measures each shape.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = "***"


_SHORTEST_ENCODED = 8
"""characters of a value that is looked for in base64 too: what is left of a shorter one could occur in any text"""


def _password_of_url(match: re.Match[str]) -> str:
    """Mask the password of ://user:password@; without the @ it is something else, and no part of it is a match."""
    user, password, at = match.groups()
    return f"://{user}:{MASK}@" if at and not password.startswith((MASK, "${")) else match[0]


_VALUE = r"b?(?:\"[^\"\n]*+\"|'[^'\n]*+'|(?![\[{$]|\*\*\*)[^\s,;}\"']++)"
"""quoted, or one word: neither a list of names nor a ${VARIABLE}, and not masked already"""
_PLAIN = r"(?!(?:true|false|none|null|\d{1,6})(?![^\s,;}\"']))"
"""a switch or a small number is nobody's password"""

_SHAPES = (
    # complete keys
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
    # scheme://user:password@host, as connection and transport_url have them; a password may hold a slash or a colon
    (re.compile(r"://([^\s:/@'\"]*+):([^\s@'\"]++)(@)?"), _password_of_url),
    # keystone's tokens, and what fernet encrypts
    (re.compile(r"gAAAA[A-Za-z0-9_=%-]{16,}+"), MASK),
    # MariaDB's password hashes, and passwords in SQL; neither the guide's names for them nor ${VARIABLE}
    (re.compile(r"\*[0-9A-F]{40}\b"), MASK),
    (re.compile(r"(?i)(\bIDENTIFIED BY (?:PASSWORD )?)'(?!(?-i:[A-Z_]++)'|\$\{|\*\*\*)[^'\n]++'"), rf"\1'{MASK}'"),
    # headers of HTTP, as debug logs have them; RabbitMQ's log has a hash of the cookie that opens its nodes
    (
        re.compile(
            r"(?i)(\b(?:authorization|cookie(?: hash)?)[\"']?+[ \t]*+[:=][ \t]*+)"
            r"(?:\"[^\"\n]*+\"|'[^'\n]*+'|(?!\*\*\*)[^\r\n\"']++)"
        ),
        rf"\1{MASK}",
    ),
    # option = value, NAME_PASS=value, "password": "value", X-Auth-Token: value. The name is read from its beginning
    # only, once by the lookahead and once by the name itself.
    (
        re.compile(
            r"(?i)((?<![\w-])(?=[\w-]*?(?:passw(?:or)?d|adminpass|secret|token|_pass|_dbpass))"
            rf"[\w-]++[\"']?+[ \t]*+[=:][ \t]*+){_PLAIN}{_VALUE}"
        ),
        rf"\1{MASK}",
    ),
)


def without_shapes(text: str) -> str:
    """Give the text without what has the shape of a secret."""
    for shape, instead in _SHAPES:
        text = shape.sub(instead, text)
    return text


def forms(value: str) -> set[str]:
    """Give a value as it may appear in a text: as it is, quoted for a URL, JSON, a shell or SQL, and in base64.

    Base64 of a value depends on how many characters come before it, so there are three forms. Of each, the characters
    that no neighbour changes are taken. So `user:password` of a header is found too.
    """
    found = {value, quote(value, safe=""), quote_plus(value)}
    found |= {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    found |= {value.replace("\\", "\\\\").replace("'", "\\'"), value.replace("'", "''")}
    if (for_shell := shlex.quote(value)) != value:
        found.add(for_shell[1:-1])
    data = value.encode()
    if len(data) >= _SHORTEST_ENCODED:
        for before in range(3):
            whole_characters = (before + len(data)) * 8 // 6
            encoded = base64.b64encode(bytes(before) + data).decode()[:whole_characters]
            core = encoded[-(-before * 8 // 6) :]
            found |= {core, core.replace("+", "-").replace("/", "_")}
    return found


class Masking:
    """Hides these values, in any form, and everything that has the shape of a secret."""

    def __init__(self, values: Iterable[str] | Mapping[str, str]) -> None:
        """Take values, or values by name."""
        named = values.items() if isinstance(values, Mapping) else [("", value) for value in values]
        self._shown = {
            form: f"${{{name}}}" if name else MASK for name, value in named if value for form in forms(value)
        }
        # the longest first: one may be a part of another
        longest_first = sorted(self._shown, key=len, reverse=True)
        self._forms = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        """Mask both in a text."""
        return without_shapes(self.values(text))

    def values(self, text: str) -> str:
        """Mask the values alone: for a text that is known to hold no other secret, and must stay JSON."""
        return self._forms.sub(lambda match: self._shown[match[0]], text) if self._forms else text
