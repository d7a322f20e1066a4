"""One box: packages into a tree, the tree into a machine, the machine into an image, the image into the cache."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lab.base import resources
from lab.base.errors import HostError, LabError, MachineError
from lab.base.process import run
from lab.box import store
from lab.box.definition import BoxDefinition, BoxSpec, all_packages, base_packages
from lab.box.intact import facts_of_all
from lab.box.manifest import Inputs, Manifest
from lab.box.schemas import schema_lines
from lab.box.tools import AT_A_PLAIN_PATH, CONTAINED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lab.box.guests import Guests
    from lab.box.keys import BoxKey
    from lab.box.pool import Pool
    from lab.box.sources import Source
    from lab.box.store import Box
    from lab.box.tools import Tools

_BUILD_TIMEOUT_S = 3600.0

PRIVATE_KEY = "private_key"
"""file of the box beside its image"""

# `ssh.default`: a key that a machine has of its own, in .vagrant, goes before it.
VAGRANTFILE = f"""\
Vagrant.configure("2") do |config|
  config.ssh.default.private_key_path = File.expand_path("{PRIVATE_KEY}", __dir__)
  config.vm.synced_folder ".", "/vagrant", disabled: true
  config.vm.provider :libvirt do |libvirt|
    libvirt.disk_bus = "virtio"
    libvirt.nic_model_type = "virtio"
  end
end
"""


@dataclass(frozen=True)
class BoxEvent:
    """Progress, for a person who waits."""

    box: str
    """its name; empty for what concerns all of them"""
    text: str
    seconds: float | None = None
    """how long it took, where something ended"""


@dataclass
class Build:
    """What one build needs to know."""

    spec: BoxSpec
    definition: BoxDefinition
    inputs: Inputs
    key: BoxKey
    sources: list[Source]
    pool: Pool
    guests: Guests
    cache: Path
    log: Path
    tools: Tools
    on_event: Callable[[BoxEvent], None]
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str, text: str) -> Iterator[None]:
        """Tell what begins, and measure its time."""
        started = time.monotonic()
        self.on_event(BoxEvent(self.spec.name, text))
        yield
        self.seconds[name] = round(time.monotonic() - started, 1)


def make_box(build: Build) -> Box:
    """Make one box, from packages to its place in the cache."""
    started = time.monotonic()
    spec, definition = build.spec, build.definition
    try:
        with store.scratch(build.cache, spec.name) as scratch:
            tree, repository, result = scratch / "tree", scratch / "repository", scratch / "result"
            with build.phase("repository", "choosing packages"):
                debs = build.pool.resolve(all_packages(definition, spec))
                build.pool.repository(debs, repository)
            with build.phase("packages", f"installing packages ({spec.flavour})"):
                _install(build, tree, repository, scratch)
            if lines := schema_lines(spec):
                _make_schemas(build, lines, tree, scratch)
            with build.phase("machine", "turning the tree into a machine"):
                _finish(build, tree, repository, scratch)
                packages = _installed(tree)
            with build.phase("image", "writing the image"):
                (result / "libvirt").mkdir(parents=True)
                _assemble(build, tree, result / "libvirt" / store.IMAGE)
            _write_metadata(build, result / "libvirt")
            files = facts_of_all(result / "libvirt")
            build.seconds["total"] = round(time.monotonic() - started, 1)
            now = time.gmtime()
            manifest = Manifest(
                name=spec.name,
                version=store.new_version(now),
                release=spec.release,
                role=spec.role,
                flavour=spec.flavour,
                built=time.strftime("%Y-%m-%dT%H:%M:%SZ", now),
                files=files,
                inputs=build.inputs,
                sources=tuple(s.line() for s in build.sources),
                packages=packages,
                seconds=build.seconds,
            )
            box = store.publish(build.cache, manifest, result)
    except OSError as error:
        free = shutil.disk_usage(build.cache).free // 2**20
        raise HostError(
            f"building {spec.name}: {error}", detail=f"free in {build.cache}: {free} MiB\nfull log: {build.log}"
        ) from error
    except LabError as error:
        error.message = f"building {spec.name}: {error.message}"
        raise
    build.on_event(BoxEvent(spec.name, f"ready, version {box.version}", build.seconds["total"]))
    return box


def _install(build: Build, tree: Path, repository: Path, scratch: Path) -> None:
    """Bootstrap the tree."""
    with tempfile.TemporaryDirectory(prefix="lab-box-", dir="/tmp") as plain:
        at_place = (*AT_A_PLAIN_PATH, scratch, plain)
        _bootstrap(build, at_place, Path(plain, tree.name), Path(plain, repository.name), scratch)


def _bootstrap(
    build: Build, at_place: Sequence[str | os.PathLike[str]], tree: Path, repository: Path, scratch: Path
) -> None:
    definition, spec = build.definition, build.spec
    answers = scratch / "debconf"
    answers.write_text("".join(f"{line}\n" for line in definition.debconf))
    names = all_packages(definition, spec) if spec.flavour == "installed" else base_packages(definition, spec.role)
    build.tools.run(
        [
            *CONTAINED,
            *at_place,
            *mmdebstrap(definition, names, tree, repository, prepare=resources.BOXES / "prepare.sh"),
        ],
        log=build.log,
        timeout_s=_BUILD_TIMEOUT_S,
        env={
            "BOX_ROLE": spec.role,
            "BOX_DEBCONF": str(answers),
            "BOX_INITRAMFS_MODULES": " ".join(definition.initramfs_modules),
        },
    )


def mmdebstrap(
    definition: BoxDefinition, packages: Sequence[str], tree: Path, repository: Path, *, prepare: Path | None = None
) -> list[str | Path]:
    """Give the command that installs packages of a flat repository into a new tree.

    `prepare`: script that is called with the tree before all but the essential packages.
    """
    hooks = [f'--essential-hook={shlex.quote(str(prepare))} "$1"'] if prepare else []
    return [
        "mmdebstrap",
        "--mode=root",
        "--variant=apt",
        "--format=directory",
        f"--architectures={definition.architecture}",
        "--aptopt=APT::Install-Recommends false",
        "--aptopt=Acquire::Languages none",
        "--dpkgopt=force-unsafe-io",
        "--hook-dir=/usr/share/mmdebstrap/hooks/file-mirror-automount",
        *hooks,
        f"--include={','.join(packages)}",
        definition.suite,
        tree,
        f"deb [trusted=yes] file://{repository} ./",
    ]


def _make_schemas(build: Build, lines: str, tree: Path, scratch: Path) -> None:
    """Make the databases' schemas, as files for the box. They save time only: a box without them is as good."""
    commands, dumps = scratch / "schemas", scratch / "share" / "schemas"
    commands.write_text(lines)
    try:
        with build.phase("schemas", "making the databases' schemas"):
            build.tools.run(
                [*CONTAINED, resources.BOXES / "schemas.sh", tree, dumps],
                log=build.log,
                timeout_s=_BUILD_TIMEOUT_S,
                env={"BOX_SCHEMAS": str(commands)},
            )
    except MachineError as error:
        if build.tools.stopped:
            raise
        shutil.rmtree(dumps, ignore_errors=True)
        without = f"has no schemas of the databases, each lab makes them: {error.message} (log: {build.log})"
        build.on_event(BoxEvent(build.spec.name, without))


def _finish(build: Build, tree: Path, repository: Path, scratch: Path) -> None:
    definition, spec = build.definition, build.spec
    share = scratch / "share"
    shutil.copytree(build.guests.proof, share / "proof")
    if spec.role == "controller":
        shutil.copytree(build.guests.tiny, share / "tiny")
    public_key = scratch / "key.pub"
    public_key.write_text(f"{build.key.public}\n")
    sources = scratch / "sources.list"
    sources.write_text("".join(f"{s.line()}\n" for s in build.sources))
    build.tools.run(
        [resources.BOXES / "finish.sh", tree],
        log=build.log,
        timeout_s=300,
        env={
            "BOX_ROLE": spec.role,
            "BOX_FLAVOUR": spec.flavour,
            "BOX_ENABLED": " ".join(definition.enabled),
            "BOX_MASKED": " ".join(definition.masked),
            "BOX_SSHD": "".join(f"{line}\n" for line in definition.sshd),
            "BOX_PUBLIC_KEY": str(public_key),
            "BOX_REPO": str(repository),
            "BOX_SHARE": str(share),
            "BOX_SOURCES": str(sources),
        },
    )


def _assemble(build: Build, tree: Path, image: Path) -> None:
    build.tools.run(
        [resources.BOXES / "assemble.sh", tree, image],
        log=build.log,
        timeout_s=_BUILD_TIMEOUT_S,
        env={"BOX_DISK_GIB": str(build.definition.disk_gib), "BOX_CMDLINE": build.definition.cmdline},
    )


def _write_metadata(build: Build, target: Path) -> None:
    metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": build.definition.disk_gib}
    (target / "metadata.json").write_text(json.dumps(metadata) + "\n")
    (target / "Vagrantfile").write_text(VAGRANTFILE)
    shutil.copy(build.key.private, target / PRIVATE_KEY)
    owner = build.key.private.stat()
    os.chown(target / PRIVATE_KEY, owner.st_uid, owner.st_gid)


def _installed(tree: Path) -> dict[str, str]:
    """Every package of a tree with its version."""
    show = "-f=${db:Status-Abbrev} ${Package} ${Version}\n"
    out = run(["dpkg-query", f"--admindir={tree}/var/lib/dpkg", "-W", show], timeout_s=60).stdout
    rows = [line.split() for line in out.splitlines()]
    return {name: version for status, name, version in rows if status.startswith("ii")}
