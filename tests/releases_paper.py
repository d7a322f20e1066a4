"""docs/releases.md, from the releases and the components of the guide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.base import resources
from lab.inputs.components import in_order, load_components
from lab.teaching.script import prose

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.inputs.release import Release


def paper() -> str:
    """Write docs/releases.md."""
    releases = in_order()
    out = [_HEAD, _row("release", "", "system", "guide"), _row(*["---"] * 4)]
    out += [_row(f"`{r.name}`", r.title, f"{r.distribution} {r.suite}", f"<{r.guide}>") for r in releases]
    out += [_COMPONENTS, _row("component", *(r.name for r in releases)), _row(*["---"] * (len(releases) + 1))]
    for component in load_components():
        states = [component.in_release(release) for release in releases]
        shown = [s or "gone" for s in states]
        cells = ["=" if at and s == shown[at - 1] else s for at, s in enumerate(shown)]
        out.append(_row(f"`{component.name}`: {component.does}", *cells))
    out += [_HISTORY, _row("component", "deprecated", "removed", "instead", "why"), _row(*["---"] * 5)]
    out += [
        _row(f"`{c.name}`", c.deprecated, c.removed, c.instead, c.why)
        for c in load_components()
        if c.deprecated or c.removed or c.instead
    ]
    out += [_CAPABILITIES, _row("capability", *(r.name for r in releases)), _row(*["---"] * (len(releases) + 1))]
    out += [
        _row(f"`{name}`", *("yes" if r.capabilities[name] else "" for r in releases))
        for name in releases[0].capabilities
    ]
    out += _deviations([r for r in releases if r.edition])
    out += [_PACKAGES, *(f"- {text}" for r in releases if r.virtualenvs for text in _patches(r.virtualenvs))]
    return "\n".join(out) + "\n"


def _deviations(releases: list[Release]) -> Iterator[str]:
    yield from (_DEVIATIONS, _row("step", "of", "what differs, and why"), _row(*["---"] * 3))
    for step in sorted({step for release in releases for step in release.every_step}):
        of = [r for r in releases if step in r.every_step]
        script = resources.PROVISION / of[0].edition / f"{step}.sh"
        for note in _notes(script):
            yield _row(f"`{step}`", ", ".join(r.name for r in of), note)
    for note in _notes(resources.PROVISION / "lib" / "guide.sh"):
        yield _row("each `openstack` command", ", ".join(r.name for r in releases), note)


def _notes(script: Path) -> Iterator[str]:
    """The deviations in a script's comments."""
    comment: list[str] = []
    for line in [*script.read_text(encoding="utf-8").splitlines(), ""]:
        if line.lstrip().startswith("#"):
            comment.append(line.strip())
            continue
        notes = [text.removeprefix("Deviation: ") for text in prose(tuple(comment)) if text.startswith("Deviation: ")]
        yield from notes
        comment = []


def _patches(virtualenvs: str) -> Iterator[str]:
    for patch in sorted((resources.BOXES / virtualenvs / "patches").iterdir()):
        why = patch.read_text(encoding="utf-8").partition("\n---")[0]
        yield f"`{patch.stem}`: {' '.join(why.split())}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


_HEAD = """\
# Releases

Generated from `lab/releases/`, `lab/inputs/components.yaml` and the steps (`.venv/bin/pytest --regenerate tests/golden`
writes it).
`lab release show NAME` lists packages, units, ports, databases and options, `lab release diff A B` what differs.
"""
_COMPONENTS = """
## Components of the guide

`=`: as in the release before.
"""
_HISTORY = """
## What was removed or renamed
"""
_DEVIATIONS = """
## Where the first edition's steps differ from the guide

`newton` and `ocata` follow the guide's first edition; a step that is not here does so to the letter. The steps of the
other releases say it too: in each script a line that begins with `# Deviation:`. `lab handout` shows all of them
beside the commands.
"""
_PACKAGES = """
## Where ocata's packages differ from those of the guide

No archive has them any more: they are made of what PyPI has
([adding-a-release.md](adding-a-release.md#packages-that-no-archive-has-boxesname)). keystone and glance are Pike's,
because PyPI has no older ones, and work with this nova. keystone answers under uWSGI instead of Apache, because
Debian 11 has no module of Apache for Python 2. The configuration files in the packages have what a small or emulated
machine needs: one process of a kind, and longer timeouts; and nova-network's has `[cells] enable`, without which it
does not start any more (`boxes/ocata/files`). These are the changes to the sources:
"""
_CAPABILITIES = """
## Capabilities

What scripts and facts ask for ([environment.md](environment.md#capabilities)).
"""
