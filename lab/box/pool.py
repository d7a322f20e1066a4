"""A pool of downloaded packages, shared by all boxes of a suite, and flat repositories cut out of it.

apt itself does the work, with a root of its own (sources, indices, cache and an empty dpkg status beside the boxes), so
that nothing is fetched twice, every archive is verified by its signature, and the host's own apt state is neither used
nor changed. The host's proxy settings do apply: they are in /etc/apt/apt.conf.d, which apt reads as usual.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from lab.base.errors import HostError
from lab.base.process import Completed, run
from lab.box.sources import keyring_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lab.box.definition import BoxDefinition
    from lab.box.sources import Source

_URI = re.compile(r"^'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+)", re.MULTILINE)
_DOWNLOAD_TIMEOUT_S = 3600.0
_APT_TIMEOUT_S = 300.0
ESSENTIAL = ("?essential", "apt")


@dataclass(frozen=True)
class Deb:
    """One package file."""

    file: str
    """name in the pool, as libc6_2.36-9_amd64.deb; an epoch's colon is %3a"""
    size: int

    @property
    def package(self) -> str:
        """The package's name."""
        return self.file.split("_")[0]

    @property
    def version(self) -> str:
        """The version, with its epoch."""
        return unquote(self.file.split("_")[1])


class Pool:
    """Downloaded packages of one suite, and apt's view of its archives."""

    def __init__(
        self,
        root: Path,
        definition: BoxDefinition,
        sources: Sequence[Source],
        log: Path,
        *,
        patience_s: float | None = None,
        own: Path | None = None,
    ) -> None:
        """Name a pool.

        `patience_s`: of a look that may fail; apt asks once and waits for no longer, a build tries again.
        `own`: a flat repository of packages that were made here (lab.box.own_packages).
        """
        self.root = root
        self.archives = root / "archives"
        self._definition = definition
        self._sources = list(sources)
        self._log = log
        self._patience_s = patience_s
        self._own = own

    def update(self) -> None:
        """Fetch the archives' indices; what has not changed is not fetched again."""
        for sub in ("etc/sources.list.d", "etc/preferences.d", "lists/partial", "archives/partial", "state"):
            (self.root / sub).mkdir(parents=True, exist_ok=True)
        (self.root / "status").touch()
        keyring = keyring_of(self._definition)
        lines = [s.line(keyring, self._definition.architecture) for s in self._sources]
        if self._own is not None:
            # `copy`, not `file`: the packages come into the archives as all others do.
            lines.append(f"deb [trusted=yes] copy:{quote(str(self._own))}/ ./")
        (self.root / "etc/sources.list").write_text("\n".join(lines) + "\n")
        done = self._apt("update", "--error-on=any", timeout_s=self._update_limit_s(), log=self._log, check=False)
        if not done.ok:
            names = ", ".join(sorted({s.uri for s in self._sources}))
            raise HostError(
                f"the mirror does not answer as an archive of {self._definition.suite}: {names}",
                detail=f"{done.tail()}\nfull log: {self._log}",
                hint="check the network and /etc/apt, or name another mirror: `box.mirror` of the spec",
            )

    def resolve(self, packages: Sequence[str]) -> list[Deb]:
        """Name every file that the essential system with these packages takes, dependencies included."""
        # A file that is in the cache already is not printed: so an empty one is shown to apt.
        empty = f"-oDir::Cache::archives={self.root}/empty"
        (self.root / "empty/partial").mkdir(parents=True, exist_ok=True)
        done = self._apt(
            empty, "install", "--yes", "--print-uris", *ESSENTIAL, *packages, timeout_s=_APT_TIMEOUT_S, check=False
        )
        if not done.ok:
            raise HostError(
                f"packages that {self._definition.suite} does not have, or that cannot be installed together",
                detail="\n".join(x for x in (done.stdout + done.stderr).splitlines() if not x.startswith("'"))[-2000:],
                hint="the mirror may lack an archive (security, updates), or a step names a wrong package",
            )
        debs = (Deb(m["file"], int(m["size"])) for m in _URI.finditer(done.stdout))
        return sorted(debs, key=lambda d: d.file)

    def fetch(self, packages: Sequence[str]) -> None:
        """Download what is missing of `resolve(packages)`.

        A file that is there in its full size is not hashed again: apt verified it when it came, the bootstrap does
        so when it reads it.
        """
        if all(self._has(deb) for deb in self.resolve(packages)):
            return
        done = self._apt(
            "install",
            "--yes",
            "--download-only",
            *ESSENTIAL,
            *packages,
            timeout_s=_DOWNLOAD_TIMEOUT_S,
            log=self._log,
            check=False,
        )
        if not done.ok:
            free_mib = shutil.disk_usage(self.root).free // 2**20
            raise HostError(
                "packages could not be downloaded",
                detail=f"{done.tail()}\nfree in {self.root}: {free_mib} MiB\nfull log: {self._log}",
                hint="run the command again: what was downloaded is kept",
            )

    def download(self, packages: Sequence[str]) -> None:
        """Download these packages alone, without their dependencies; needs no root."""
        self._apt("download", *packages, timeout_s=_DOWNLOAD_TIMEOUT_S, log=self._log, cwd=self.archives)

    def tidy(self) -> None:
        """Remove files that the archives do not offer any more."""
        self._apt("autoclean", timeout_s=_APT_TIMEOUT_S, log=self._log, check=False)

    def repository(self, debs: Sequence[Deb], target: Path) -> None:
        """Lay out a flat apt repository of exactly these files, hard-linked, with the archives' own index entries.

        apt finds in it only what was chosen before: a bootstrap from it takes these versions, and no network.
        """
        target.mkdir(parents=True)
        wanted = {(d.package, d.version): d for d in debs}
        shown = self._show([f"{d.package}={d.version}" for d in debs])
        stanzas: dict[tuple[str, str], str] = {}
        for stanza in re.split(r"\n\n+", shown.strip()):
            fields = dict(re.findall(r"^(Package|Version|Size): (.*)$", stanza, re.MULTILINE))
            key = (fields.get("Package", ""), fields.get("Version", ""))
            deb = wanted.get(key)
            if deb is None or int(fields["Size"]) != deb.size:
                continue
            stanzas[key] = re.sub(r"^Filename: .*$", f"Filename: ./{key_file(deb)}", stanza, flags=re.MULTILINE)
        lacking = sorted(d.file for k, d in wanted.items() if k not in stanzas)
        if lacking:
            raise HostError("the archives' indices changed while they were read", detail="\n".join(lacking[:5]))
        for deb in debs:
            os.link(self.archives / deb.file, target / key_file(deb))
        text = "\n\n".join(stanzas[k] for k in sorted(stanzas)) + "\n"
        (target / "Packages").write_text(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        suite = self._definition.suite
        (target / "Release").write_text(
            f"Origin: compute-lab\nSuite: {suite}\nCodename: {suite}\nArchitectures: {self._definition.architecture}\n"
            f"Date: Thu, 01 Jan 1970 00:00:00 UTC\nSHA256:\n {digest} {len(text.encode())} Packages\n"
        )

    def _has(self, deb: Deb) -> bool:
        file = self.archives / deb.file
        return file.is_file() and file.stat().st_size == deb.size

    def _show(self, names: Sequence[str]) -> str:
        return run(["apt-cache", *self._options(), "show", *names], timeout_s=_APT_TIMEOUT_S).stdout

    def _apt(
        self, *args: str, timeout_s: float, log: Path | None = None, check: bool = True, cwd: Path | None = None
    ) -> Completed:
        env = {"DEBIAN_FRONTEND": "noninteractive"}
        return run(["apt-get", *self._options(), *args], timeout_s=timeout_s, log=log, env=env, check=check, cwd=cwd)

    def _update_limit_s(self) -> float:
        return _APT_TIMEOUT_S if self._patience_s is None else 4 * self._patience_s

    def _options(self) -> list[str]:
        settings: dict[str, object] = {
            "Dir::Etc::sourcelist": self.root / "etc/sources.list",
            "Dir::Etc::sourceparts": self.root / "etc/sources.list.d",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": self.root / "etc/preferences.d",
            "Dir::State": self.root / "state",
            "Dir::State::lists": self.root / "lists",
            "Dir::State::status": self.root / "status",
            "Dir::Cache": self.root,
            "Dir::Cache::archives": self.archives,
            # Containers often switch these off for the host: then every call would parse all indices again.
            "Dir::Cache::pkgcache": "pkgcache.bin",
            "Dir::Cache::srcpkgcache": "srcpkgcache.bin",
            "APT::Architecture": self._definition.architecture,
            "APT::Architectures": self._definition.architecture,
            "APT::Sandbox::User": "",
            "APT::Install-Recommends": "false",
            "APT::Get::List-Cleanup": "true",
            "APT::Update::Post-Invoke-Success": "",
            "Acquire::GzipIndexes": "false",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Dpkg::Use-Pty": "0",
        }
        if self._patience_s is not None:
            seconds = f"{self._patience_s:.0f}"
            settings |= {"Acquire::Retries": "0", "Acquire::http::Timeout": seconds, "Acquire::https::Timeout": seconds}
        return [f"-o{name}={value}" for name, value in settings.items()]


def key_file(deb: Deb) -> str:
    """Give the file's name in a repository: apt would decode the %3a of an epoch, as in any address."""
    return deb.file.replace("%3a", ".")
