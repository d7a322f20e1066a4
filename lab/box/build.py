"""Makes the boxes that are needed: what is missing is downloaded once and built side by side."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
import time
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from lab.base import rights, safe
from lab.base.errors import HostError
from lab.box import store
from lab.box.age import offer_of
from lab.box.definition import BoxDefinition, BoxSpec, all_packages, load_definition
from lab.box.guests import Guests, make_guests
from lab.box.keys import ensure_key
from lab.box.make import BoxEvent, Build, make_box
from lab.box.manifest import Inputs, Manifest, inputs_of, needs_rebuild, tool_versions
from lab.box.own_digest import own_digest
from lab.box.own_packages import make_packages
from lab.box.pool import Pool
from lab.box.sources import Source, choose, host_distribution, host_sources, security_candidates
from lab.box.tools import Tools
from lab.box.virtualenvs import MAKING, Workshop
from lab.inputs.virtualenvs import load_recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lab.box.keys import BoxKey
    from lab.box.store import Box

__all__ = ["BoxEvent", "ensure_boxes"]

_GRUB = Path("/usr/lib/grub/i386-pc")
_SCRATCH_GIB = 8
"""room for one build: packages, tree, raw image and qcow2 (controller: 0.4 + 2.0 + 2.0 + 2.0)"""


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
    complete boxes only.

    Args:
        wanted: what is needed; the same box twice is built once.
        cache: see lab.box.store.
        mirror: address of an archive, instead of those of the host's apt sources.
        on_event: told of progress, from several threads.
        force: build even what is up to date.

    Raises:
        HostError: not root, a tool is missing, the mirror does not answer, the disk is too full; or others can reach
            into the cache.
        MachineError: mmdebstrap or a script failed; with the end of the log and its path.
    """
    root = safe.require(cache or store.cache_directory())
    tools = tool_versions()
    key = ensure_key(root)
    definitions = {s.suite: load_definition(s.suite) for s in wanted}
    inputs = {s.name: inputs_of(definitions[s.suite], s, tools, mirror, key=key.fingerprint) for s in wanted}

    def reason(spec: BoxSpec) -> str | None:
        if force:
            return "asked for"
        box, damage = store.find_intact(spec.name, root)
        made = box.manifest if box else None
        return needs_rebuild(made.inputs if isinstance(made, Manifest) else None, inputs[spec.name], damage)

    if any(reason(s) for s in {s.name: s for s in wanted}.values()):
        with ExitStack() as locks:
            for name in sorted({s.name for s in wanted}):

                def waiting(holder: str, name: str = name) -> None:
                    on_event(BoxEvent(name, f"waiting: {holder} works on this box"))

                locks.enter_context(store.lock(root, store.slug(name), waiting))
                store.sweep(root, name)
            reasons = {s.name: reason(s) for s in wanted}
            missing = {s.name: s for s in wanted if reasons[s.name]}
            for name in missing:
                on_event(BoxEvent(name, f"building: {reasons[name]}"))
            if missing:
                _build_all(list(missing.values()), definitions, inputs, key, root, mirror, on_event)
    boxes = []
    for spec in wanted:
        box = store.find(spec.name, root)
        if box is None:
            raise HostError(f"{spec.name} disappeared from {root} while it was being used")
        boxes.append(box)
    return boxes


def _for_an_administrator(cache: Path) -> str:
    """Tell a user without sudo how an administrator builds the boxes; the rest of `lab up` needs no root."""
    command = f"sudo {shlex.quote(f'LAB_CACHE={cache}')} {rights.as_called('lab box build')}"
    return f"if you may not use sudo, ask an administrator to run this with the same --file, then continue: {command}"


def _build_all(
    missing: Sequence[BoxSpec],
    definitions: dict[str, BoxDefinition],
    inputs: dict[str, Inputs],
    key: BoxKey,
    cache: Path,
    mirror: str | None,
    on_event: Callable[[BoxEvent], None],
) -> None:
    if os.geteuid() != 0:
        what = "building boxes needs root, because their files belong to many users"
        raise HostError(what, hint=f"run: {rights.same_with_sudo()}", detail=_for_an_administrator(cache))
    if not _GRUB.is_dir():
        raise HostError(
            f"{_GRUB} is missing: without it no box can be made bootable", hint="apt-get install grub-pc-bin"
        )
    free = shutil.disk_usage(_existing(cache)).free // 2**30
    needed = _SCRATCH_GIB * len(missing)
    if free < needed:
        raise HostError(
            f"{cache} has {free} GiB free; building {len(missing)} boxes takes {needed} GiB for a while",
            hint="free some space, or set LAB_CACHE to a directory on a larger disk",
        )
    rights.made(cache)
    safe.make(cache / "logs", mode=0o755)
    tools = Tools()
    builds = []
    for suite, virtualenvs in sorted({(s.suite, s.virtualenvs) for s in missing}):
        specs = [s for s in missing if (s.suite, s.virtualenvs) == (suite, virtualenvs)]
        definition = definitions[suite]
        sources = sources_for(definition, mirror, on_event)
        own = own_repository(virtualenvs, definition, sources, cache, tools, on_event) if virtualenvs else None
        pool, guests = _download(specs, definition, sources, cache, on_event, own)
        builds += [
            Build(
                spec=s,
                definition=definition,
                inputs=inputs[s.name],
                key=key,
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


def sources_for(definition: BoxDefinition, mirror: str | None, on_event: Callable[[BoxEvent], None]) -> list[Source]:
    """Choose the archives; beside a mirror that was named, the security archive that answers. Without one, say so."""
    host, distribution = host_sources(), host_distribution()
    sources = choose(definition, host, mirror, distribution)
    wanted = [archive for archive in definition.archives if archive.endswith("security")]
    candidates = security_candidates(definition, host, mirror, distribution) if mirror is not None else []
    sources += [s for s in candidates if offer_of(definition, s) is not None][:1]
    if wanted and not any(s.suite in wanted for s in sources):
        asked = ", ".join(s.uri for s in candidates)
        why = f"no answer from {asked}" if asked else "no source names that archive"
        on_event(BoxEvent("", f"the security updates of {definition.suite} are missing: {why}"))
    return sources


def _download(
    specs: Sequence[BoxSpec],
    definition: BoxDefinition,
    sources: list[Source],
    cache: Path,
    on_event: Callable[[BoxEvent], None],
    own: Path | None,
) -> tuple[Pool, Guests]:
    """Fetch what the builds of one suite need, once; make the guests that go into the boxes."""
    started = time.monotonic()
    on_event(BoxEvent("", f"downloading packages from {', '.join(sorted({s.uri for s in sources}))}"))
    log = _new_log(cache, f"download-{definition.suite}")
    with store.lock(cache, f"apt-{definition.suite}"):
        pool = Pool(cache / "apt" / definition.suite, definition, sources, log, own=own)
        pool.update()
        for spec in specs:
            pool.fetch(all_packages(definition, spec))
        pool.tidy()
        (cache / "guests").mkdir(exist_ok=True)
        guests = make_guests(pool, definition.kernel, cache / "guests" / definition.suite)
    on_event(BoxEvent("", "packages downloaded", round(time.monotonic() - started, 1)))
    return pool, guests


def own_repository(
    virtualenvs: str,
    definition: BoxDefinition,
    sources: list[Source],
    cache: Path,
    tools: Tools,
    on_event: Callable[[BoxEvent], None],
) -> Path:
    """Give a repository of the packages that a release has of its own; what is there already is not made again."""
    recipe = load_recipe(virtualenvs)
    home = cache / "virtualenvs" / virtualenvs
    ready = home / f"packages-{own_digest(recipe)[:16]}"
    with store.lock(cache, f"virtualenvs-{virtualenvs}"):
        home.mkdir(parents=True, exist_ok=True)
        for leftover in home.glob(f"{MAKING}*"):
            shutil.rmtree(leftover)
        if not ready.is_dir():
            log = _new_log(cache, f"virtualenvs-{virtualenvs}")
            pool = Pool(cache / "apt" / definition.suite, definition, sources, log)
            guard = store.lock(cache, f"apt-{definition.suite}")
            made = Workshop(recipe, home, log, tools, on_event).make_all(pool, definition, guard)
            with tempfile.TemporaryDirectory(dir=home, prefix=MAKING) as scratch:
                make_packages(recipe, made, ready, Path(scratch))
            on_event(BoxEvent("", f"made the packages of {virtualenvs}"))
        for old in set(home.glob("packages-*")) - {ready}:
            shutil.rmtree(old)
    return ready


def _run_all(builds: Sequence[Build], tools: Tools) -> None:
    """Build side by side; the first failure, or Ctrl-C, ends them all."""
    with ThreadPoolExecutor(max_workers=max(1, min(len(builds), os.cpu_count() or 1))) as workers:
        futures: list[Future[Box]] = [workers.submit(make_box, b) for b in builds]
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


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _new_log(cache: Path, name: str) -> Path:
    log = cache / "logs" / f"{name}.log"
    log.unlink(missing_ok=True)
    log.touch(0o600)
    return log
