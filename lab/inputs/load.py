"""lab.yaml: every problem of it at once, each with its line."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from lab.base import addresses as addressing
from lab.base.words import did_you_mean
from lab.inputs.components import find as find_component
from lab.inputs.components import in_order
from lab.inputs.document import Loc, read_document
from lab.inputs.model import NetworksSpec, NodesSpec, Spec
from lab.inputs.release import default_release, load_release, release_hint, release_names
from lab.inputs.validate import validate
from lab.inputs.values import BOX_DISK_GIB, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.inputs.release import Release

INIT_HINT = "`lab init` writes one to start from"


@dataclass(frozen=True)
class _Finding:
    """A problem between values that are each right by themselves."""

    loc: Loc
    found: str
    expected: str
    hint: str = ""
    others: tuple[Loc, ...] = ()
    """the other values it is about: where one of them is wrong itself, this is not reported"""


def load_spec(path: Path) -> Spec:
    """Load a spec.

    Raises:
        SpecError: with every problem of it.
    """
    document = read_document(path, missing=INIT_HINT, top="a mapping with at least name and release")
    spec, wrong = validate(Spec, document, hidden=("passwords",), stand_in={"name": "x", "release": ""})
    if spec is not None:
        for finding in _between(spec):
            if not any(_touches(loc, wrong) for loc in (finding.loc, *finding.others)):
                document.problem(finding.loc, finding.found, finding.expected, finding.hint)
    document.raise_problems()
    assert spec is not None
    return spec


def _touches(loc: Loc, wrong: set[Loc]) -> bool:
    """Is the place wrong, or in something wrong, or does it hold something wrong?"""
    return any(loc[: len(place)] == place or place[: len(loc)] == loc for place in wrong)


def _between(spec: Spec) -> Iterator[_Finding]:
    yield from _overlaps(spec)
    yield from _too_small(spec)
    yield from _pool(spec)
    yield from _ready_made(spec)
    if spec.release not in release_names():
        hint = release_hint(spec.release)
        yield _Finding(("release",), f"'{spec.release}'", f"one of: {', '.join(release_names())}", hint)
    else:
        yield from _names(spec, load_release(spec.release))


def _overlaps(spec: Spec) -> Iterator[_Finding]:
    networks = [(kind, getattr(spec.networks, kind)) for kind in addressing.NETWORK_KINDS]
    for (kind_a, a), (kind_b, b) in combinations(networks, 2):
        if not a.overlaps(b):
            continue
        given = spec.networks.model_fields_set
        here, other = (kind_b, kind_a) if kind_b in given else (kind_a, kind_b)
        found, taken = (b, a) if here == kind_b else (a, b)
        yield _Finding(
            ("networks", here),
            str(found),
            f"a network that does not overlap networks.{other}",
            f"that is {taken}" + ("" if other in given else ", by default"),
            others=(("networks", other),),
        )


def _too_small(spec: Spec) -> Iterator[_Finding]:
    count, networks = spec.nodes.compute.count, spec.networks
    counted: tuple[Loc, ...] = (("nodes", "compute", "count"),)
    last = addressing.node_offset(count)
    if networks.management.num_addresses - 2 < last:
        found = f"{networks.management}, which ends at .{networks.management.num_addresses - 2}"
        yield _Finding(
            ("networks", "management"),
            found,
            f"a network that holds .{last} for compute{count}",
            _longest_prefix(last),
            others=counted,
        )
    nodes = count + 1
    if networks.access.num_addresses - 3 < nodes:  # network, broadcast, the host
        yield _Finding(
            ("networks", "access"),
            f"{networks.access}, with {networks.access.num_addresses - 3} addresses for nodes",
            f"{nodes} addresses for {nodes} nodes",
            _longest_prefix(nodes + 1),
            others=counted,
        )


def _longest_prefix(last: int) -> str:
    """Say which prefix still holds an address with this host part."""
    return f"/{32 - (last + 1).bit_length()} or shorter"


def _pool(spec: Spec) -> Iterator[_Finding]:
    provider, given = spec.networks.provider, spec.networks.provider_pool
    first, last = given or addressing.provider_pool(provider)
    loc: Loc = ("networks", "provider_pool" if given else "provider")
    others: tuple[Loc, ...] = (("networks", "provider"), ("networks", "provider_pool"), ("nodes", "compute", "count"))
    for address in (first, last):
        if address not in provider:
            yield _Finding(loc, str(address), f"an address in networks.provider ({provider})", others=others[:1])
            return
    if first <= provider[1] or last == provider.broadcast_address:
        expected = f"addresses from {provider[2]} to {provider[-2]}"
        yield _Finding(loc, f"{first}-{last}", expected, f"{provider[1]} is the gateway", others=others[:1])
        return
    chapters = load_release(spec.release).chapters if spec.release in release_names() else {}
    more = sum(chapters[name].addresses for name in spec.chapters if name in chapters)
    size, need = int(last) - int(first) + 1, spec.nodes.compute.count + 1 + more
    if size < need:
        yield _Finding(
            loc,
            f"{first}-{last}, which is {size} address{'es' if size > 1 else ''}",
            f"at least {need}: one for DHCP and one for an instance on each compute node"
            + (f", {more} for the chapters" if more else ""),
            others=others,
        )


def _ready_made(spec: Spec) -> Iterator[_Finding]:
    given = {"url": spec.box.url, "sha256": spec.box.sha256}
    for name, other in (("url", "sha256"), ("sha256", "url")):
        if given[name] and not given[other]:
            hint = "compare the file's checksum with what its publisher says" if name == "url" else ""
            yield _Finding(("box", name), f"it without box.{other}", "both or neither", hint, others=(("box", other),))


def _names(spec: Spec, release: Release) -> Iterator[_Finding]:
    chapters = ", ".join(release.chapters)
    for index, chapter in enumerate(spec.chapters):
        loc: Loc = ("chapters", index)
        if chapter not in release.chapters:
            expected = f"one of: {chapters}" if chapters else f"no chapter: release {release.name} has no optional ones"
            component = find_component(chapter)
            gone = component is not None and component.in_release(release) is None
            hints = [component.gone(release)] if component and gone else []
            hints += [f"{chapter} is a chapter of: {', '.join(owners)}"] if (owners := _releases_with(chapter)) else []
            yield _Finding(loc, f"'{chapter}'", expected, "; ".join(hints) or did_you_mean(chapter, release.chapters))
        elif chapter in spec.chapters[:index]:
            yield _Finding(loc, f"'{chapter}' again", "each chapter once")
    for name in spec.passwords:
        if name not in release.secrets:
            hint = did_you_mean(name, release.secrets)
            yield _Finding(
                ("passwords", name), f"the unknown name '{name}'", f"one of: {', '.join(release.secrets)}", hint
            )


def _releases_with(chapter: str) -> list[str]:
    return [release.name for release in in_order() if chapter in release.chapters]


def default_spec_text(name: str, release: str = "") -> str:
    """Write a spec with every default and what it means: for `lab init`.

    Raises:
        UsageError: there is no such release; without one it is the newest that is tested.
    """
    chosen = load_release(release or default_release())
    sizes, networks = NodesSpec(), NetworksSpec()
    return _DEFAULT_SPEC.format(
        name=name,
        release=chosen.name,
        releases=" | ".join(release_names()),
        controller=size_text(sizes.controller.memory_mib),
        compute=size_text(sizes.compute.memory_mib),
        disk=size_text(BOX_DISK_GIB * 1024),
        networks=networks,
        pool="{}-{}".format(*addressing.provider_pool(networks.provider)),
    )


_DEFAULT_SPEC = """\
# yaml-language-server: $schema=lab.schema.json
# A lab. Only name and release are needed; what is commented out is the default. `lab check` explains what it becomes,
# `lab schema > lab.schema.json` gives editors its keys.

# Part of the names of machines and networks: a-z, 0-9 and -, at most 20 characters.
name: {name}
release: {release:<23} # {releases}

# nodes:
#   controller:
#     cpus: 2
#     memory: {controller:<18} # MiB or GiB
#     disk: {disk:<20} # as the node sees it; the file holds only what is written
#   compute:
#     count: 1                   # 1 to 16: compute1, compute2 ...
#     cpus: 1
#     memory: {compute}
#     disk: {disk}
#     nested: auto               # auto | required | off: do instances run under KVM inside the compute nodes?

# accelerator: auto              # auto | kvm | qemu: auto takes KVM where a booted guest proves it, else emulates

# networks:                      # isolated; none is routed anywhere
#   access: {networks.access!s:<20} # Vagrant and ssh
#   management: {networks.management!s:<16} # controller .11, compute1 .31, compute2 .32 ...
#   provider: {networks.provider!s:<18} # the instances'
#   provider_pool: {pool}

# box:
#   flavour: installed           # installed | preloaded: preloaded installs the packages inside the nodes, offline
#   url: /srv/boxes/my.box       # a ready-made box for all nodes, instead of building
#   sha256: ...                  # its checksum
#   mirror: http://...           # Debian mirror (default: the one of this host's apt sources)

# chapters: []                   # optional chapters of the release

# passwords:                     # default: all derived from one random seed; `lab secrets` shows them
#   ADMIN_PASS: ...              # 8 to 64 of A-Z a-z 0-9 . _ ~ -
"""
