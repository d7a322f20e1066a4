"""Building boxes: packages into a tree, the tree into a machine, the machine into an image."""

from __future__ import annotations

import json
import os
import shutil
import time
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lab import resources
from lab.box import store
from lab.box.definition import BoxDefinition, BoxSpec, all_packages, base_packages, load_definition
from lab.box.guests import Guests, make_guests
from lab.box.manifest import Inputs, Manifest, inputs_of, needs_rebuild, tool_versions
from lab.box.pool import Pool
from lab.box.sources import Source, choose, host_sources
from lab.box.tools import Tools
from lab.errors import HostError, LabError
from lab.runtime.process import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lab.box.store import Box

_PUBLIC_KEYS = "/usr/share/rubygems-integration/all/gems", "vagrant-*/keys/vagrant.pub"
_BUILD_TIMEOUT_S = 3600.0
_SCRATCH_GIB = 8
"""room for one build: packages, tree, raw image and qcow2 (controller: 0.4 + 2.0 + 2.0 + 2.0)"""

VAGRANTFILE = """\
Vagrant.configure("2") do |config|
  config.vm.synced_folder ".", "/vagrant", disabled: true
  config.vm.provider :libvirt do |libvirt|
    libvirt.disk_bus = "virtio"
    libvirt.nic_model_type = "virtio"
  end
end
"""


@dataclass(frozen=True)
class BoxEvent:
    """Something that a person who waits wants to know."""

    box: str
    """its name; empty for what concerns all of them"""
    text: str
    seconds: float | None = None
    """how long it took, where something ended"""


@dataclass
class _Build:
    """What one build needs to know."""

    spec: BoxSpec
    definition: BoxDefinition
    inputs: Inputs
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
        started = time.monotonic()
        self.on_event(BoxEvent(self.spec.name, text))
        yield
        self.seconds[name] = round(time.monotonic() - started, 1)


def ensure_boxes(
    wanted: Sequence[BoxSpec],
    cache: Path | None = None,
    mirror: str | None = None,
    on_event: Callable[[BoxEvent], None] = lambda event: None,
    *,
    force: bool = False,
) -> list[Box]:
    """Give a box for every wish, in the same order; those that are missing or out of date are built side by side.

    Another process that builds one of them is waited for. Whatever ends this call early — an error, Ctrl-C — leaves
    whole boxes only.

    Args:
        wanted: what is needed; the same box twice is built once.
        cache: see lab.box.store.
        mirror: address of an archive, instead of those of the host's apt sources.
        on_event: told of progress, from several threads.
        force: build even what is up to date.

    Raises:
        HostError: not root, a tool is missing, the mirror does not answer, the disk is too full.
        MachineError: mmdebstrap or a script failed; with the end of the log and its path.
    """
    root = cache or store.cache_directory()
    tools = tool_versions()
    definitions = {s.suite: load_definition(s.suite) for s in wanted}
    inputs = {s.name: inputs_of(definitions[s.suite], s, tools, mirror) for s in wanted}

    def reason(spec: BoxSpec) -> str | None:
        if force:
            return "asked for"
        box = store.find(spec.name, root)
        return needs_rebuild(box.manifest.inputs if box else None, inputs[spec.name])

    if any(reason(s) for s in wanted):
        with ExitStack() as locks:
            for name in sorted({s.name for s in wanted}):

                def waiting(name: str = name) -> None:
                    on_event(BoxEvent(name, "waiting: another process builds this box"))

                locks.enter_context(store.lock(root, store.slug(name), waiting))
                store.sweep(root, name)
            missing = {s.name: s for s in wanted if reason(s)}
            for spec in missing.values():
                on_event(BoxEvent(spec.name, f"building: {reason(spec)}"))
            if missing:
                _build_all(list(missing.values()), definitions, inputs, root, mirror, on_event)
    boxes = []
    for spec in wanted:
        box = store.find(spec.name, root)
        if box is None:
            raise HostError(f"{spec.name} disappeared from {root} while it was being used")
        boxes.append(box)
    return boxes


def _build_all(
    missing: Sequence[BoxSpec],
    definitions: dict[str, BoxDefinition],
    inputs: dict[str, Inputs],
    cache: Path,
    mirror: str | None,
    on_event: Callable[[BoxEvent], None],
) -> None:
    if os.geteuid() != 0:
        raise HostError(
            "building boxes needs root: their files belong to many users", hint="sudo lab box build, or make lab-up"
        )
    free = shutil.disk_usage(_existing(cache)).free // 2**30
    needed = _SCRATCH_GIB * len(missing)
    if free < needed:
        raise HostError(
            f"{cache} has {free} GiB free; building {len(missing)} boxes takes {needed} GiB for a while",
            hint="make room, or set LAB_CACHE to a directory on a larger disk",
        )
    (cache / "logs").mkdir(parents=True, exist_ok=True)
    tools = Tools()
    builds = []
    for suite in sorted({s.suite for s in missing}):
        specs = [s for s in missing if s.suite == suite]
        definition = definitions[suite]
        sources = choose(definition, host_sources(), mirror)
        pool, guests = _download(specs, definition, sources, cache, on_event)
        builds += [
            _Build(
                spec=s,
                definition=definition,
                inputs=inputs[s.name],
                sources=sources,
                pool=pool,
                guests=guests,
                cache=cache,
                log=_new_log(cache, store.slug(s.name)),
                tools=tools,
                on_event=on_event,
            )
            for s in specs
        ]
    _run_all(builds, tools)


def _download(
    specs: Sequence[BoxSpec],
    definition: BoxDefinition,
    sources: list[Source],
    cache: Path,
    on_event: Callable[[BoxEvent], None],
) -> tuple[Pool, Guests]:
    """Fetch what the builds of one suite need, once; make the guests that go into the boxes."""
    started = time.monotonic()
    on_event(BoxEvent("", f"downloading packages from {', '.join(sorted({s.uri for s in sources}))}"))
    log = _new_log(cache, f"download-{definition.suite}")
    with store.lock(cache, f"apt-{definition.suite}"):
        pool = Pool(cache / "apt" / definition.suite, definition, sources, log)
        pool.update()
        for spec in specs:
            pool.fetch(all_packages(definition, spec))
        pool.tidy()
        (cache / "guests").mkdir(exist_ok=True)
        guests = make_guests(pool, definition.kernel, cache / "guests" / definition.suite)
    on_event(BoxEvent("", "packages downloaded", round(time.monotonic() - started, 1)))
    return pool, guests


def _run_all(builds: Sequence[_Build], tools: Tools) -> None:
    """Build side by side; the first failure, or Ctrl-C, ends them all."""
    with ThreadPoolExecutor(max_workers=max(1, min(len(builds), os.cpu_count() or 1))) as workers:
        futures: list[Future[Box]] = [workers.submit(_build, b) for b in builds]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            failure = next((f.exception() for f in futures if f.done() and f.exception()), None)
            if failure is not None:
                raise failure
        except BaseException:
            tools.stop()
            for future in futures:
                future.cancel()
            raise


def _build(build: _Build) -> Box:
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
            with build.phase("machine", "turning the tree into a machine"):
                _finish(build, tree, repository, scratch)
                packages = _installed(tree)
            with build.phase("image", "writing the image"):
                (result / "libvirt").mkdir(parents=True)
                _assemble(build, tree, result / "libvirt" / store.IMAGE)
            _write_metadata(build, result / "libvirt")
            build.seconds["total"] = round(time.monotonic() - started, 1)
            now = time.gmtime()
            manifest = Manifest(
                name=spec.name,
                version=store.new_version(now),
                release=spec.release,
                role=spec.role,
                flavour=spec.flavour,
                built=time.strftime("%Y-%m-%dT%H:%M:%SZ", now),
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


def _install(build: _Build, tree: Path, repository: Path, scratch: Path) -> None:
    """Bootstrap the tree. In a mount namespace of its own, so that no mount outlives an interrupted build."""
    definition, spec = build.definition, build.spec
    answers = scratch / "debconf"
    answers.write_text("".join(f"{line}\n" for line in definition.debconf))
    names = all_packages(definition, spec) if spec.flavour == "installed" else base_packages(definition, spec.role)
    build.tools.run(
        [
            "unshare",
            "--mount",
            "--propagation=private",
            "--",
            "mmdebstrap",
            "--mode=root",
            "--variant=apt",
            "--format=directory",
            f"--architectures={definition.architecture}",
            "--aptopt=APT::Install-Recommends false",
            "--aptopt=Acquire::Languages none",
            "--dpkgopt=force-unsafe-io",
            "--hook-dir=/usr/share/mmdebstrap/hooks/file-mirror-automount",
            f'--essential-hook={resources.BOXES}/prepare.sh "$1"',
            f"--include={','.join(names)}",
            definition.suite,
            tree,
            f"deb [trusted=yes] file://{repository} ./",
        ],
        log=build.log,
        timeout_s=_BUILD_TIMEOUT_S,
        env={
            "BOX_ROLE": spec.role,
            "BOX_DEBCONF": str(answers),
            "BOX_INITRAMFS_MODULES": " ".join(definition.initramfs_modules),
        },
    )


def _finish(build: _Build, tree: Path, repository: Path, scratch: Path) -> None:
    definition, spec = build.definition, build.spec
    share = scratch / "share"
    shutil.copytree(build.guests.proof, share / "proof")
    if spec.role == "controller":
        shutil.copytree(build.guests.tiny, share / "tiny")
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
            "BOX_PUBLIC_KEY": str(_public_key()),
            "BOX_REPO": str(repository),
            "BOX_SHARE": str(share),
            "BOX_SOURCES": str(sources),
        },
    )


def _assemble(build: _Build, tree: Path, image: Path) -> None:
    build.tools.run(
        [resources.BOXES / "assemble.sh", tree, image],
        log=build.log,
        timeout_s=_BUILD_TIMEOUT_S,
        env={"BOX_DISK_GIB": str(build.definition.disk_gib), "BOX_CMDLINE": build.definition.cmdline},
    )


def _write_metadata(build: _Build, target: Path) -> None:
    metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": build.definition.disk_gib}
    (target / "metadata.json").write_text(json.dumps(metadata) + "\n")
    (target / "Vagrantfile").write_text(VAGRANTFILE)


def _installed(tree: Path) -> dict[str, str]:
    """Every package of a tree with its version."""
    show = "-f=${db:Status-Abbrev} ${Package} ${Version}\n"
    out = run(["dpkg-query", f"--admindir={tree}/var/lib/dpkg", "-W", show], timeout_s=60).stdout
    rows = [line.split() for line in out.splitlines()]
    return {name: version for status, name, version in rows if status.startswith("ii")}


def _public_key() -> Path:
    """Vagrant's well-known public key, as the installed Vagrant has it."""
    gems, pattern = _PUBLIC_KEYS
    found = sorted(Path(gems).glob(pattern)) + sorted(Path("/opt/vagrant/embedded/gems").glob(f"gems/{pattern}"))
    if not found:
        raise HostError("Vagrant's public key was not found", hint="apt-get install vagrant")
    return found[-1]


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _new_log(cache: Path, name: str) -> Path:
    log = cache / "logs" / f"{name}.log"
    log.unlink(missing_ok=True)
    log.touch(0o600)
    return log
