"""Virtualenvs of a release's services: downloaded with pip once, compiled in a tree of their own, kept.

CACHE/virtualenvs/NAME/
    downloads/      wheels and sources from PyPI, as the pins' checksums name them
    cache/          pip's own: wheels that were compiled
    made/VIRTUALENV-DIGEST.tar    root/opt/VIRTUALENV, as it comes into the box; sources/*/etc: configuration files
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab.base import durable, resources
from lab.base.errors import HostError, LabError, MachineError
from lab.base.process import run
from lab.box.intact import facts_of
from lab.box.make import BoxEvent, mmdebstrap
from lab.box.own_digest import VIRTUALENVS_SCRIPT, digest_of
from lab.box.tools import AT_A_PLAIN_PATH, CONTAINED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from lab.box.definition import BoxDefinition
    from lab.box.pool import Pool
    from lab.box.tools import Tools
    from lab.inputs.virtualenvs import Pin, Recipe

MAKING = ".making-"
"""what the names of scratch directories begin with"""
_TIMEOUT_S = 5400.0
_PIP_SETTINGS = ("index-url", "trusted-host", "proxy", "timeout", "retries")
"""keys of pip's configuration that say where packages come from; not extra indices, which may be directories"""
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_SYSTEM_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_SETTING = re.compile(r"^(?:global|download|:env:)\.(?P<key>[a-z-]+)=(?P<value>.*)$", re.MULTILINE)
_REASONS = (
    (r"DO NOT MATCH THE HASHES", "a file that came does not have the checksum in {file}"),
    (r"No matching distribution found for (\S+)", "{found} is neither in the downloads nor where pip looks"),
    (r"(?:unable to execute|command) '(\S*g(?:cc|\+\+))'", "there is no compiler ({found}) where it is made"),
)
"""pip's words in the log, and what they mean"""


class Workshop:
    """Makes the virtualenvs of a recipe. The caller holds the lock of its directory."""

    def __init__(
        self,
        recipe: Recipe,
        directory: Path,
        log: Path,
        tools: Tools,
        on_event: Callable[[BoxEvent], None] = lambda event: None,
        *,
        pip: Callable[[], tuple[dict[str, str], str]] | None = None,
    ) -> None:
        """Take a recipe; `pip` tells how the host's is configured, as `host_pip` does."""
        self._recipe = recipe
        self._directory = directory
        self.downloads = directory / "downloads"
        self._log = log
        self._tools = tools
        self._tell = on_event
        self._pip = pip or host_pip

    def make_all(self, pool: Pool, definition: BoxDefinition, guard: AbstractContextManager[None]) -> dict[str, Path]:
        """Give an archive for every virtualenv; those that are missing are made, in a tree of the pool's packages.

        `guard`: the pool's lock, which is held while its packages are taken.

        Raises:
            HostError: pip is missing, or the bootstrap's wheels could not be fetched.
            MachineError: a virtualenv could not be made; with the reason, where the log has a known one, and its path.
        """
        made = {name: self._place(name) for name in self._recipe.table.virtualenvs}
        if missing := [name for name, archive in made.items() if not archive.is_file()]:
            self.fetch_bootstrap()
            with tempfile.TemporaryDirectory(dir=self._directory, prefix=MAKING) as scratch:
                with guard:
                    tree = self.bootstrap(pool, definition, Path(scratch))
                for name in missing:
                    self._make(name, tree, Path(scratch) / "work")
        for old in set((self._directory / "made").glob("*")) - set(made.values()):
            old.unlink()
        return made

    def fetch_bootstrap(self) -> None:
        """Fetch what the first virtualenv is made with, with the pip of this Python: all of it are wheels."""
        for sub in (self.downloads, self._directory / "cache", self._directory / "made"):
            sub.mkdir(parents=True, exist_ok=True)
        lacking = self._lacking(self._recipe.pins("bootstrap", locked=False))
        if not lacking:
            return
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:
            _write(Path(wanted.name), lacking)
            done = run(
                [
                    *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"),
                    *("--python-version", "2.7", "--dest", self.downloads, "--requirement", wanted.name),
                ],
                timeout_s=_TIMEOUT_S,
                log=self._log,
                check=False,
            )
        if not done.ok:
            raise HostError(
                f"pip could not fetch what the virtualenvs of {self._recipe.name} are made with",
                detail=f"{done.tail()}\nfull log: {self._log}",
                hint=f"`{sys.executable} -m pip download six` shows whether pip works here",
            )

    def bootstrap(self, pool: Pool, definition: BoxDefinition, scratch: Path) -> Path:
        """Install the compilers and the interpreter into a new tree."""
        self._tell(BoxEvent("", f"making the tree in which the virtualenvs are compiled (log: {self._log})"))
        packages = (self._recipe.table.python, *self._recipe.table.build)
        pool.update()
        pool.fetch(packages)
        pool.repository(pool.resolve(packages), scratch / "repository")
        with tempfile.TemporaryDirectory(prefix="lab-box-", dir="/tmp") as plain:
            command = mmdebstrap(definition, packages, Path(plain, "tree"), Path(plain, "repository"))
            self._tools.run(
                [*CONTAINED, *AT_A_PLAIN_PATH, scratch, plain, *command], log=self._log, timeout_s=_TIMEOUT_S
            )
        return scratch / "tree"

    def fetch(self, name: str, tree: Path, work: Path, *, locked: bool = True) -> None:
        """Download what is missing of a virtualenv; without `locked` also what has no checksum yet."""
        self._lay_out(name, work, locked=locked)
        if lacking := self._lacking(self._recipe.pins(name, locked=locked)):
            _write(work / name / "missing.txt", lacking)
            if source := self._recipe.table.virtualenvs[name].source:
                with (work / name / "missing.txt").open("a") as file:
                    file.write(f"--no-binary={source}\n")
            self._run(tree, work, name, "download")

    def _make(self, name: str, tree: Path, work: Path) -> None:
        """Make one virtualenv in a tree, and keep it."""
        started, own = time.monotonic(), work / name
        try:
            self.fetch(name, tree, work)
            if gone := self._lacking(self._recipe.sources(name)):
                what = " and ".join(f"{pin.name}=={pin.version}" for pin in gone)
                raise MachineError(f"{what} is not among the downloads", detail=f"full log: {self._log}")
            files = self._files()
            archives = [files[each] for pin in self._recipe.sources(name) for each in pin.hashes if each in files]
            (own / "sources.txt").write_text("".join(f"{each}\n" for each in archives))
            self._run(tree, work, name, "build")
        except MachineError as error:
            raise self._explained(name, error) from error
        durable.sync_file(own / "made.tar")
        (own / "made.tar").replace(self._place(name))
        shutil.rmtree(own)
        self._tell(BoxEvent("", f"made the virtualenv of {name}", round(time.monotonic() - started, 1)))

    def _place(self, name: str) -> Path:
        return self._directory / "made" / f"{name}-{digest_of(self._recipe, name)[:16]}.tar"

    def _files(self) -> dict[str, str]:
        """Name the downloads by their checksum."""
        return {facts_of(file).sha256: file.name for file in sorted(self.downloads.iterdir()) if file.is_file()}

    def _lacking(self, pins: Iterable[Pin]) -> list[Pin]:
        here = set(self._files())
        return [pin for pin in pins if not pin.hashes & here]

    def _lay_out(self, name: str, work: Path, *, locked: bool) -> None:
        """Write what the script reads; downloads and pip's cache are shared by all."""
        own, pins, sources = work / name, self._recipe.pins(name, locked=locked), self._recipe.sources(name)
        for sub in (own, work / "patches", work / "downloads", work / "cache"):
            sub.mkdir(parents=True, exist_ok=True)
        for pin in sources:
            for path in self._recipe.patches(pin.key):
                shutil.copy(path, work / "patches")
        _write(own / "bootstrap.txt", [p for p in self._recipe.pins("bootstrap") if p.key != "virtualenv"])
        _write(own / "pbr.txt", [pin for pin in pins if pin.key == "pbr"])
        _write(own / "wheels.txt", [pin for pin in pins if pin not in sources])

    def _run(self, tree: Path, work: Path, name: str, stage: str) -> None:
        settings, certificates = self._pip() if stage == "download" else ({}, "")
        lines = ["[global]", *(f"{key} = {value}" for key, value in settings.items())]
        (work / name / "pip.conf").write_text("".join(f"{line}\n" for line in lines))
        self._tools.run(
            [*CONTAINED, resources.BOXES / VIRTUALENVS_SCRIPT, tree, work, name, stage],
            log=self._log,
            timeout_s=_TIMEOUT_S,
            env={
                "BOX_CERTIFICATES": certificates,
                "BOX_DOWNLOADS": str(self.downloads),
                "BOX_PIP_CACHE": str(self._directory / "cache"),
                "BOX_PYTHON": self._recipe.table.python,
            },
        )

    def _explained(self, name: str, error: MachineError) -> LabError:
        """Say in a line what pip wrote into the log."""
        text = self._log.read_text(encoding="utf-8", errors="replace") if self._log.is_file() else ""
        file = f"{self._recipe.directory.name}/requirements/{name}.txt"
        for pattern, meaning in _REASONS:
            if match := re.search(pattern, text):
                found = match[1] if match.re.groups else ""
                reason = meaning.format(file=file, found=found)
                break
        else:
            reason = error.message
        return MachineError(f"the virtualenv of {name} could not be made: {reason}", detail=error.detail)


def host_pip() -> tuple[dict[str, str], str]:
    """Give what the host's pip is told of where packages come from, and the file of certificates that it trusts."""
    said = run([sys.executable, "-m", "pip", "config", "list"], timeout_s=_TIMEOUT_S, check=False).stdout
    found = {m["key"]: ast.literal_eval(m["value"]) for m in _SETTING.finditer(said)}
    candidates = [found.get("cert"), *(os.environ.get(name) for name in _CERTIFICATES), _SYSTEM_CERTIFICATES]
    certificates = next((each for each in candidates if each and os.path.isfile(each)), "")
    return {key: found[key] for key in _PIP_SETTINGS if key in found}, certificates


def _write(path: Path, pins: Iterable[Pin]) -> None:
    path.write_text("".join(f"{pin.line}\n" for pin in pins), encoding="utf-8")
