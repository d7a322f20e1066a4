"""Directories that are complete or not there, after a crash too: NAME.partial gets its name with its manifest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from pathlib import Path

PARTIAL = ".partial"
FILE = "manifest.json"
Model = TypeVar("Model", bound=BaseModel)


def read(directory: Path, model: type[Model], version: int) -> Model | int | None:
    """Read a directory's manifest; the number of a version newer than `version`, None if it is half-written."""
    if directory.suffix == PARTIAL:
        return None
    try:
        text = (directory / FILE).read_bytes()
        return model.model_validate_json(text)
    except OSError:
        return None
    except ValidationError:
        return _newer_than(version, text)


def _newer_than(version: int, text: bytes) -> int | None:
    try:
        data = json.loads(text)
    except ValueError:
        return None
    found = data.get("version") if isinstance(data, dict) else None
    return found if isinstance(found, int) and found > version else None
