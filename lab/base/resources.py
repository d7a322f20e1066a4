"""The project's own data files: at the top of a checkout, or inside an installed wheel."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_WHEEL_DATA = _PACKAGE / "data"
_ROOT = _WHEEL_DATA if _WHEEL_DATA.is_dir() else _PACKAGE.parent

VAGRANTFILE_TEMPLATE = _ROOT / "Vagrantfile.j2"
BOXES = _ROOT / "boxes"
PROVISION = _ROOT / "provision"
INFRA_SUITE = _WHEEL_DATA / "infra" if _WHEEL_DATA.is_dir() else _PACKAGE.parent / "tests" / "infra"
RELEASES = _PACKAGE / "releases"
COMPONENTS = _PACKAGE / "inputs" / "components.yaml"
MAKEFILE = _ROOT / "Makefile"
"""of a checkout; a wheel has none"""
GUIDE = _PACKAGE / "teaching" / "guide.yaml"
EXERCISES = _PACKAGE / "teaching" / "exercises"


def text(path: Path) -> str:
    """Read a data file, again only if it changed: many nodes get the same scripts."""
    state = path.stat()
    return _text(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=512)
def _text(path: Path, _changed_ns: int, _size: int) -> str:
    return path.read_text(encoding="utf-8")
