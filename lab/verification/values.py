"""The values behind `${NAME}` in a check's arguments, and what of them a reader may see."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lab.base.masking import Masking

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

NAME = re.compile(r"\$\{(\w+)\}")
_SECRET_OPTION = re.compile(r"pass|secret|(?<!_)key$|connection|transport_url", re.IGNORECASE)


class Values:
    """A node's environment: fills `${NAME}` in, and takes the secrets out of what is shown."""

    def __init__(self, env: Mapping[str, str], secrets: Collection[str]) -> None:
        self._env = env
        self._secrets = {name: env[name] for name in secrets if env.get(name)}
        self._masking = Masking(self._secrets)

    def fill(self, text: str) -> str:
        """Replace each `${NAME}` that the environment has."""
        return NAME.sub(lambda match: self._env.get(match[1], match[0]), text)

    def mask(self, text: str) -> str:
        """Replace secrets by their names, and whatever else looks like a password by ***."""
        return self._masking(text)

    def shown(self, option: str, template: str, found: str) -> str:
        """Show a found value beside its template: what is in a secret's place is named when known, else ***."""
        if found == "" or self.fill(template) == found:
            return self.mask(found)
        parts = NAME.split(template)
        names = parts[1::2]
        if any(name in self._secrets for name in names):
            pattern = "".join("(.*)" if i % 2 else re.escape(part) for i, part in enumerate(parts))
            match = re.fullmatch(pattern, found, re.DOTALL)
            if match:
                pieces = [self._piece(part, match[i // 2 + 1]) if i % 2 else part for i, part in enumerate(parts)]
                text = "".join(pieces)
                return "another value" if text == "***" else text
        masked = self.mask(found)
        if masked == found and _SECRET_OPTION.search(option) and "://" not in found:
            return "another value"
        return masked

    def _piece(self, name: str, value: str) -> str:
        if name not in self._secrets:
            return value
        for known, secret in self._secrets.items():
            if secret == value:
                return f"${{{known}}}"
        return "***"


def secret_name(text: str) -> str:
    """Give NAME of `${NAME}`, or of NAME itself.

    Raises:
        ValueError: it is neither; its text, perhaps a password, is not repeated.
    """
    match = re.fullmatch(r"\$\{([A-Z][A-Z0-9_]*)\}|([A-Z][A-Z0-9_]*)", text)
    if not match:
        raise ValueError("a password must be given by its secret's name, as ${NOVA_PASS}")
    return match[1] or match[2]
