"""A YAML file with what it names as its base: one document, in which every value remembers its file too.

Lists add up, the base's first; mappings are joined key by key; any other value replaces the base's. A base may have a
base.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lab.base.errors import Problem, SpecError
from lab.base.words import did_you_mean
from lab.inputs.document import Document, Loc, read_document

if TYPE_CHECKING:
    from pathlib import Path

KEY = "base"
"""the key that names the base: a file of the directory `base`, without its ending"""


def read_layers(path: Path, *, top: str) -> Document:
    """Read a file and its bases; the key `base` itself is not in the result.

    Args:
        top: what the file should hold, for the message about one that holds something else.

    Raises:
        SpecError: a file is missing or is no YAML mapping, or the bases go round in a circle.
    """
    layers = [read_document(path, missing="", top=top)]
    unused = {file.stem: file for file in (path.parent / KEY).glob("*.yaml")}
    while (base := layers[-1].data.get(KEY)) is not None:
        if not isinstance(base, str) or base not in unused:
            own, expected = layers[-1], f"one of: {', '.join(sorted(unused))}"
            hint = did_you_mean(str(base), sorted(unused))
            raise SpecError([Problem(own.file, own.line_of((KEY,)), KEY, f"'{base}'", expected, hint)])
        file = unused.pop(base)
        layers.append(_base(file, file.stat().st_mtime_ns))
    out = layers.pop()
    while layers:
        out = _joined(layers.pop(), out)
    out.data.pop(KEY, None)
    return out


@lru_cache(maxsize=8)
def _base(path: Path, _changed_ns: int) -> Document:
    """Read a base, once for all files that name it."""
    return read_document(path, missing="", top="what several files have in common")


def _joined(own: Document, base: Document) -> Document:
    out = Document(own.file, problems=[*own.problems, *base.problems])
    out.data = _join(out, (own, own.data, ()), (base, base.data, ()), ())
    return out


_Part = tuple[Document, Any, Loc]
"""a value, and where in which document it is"""


def _join(out: Document, own: _Part, base: _Part, loc: Loc) -> Any:
    (own_file, own_value, own_loc), (base_file, base_value, base_loc) = own, base
    if isinstance(own_value, dict) and isinstance(base_value, dict):
        joined = {}
        for key in (*base_value, *(key for key in own_value if key not in base_value)):
            mine = (own_file, own_value.get(key), (*own_loc, key))
            theirs = (base_file, base_value.get(key), (*base_loc, key))
            if key in own_value and key in base_value:
                joined[key] = _join(out, mine, theirs, (*loc, key))
            else:
                joined[key] = _taken(out, mine if key in own_value else theirs, (*loc, key))
        return joined
    if isinstance(own_value, list) and isinstance(base_value, list):
        _taken(out, (own_file, own_value, own_loc), loc, only_key=True)
        parts = [(base_file, value, (*base_loc, index)) for index, value in enumerate(base_value)]
        parts += [(own_file, value, (*own_loc, index)) for index, value in enumerate(own_value)]
        return [_taken(out, part, (*loc, index)) for index, part in enumerate(parts)]
    return _taken(out, own, loc)


def _taken(out: Document, part: _Part, loc: Loc, *, only_key: bool = False) -> Any:
    """Take a value as it is; it keeps its lines and its file."""
    document, value, start = part
    for lines, mine in ((document.lines, out.lines), (document.key_lines, out.key_lines)):
        for place, line in lines.items():
            if place == start or (place[: len(start)] == start and not only_key):
                here = (*loc, *place[len(start) :])
                mine[here] = line
                out.files[here] = document.files.get(place, document.file)
    out.unusable |= {(*loc, *place[len(start) :]) for place in document.unusable if place[: len(start)] == start}
    return value
