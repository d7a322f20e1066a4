"""Packages that no archive has: what boxes/NAME/packages.yaml says, for a release that names it as its `virtualenvs`.

Each service is installed from PyPI into a virtualenv, and comes into the box as Debian packages with the names, units,
users and directories that the distribution of the guide gave it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from lab.base import resources
from lab.base.errors import Problem, SpecError
from lab.base.models import Frozen
from lab.inputs.document import Document, Loc, read_document
from lab.inputs.validate import validate

if TYPE_CHECKING:
    from pathlib import Path

_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[A-Za-z0-9._]+)(?P<hashes>( --hash=sha256:[0-9a-f]{64})*)")
_DEBIAN = r"^[a-z0-9][a-z0-9+.-]+$"
TABLE = "packages.yaml"


class Unit(Frozen):
    """A service of systemd: it runs the program of its own name, as the virtualenv's user."""

    arguments: str = ""
    configs: tuple[str, ...] | None = None
    """files for --config-file; without the key /etc/VIRTUALENV/VIRTUALENV.conf"""
    log: Literal["file", "output"] = "file"
    """how it comes into /var/log/VIRTUALENV/UNIT.log: by --log-file, or as what the program prints"""
    wsgi: str = ""
    """the script of a WSGI application, which uWSGI runs"""
    ports: tuple[int, ...] = ()
    """of the WSGI application"""
    after: tuple[str, ...] = ()


class OwnPackage(Frozen):
    """A Debian package that uses a virtualenv."""

    title: str
    depends: tuple[str, ...] = ()
    """of the suite's packages, or of these"""
    commands: tuple[str, ...] = ()
    """programs of the virtualenv that are linked into /usr/bin"""
    units: dict[str, Unit] = {}
    groups: tuple[str, ...] = ()
    """that its user comes into"""
    links: dict[str, str] = {}
    """path to what it is a link to"""


class User(Frozen):
    """Of a service; the group has the same name and number."""

    name: str
    uid: int | None = None
    """where Debian has a fixed one (base-passwd)"""


class Virtualenv(OwnPackage):
    """One virtualenv, /opt/NAME, and the package that has it."""

    package: str = Field(pattern=_DEBIAN)
    source: str = ""
    """the distribution on PyPI that is installed from its source, and whose configuration files are copied"""
    user: User | None = None
    """has /etc/NAME, /var/lib/NAME and /var/log/NAME"""
    rootwrap: str = ""
    """program that the user may run as root, with /etc/NAME/rootwrap.conf"""
    copies: dict[str, tuple[str, ...]] = {}
    """directory to files of the source, as patterns"""
    directories: dict[str, str] = {}
    """of the user: path to mode, in octal"""


class Using(OwnPackage):
    """A package that uses the virtualenv of another one."""

    of: str


class Virtualenvs(Frozen):
    """boxes/NAME/packages.yaml."""

    suite: str
    """the distribution's, as bullseye"""
    epoch: int = Field(ge=1)
    """of the packages' versions: above that of the suite's own packages with these names"""
    python: str
    """the interpreter, and the package that has it"""
    build: tuple[str, ...] = Field(min_length=1)
    """packages of the tree in which the virtualenvs are made"""
    virtualenvs: dict[str, Virtualenv]
    packages: dict[str, Using]


@dataclass(frozen=True)
class Pin:
    """A line of a file of requirements: NAME==VERSION --hash=sha256:…"""

    name: str
    version: str
    hashes: frozenset[str]
    """sha256 of each file that may be taken for it; empty only while the file is being written"""

    @property
    def line(self) -> str:
        """As pip reads it."""
        return " ".join([f"{self.name}=={self.version}", *(f"--hash=sha256:{each}" for each in sorted(self.hashes))])

    @property
    def key(self) -> str:
        """The name as PyPI compares it (PEP 503)."""
        return re.sub(r"[-_.]+", "-", self.name).lower()


@dataclass(frozen=True)
class Recipe:
    """All that a release's own packages are made from."""

    name: str
    directory: Path
    table: Virtualenvs

    def pins(self, name: str, *, locked: bool = True) -> tuple[Pin, ...]:
        """Read requirements/NAME.txt; SpecError with all lines that are none. `locked`: each has a checksum."""
        return read_pins(self.directory / "requirements" / f"{name}.txt", locked=locked)

    def patches(self, distribution: str) -> list[Path]:
        """List the patches of a distribution's source, in order."""
        return sorted((self.directory / "patches").glob(f"{distribution}-*.patch"))

    def sources(self, name: str) -> list[Pin]:
        """Give the pins that are installed from an unpacked source: the service's own, and what is patched."""
        wanted = self.table.virtualenvs[name].source
        return [pin for pin in self.pins(name, locked=False) if pin.key == wanted or self.patches(pin.key)]


def load_recipe(name: str, boxes: Path = resources.BOXES) -> Recipe:
    """Read boxes/NAME.

    Raises:
        SpecError: with all problems of the table.
    """
    directory = boxes / name
    document = read_document(directory / TABLE, missing=f"a release names {name} as its virtualenvs", top="packages")
    table, _ = validate(Virtualenvs, document)
    if table is not None:
        _problems(table, document)
    document.raise_problems()
    assert table is not None
    return Recipe(name, directory, table)


def _problems(table: Virtualenvs, document: Document) -> None:
    taken: dict[str, Loc] = {}
    for name, virtualenv in table.virtualenvs.items():
        loc: Loc = ("virtualenvs", name, "package")
        if virtualenv.package in taken:
            document.problem(loc, f"{virtualenv.package} twice", "a package of its own for each virtualenv")
        taken[virtualenv.package] = loc
        if virtualenv.copies and not virtualenv.source:
            document.problem(("virtualenvs", name, "copies"), "copies without a source", "source: DISTRIBUTION")
    for name, package in table.packages.items():
        if package.of not in table.virtualenvs:
            expected = f"one of: {', '.join(table.virtualenvs)}"
            document.problem(("packages", name, "of"), f"'{package.of}'", expected)
        if name in taken:
            document.problem(("packages", name), f"{name} twice", "each package once")


def read_pins(path: Path, *, locked: bool) -> tuple[Pin, ...]:
    """Read a file of requirements: one pin a line, comments begin with #."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise SpecError([Problem(str(path), 0, "", "no such file", "the pins of a virtualenv", _HOW)]) from None
    pins, problems = [], []
    for number, line in enumerate(lines, start=1):
        if not line or line.startswith("#"):
            continue
        match = _PIN.fullmatch(line)
        if match is None or (locked and not match["hashes"]):
            expected = "NAME==VERSION --hash=sha256:64 HEXADECIMAL DIGITS"
            problems.append(Problem(str(path), number, "", f"'{line[:60]}'", expected, _HOW))
        else:
            hashes = frozenset(re.findall(r"[0-9a-f]{64}", match["hashes"]))
            pins.append(Pin(match["name"], match["version"], hashes))
    if problems:
        raise SpecError(problems)
    return tuple(pins)


_HOW = "`make lock-virtualenvs R=NAME` writes the checksums"
