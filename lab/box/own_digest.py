"""Checksums of what a release's own packages are made of: they say whether what the cache has is still right."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from lab.base import resources

if TYPE_CHECKING:
    from pathlib import Path

    from lab.inputs.virtualenvs import Recipe

VIRTUALENVS_SCRIPT = "virtualenvs.sh"
FORMAT = 1
"""raised when lab.box.own_packages makes other packages of the same recipe"""


def digest_of(recipe: Recipe, name: str, boxes: Path = resources.BOXES) -> str:
    """Give a checksum of all that decides what a virtualenv becomes, the suite's own packages aside."""
    parts = [pin.line for pin in (*recipe.pins("bootstrap"), *recipe.pins(name))]
    parts += [path.read_text(encoding="utf-8") for pin in recipe.sources(name) for path in recipe.patches(pin.key)]
    parts += [recipe.table.python, *recipe.table.build, (boxes / VIRTUALENVS_SCRIPT).read_text(encoding="utf-8")]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def own_digest(recipe: Recipe) -> str:
    """Give a checksum of all that the packages are made of."""
    digest = hashlib.sha256(f"{FORMAT}\0{recipe.table.model_dump_json()}\0".encode())
    for name in sorted(recipe.table.virtualenvs):
        digest.update(digest_of(recipe, name).encode())
    for file in sorted(path for path in (recipe.directory / "files").rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(recipe.directory)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()
