"""The read verbs say the same in every environment, and end without a traceback.

Each row is an environment with several oddities at once, and the verbs that are run in it as a child process; every
verb meets several of them. What a verb prints is compared with what it prints in a plain environment.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.base import surroundings
from lab.host import kvm

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROGRAM = Path(sys.executable).with_name("lab")
PLAIN = {"PATH": f"{PROGRAM.parent}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "xterm"}
ODD_NAME = 'R&D feature%2Fx Bob\'s "labs" é'


@dataclass(frozen=True)
class Odd:
    """An environment: what it adds to the plain one (None: not set), and how its output is encoded."""

    verbs: tuple[str, ...]
    env: Mapping[str, str | None] = field(default_factory=dict)
    umask: int = 0o022
    encoding: str = "utf-8"
    user: int | None = None


ENVIRONMENTS = {
    "german, narrow, no TERM": Odd(
        ("check", "status", "doctor"),
        {"LANGUAGE": "de", "LC_ALL": "de_DE.UTF-8", "COLUMNS": "20", "TERM": None, "HTTP_PROXY": "http://u:p@h:1"},
    ),
    "ASCII locale, no sbin": Odd(
        ("check", "doctor --json"),
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PATH": f"{PROGRAM.parent}:/usr/bin:/bin"},
        encoding="ascii",
    ),
    "Latin-1 terminal, dumb, umask 000": Odd(
        ("status", "render --diff"),
        {"PYTHONIOENCODING": "latin-1", "TERM": "dumb", "COLUMNS": "300"},
        umask=0,
        encoding="latin-1",
    ),
    "HOME and TMPDIR are gone, umask 077": Odd(
        ("check --json", "logs"),
        {"HOME": "/nonexistent", "TMPDIR": "/nonexistent", "COLUMNS": "40"},
        umask=0o077,
    ),
    "HOME cannot be written, TMPDIR neither": Odd(
        ("status", "box list"), {"HOME": "/proc/1", "TMPDIR": "/proc/1", "LAB_CACHE": "/proc/1/cache"}
    ),
    "no HOME, no PATH": Odd(("check", "secrets"), {"HOME": None, "PATH": None, "LANG": None}),
    "a number without a name or a home": Odd(("list", "check --json"), {"HOME": None, "LAB_CACHE": None}, user=54321),
}


@pytest.fixture(scope="module")
def lab_dir() -> Iterator[Path]:
    """A rendered lab in a directory with an odd name, and a cache that knows what the host can do.

    Not below pytest's own directory, which others may not enter: one of the environments is another user's.
    """
    with tempfile.TemporaryDirectory(prefix="lab-odd-") as top:
        place = Path(top) / ODD_NAME
        place.mkdir()
        _fill(place)
        yield place


def _fill(place: Path) -> None:
    cache = place / "cache"
    guests = cache / "guests" / "bookworm"
    for name in ("stamp", "tiny/root.raw", "tiny/vmlinuz", "tiny/initrd.gz", "proof/vmlinuz", "proof/initrd.gz"):
        (guests / name).parent.mkdir(parents=True, exist_ok=True)
        (guests / name).write_bytes(b"guest")
    made = {"accelerator": "qemu", "works": True, "reason": "a guest booted", "seconds": 2.0}
    proofs = {"qemu": made, "kvm": {**made, "accelerator": "kvm", "works": False}}
    (cache / "host-proof.json").write_text(json.dumps({"key": kvm._key(), "proofs": proofs}))
    for verb in ("init", "render"):
        assert run(verb, place, Odd(())).returncode == 0
    for path in (place.parent, place, *place.rglob("*")):
        path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))  # for the user without a name


def run(verb: str, place: Path, odd: Odd) -> subprocess.CompletedProcess[bytes]:
    plain = {**PLAIN, "HOME": str(place), "LAB_CACHE": str(place / "cache"), "LAB_HOST": "private"}
    env = {name: value for name, value in {**plain, **odd.env}.items() if value is not None}
    program = [str(PROGRAM)] if odd.user is None else [sys.executable, "-c", _BECOME, str(odd.user), str(PROGRAM)]
    return subprocess.run(
        [*program, *verb.split()], cwd=place, env=env, capture_output=True, umask=odd.umask, timeout=120, check=False
    )


# The modules are read first: the interpreter of these tests may be in a home directory that is closed to others.
_BECOME = """
import importlib, os, pkgutil, sys
import lab
for found in pkgutil.walk_packages(lab.__path__, "lab."):
    if not found.name.startswith(("lab.verification", "lab.data")):
        importlib.import_module(found.name)
for name in ("utf-8-sig", "latin-1", "ascii", "idna"):
    "".encode(name)
import rich.columns, rich.padding, rich.panel, typer.rich_utils
user = int(sys.argv[1])
os.setgroups([])
os.setgid(user)
os.setuid(user)
del sys.argv[:2]
from lab.cli.main import main
main()
"""


def comparable(text: str) -> str:
    """Leave out what the host decides from one moment to the next: free memory and disk."""
    return re.sub(r"\d+(\.\d+)? (of \d+(\.\d+)? )?[GM]iB", "N", text)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_verb_says_the_same_everywhere(name: str, lab_dir: Path, plain: dict[str, str]) -> None:
    odd = ENVIRONMENTS[name]
    if odd.user is not None and os.geteuid() != 0:
        pytest.skip("only root can become another user")
    for verb in odd.verbs:
        said, wanted = both(verb, lab_dir, odd, plain)
        if said != wanted:  # another warning: memory or disk of the host went below a limit between the two calls
            del plain[verb]
            said, wanted = both(verb, lab_dir, odd, plain)
        if odd.user is None and "cache" not in str(odd.env.get("LAB_CACHE", "")):
            assert said == wanted, verb


def both(verb: str, lab_dir: Path, odd: Odd, plain: dict[str, str]) -> tuple[str, str]:
    """Give what a verb says in the environment, and what it is to say; without a traceback."""
    if verb not in plain:
        plain[verb] = run(verb, lab_dir, Odd(())).stdout.decode()
    done = run(verb, lab_dir, odd)
    assert "Traceback" not in done.stderr.decode(odd.encoding), done.stderr.decode()
    wanted = plain[verb].encode(odd.encoding, errors=surroundings._SPELLING).decode(odd.encoding)
    return comparable(done.stdout.decode(odd.encoding)), comparable(wanted)


@pytest.fixture(scope="module")
def plain() -> dict[str, str]:
    """What verbs print in a plain environment, as far as it has been asked for."""
    surroundings.register_spelling()
    return {}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("verb", ["up", "render", "init there/lab.yaml"])
def test_what_a_user_may_not_do_is_one_message(verb: str, lab_dir: Path) -> None:
    name, *rest = verb.split()
    call = f"init --file {rest[0]}" if name == "init" else verb
    done = run(call, lab_dir, Odd((), {"HOME": None}, user=54321))
    said = done.stderr.decode()
    assert done.returncode in (2, 3), said
    assert said.startswith("lab: ")
    assert "hint: run: " in said
    assert "Traceback" not in said
