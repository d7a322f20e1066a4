"""A build of a box that asks no archive and starts no program but those that its tools run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.box.definition import BoxSpec, load_definition
from lab.box.guests import Guests
from lab.box.keys import BoxKey
from lab.box.make import BoxEvent, Build
from lab.box.manifest import inputs_of
from lab.box.pool import Pool

if TYPE_CHECKING:
    from pathlib import Path

    from lab.box.tools import Tools


def sample_build(directory: Path, tools: Tools, events: list[BoxEvent]) -> Build:
    """Give one of a controller's box without packages, with all of it in `directory`."""
    definition = load_definition("bookworm")
    spec = BoxSpec(name="a/b", suite="bookworm", release="zed", role="controller", packages=())
    return Build(
        spec=spec,
        definition=definition,
        inputs=inputs_of(definition, spec, {}, None, key=""),
        key=BoxKey(directory / "key", "ssh-ed25519 AAAA"),
        sources=[],
        pool=Pool(directory, definition, [], directory / "log"),
        guests=Guests(directory),
        cache=directory,
        log=directory / "log",
        tools=tools,
        on_event=events.append,
    )
