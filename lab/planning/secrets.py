"""The passwords of a lab: all derived from one random seed, any of them set by the spec instead."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets as random_source
import shlex
import string
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from lab.base import durable, safe
from lab.base.errors import MachineError
from lab.base.masking import Masking
from lab.planning.rotated import Rotated
from lab.planning.rotated import load as load_rotated

if TYPE_CHECKING:
    from pathlib import Path

    from lab.planning.plan import Plan

LENGTH = 24
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase


class Secrets(Mapping[str, str]):
    """Passwords by the guide's names, as NOVA_DBPASS. Its repr shows the names alone."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)
        self._masking = Masking(self._values)

    @classmethod
    def derive(
        cls,
        seed: str,
        names: tuple[str, ...],
        overrides: Mapping[str, str] | None = None,
        rotated: Rotated | None = None,
    ) -> Secrets:
        """Derive the named passwords from the seed, and from how often each was rotated; overrides replace them."""
        overrides, rotated = overrides or {}, rotated or Rotated()
        return cls({name: overrides.get(name) or derive(seed, rotated.source(name)) for name in names})

    @classmethod
    def of_build_dir(cls, build_dir: Path, plan: Plan) -> Secrets:
        """Read the passwords of a lab that was rendered: from the seed, and those the spec set from the nodes' env.

        Raises:
            MachineError: the build directory lacks them.
        """
        overridden: dict[str, str] = {}
        for node in plan.nodes if plan.overridden_secrets else ():
            env = read_env(build_dir / "nodes" / node.name / "env")
            overridden |= {name: value for name, value in env.items() if name in plan.overridden_secrets and value}
        # In a plan of an earlier version, in which nodes have no secrets of their own, each has all of them.
        used = {name for node in plan.nodes for name in node.secrets} or set(plan.secrets)
        if missing := [name for name in plan.overridden_secrets if name in used and name not in overridden]:
            raise MachineError(
                f"{build_dir / 'nodes'} does not hold {', '.join(missing)}",
                hint="`lab render` writes the build directory again",
            )
        # One that the spec sets, and no step of this lab uses, is nowhere.
        derived = tuple(name for name in plan.secrets if name not in plan.overridden_secrets)
        values = dict(overridden)
        if derived:
            values |= cls.derive(load_seed(build_dir / "seed"), derived, rotated=load_rotated(build_dir))
        return cls({name: values[name] for name in plan.secrets if name in values})

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Secrets({', '.join(self._values)})"

    def mask(self, text: str) -> str:
        """Put `${NAME}` in place of every password in a text, and hide whatever else looks like one."""
        return self._masking(text)


def derive(seed: str, name: str) -> str:
    """Derive one password: HMAC-SHA256 of the name under the seed, the last 24 digits of it to the base 62."""
    number = int.from_bytes(hmac.digest(bytes.fromhex(seed), name.encode(), hashlib.sha256))
    digits = []
    for _ in range(LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(digits)


def load_or_create_seed(path: Path) -> str:
    """Read a lab's seed (64 hexadecimal digits); make it, readable by its owner alone, where there is none.

    Raises:
        MachineError: the file is damaged or cannot be read.
    """
    try:
        return load_seed(path)
    except FileNotFoundError:
        pass
    # If another process was first, its seed counts.
    durable.create(path, f"{random_source.token_hex(32)}\n".encode(), mode=0o600)
    return load_seed(path)


def load_seed(path: Path) -> str:
    """Read a seed; FileNotFoundError where there is none.

    Raises:
        MachineError: it is damaged.
        HostError: somebody else made it, and so knows all the passwords; or it is a link.
    """
    with open(path, encoding="ascii", errors="replace", opener=safe.private_opener) as file:
        text = file.read().strip()
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise MachineError(
            f"{path} is damaged: it should hold 64 hexadecimal digits",
            hint="restore it from a copy; or run `lab down`, remove the file, and run `lab up` with new passwords",
        )
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    return text


def read_env(path: Path) -> dict[str, str]:
    """Read the NAME=VALUE lines of a node's file of values, quoted as for a shell; nothing where there is no such file.

    Raises:
        MachineError: a line is not one of a shell. It is not repeated: it may hold a password.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    values: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise MachineError(f"{path}:{number} is damaged: {error}", hint="`lab render` writes it again") from error
        pairs = (word.partition("=") for word in words)
        values |= {name: value for name, equals, value in pairs if equals and name.isidentifier()}
    return values
