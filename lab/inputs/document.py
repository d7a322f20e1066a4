"""A YAML file as plain data in which every value remembers its line, and every problem of the file is kept."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from lab.base.errors import Problem, SpecError
from lab.inputs import bounds

if TYPE_CHECKING:
    from pathlib import Path

Loc = tuple[str | int, ...]
"""where in the document: ("nodes", "compute", "count"); an int is an index in a list"""

_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = {_TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq", "merge")}


@dataclass
class Document:
    """A file's data, the line of every value and key in it, and what is wrong with it so far."""

    file: str
    data: Any = None
    lines: dict[Loc, int] = field(default_factory=dict)
    """line of the value at each place"""
    key_lines: dict[Loc, int] = field(default_factory=dict)
    """line of the key that leads there"""
    problems: list[Problem] = field(default_factory=list)
    files: dict[Loc, str] = field(default_factory=dict)
    """file of a place that is in another one (lab.inputs.layers)"""
    unusable: set[Loc] = field(default_factory=set)
    """places whose value could not be read: reported already"""

    def line_of(self, loc: Loc) -> int:
        """Give the line of a place, or of the nearest thing around it that the file has; 0 for the file itself."""
        for end in range(len(loc), 0, -1):
            if line := self.key_lines.get(loc[:end]) or self.lines.get(loc[:end]):
                return line
        return 0

    def file_of(self, loc: Loc) -> str:
        """Give the file of a place, or of the nearest thing around it."""
        return next((self.files[loc[:end]] for end in range(len(loc), 0, -1) if loc[:end] in self.files), self.file)

    def problem(self, loc: Loc, found: str, expected: str, hint: str = "") -> None:
        """Keep a problem."""
        self.problems.append(Problem(self.file_of(loc), self.line_of(loc), dotted(loc), found, expected, hint))

    def raise_problems(self) -> None:
        """Raise SpecError where any problem was kept, in the order of the file's lines."""
        if self.problems:
            raise SpecError(sorted(self.problems, key=lambda p: (p.line == 0, p.line)))


def dotted(loc: Loc) -> str:
    """Write a place as its reader would: nodes.compute.count, chapters[1]."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def read_document(path: Path, *, missing: str, top: str) -> Document:
    """Read a YAML file whose top is a mapping.

    Args:
        missing: hint where there is no such file.
        top: what the file should hold, as "a mapping with name and release".

    Raises:
        SpecError: the file is missing, unreadable, too large, not text, not YAML, or holds something else than a
            mapping.
    """
    document = Document(str(path))
    try:
        with path.open("rb") as file:
            content = file.read(bounds.BYTES + 1)
        if len(content) > bounds.BYTES:
            raise _only(document, 0, f"more than {bounds.BYTES // 1024} KiB", top)
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise _only(document, 0, "no such file", top, missing) from None
    except UnicodeDecodeError as error:
        found = f"bytes that are not text (at byte {error.start})"
        raise _only(document, 0, found, "YAML text in UTF-8") from None
    except OSError as error:
        raise _only(document, 0, (error.strerror or "an unreadable file").lower(), "a readable file") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)
            _refuse(document, bounds.depth(text))
            node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if "end of stream" in str(error.problem) and error.context_mark:
            mark = error.context_mark  # where the part begins that does not end
        raise _only(document, mark.line + 1 if mark else 0, *_syntax(str(error.problem), text, mark)) from None
    except YAMLError:  # ReaderError: control characters
        raise _only(document, 0, "characters that YAML does not allow", "YAML text in UTF-8") from None
    if node is None:
        raise _only(document, 0, "an empty file", top, missing)
    if not isinstance(node, MappingNode):
        raise _only(document, node.start_mark.line + 1, kind_of_node(node), top, missing)
    document.data = _plain(document, node, (), ())
    if not isinstance(document.data, dict):  # a tag on the complete document
        document.raise_problems()
    return document


def _only(document: Document, line: int, found: str, expected: str, hint: str = "") -> SpecError:
    return SpecError([Problem(document.file, line, "", found, expected, hint)])


def _refuse(document: Document, excess: bounds.Excess | None) -> None:
    if excess is not None:
        raise _only(document, excess.line, excess.found, excess.expected)


def _syntax(problem: str, text: str, mark: Any) -> tuple[str, str, str]:
    """Turn the YAML parser's words into found, expected, hint."""
    lines = text.splitlines()
    line = lines[mark.line] if mark is not None and mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())] or "'\\t'" in problem:
        return "a tab in the indentation", "spaces", "YAML does not take tabs: replace each by two spaces"
    if "end of stream" in problem:
        return "a quote or bracket that does not end", "its end", ""
    if "mapping values are not allowed" in problem:
        return "a second `:` in this line, or a wrong indentation", "key: value", "put text that holds `: ` in quotes"
    if "expected a single document" in problem or "another document" in problem:
        return "a second document (`---`)", "one document", ""
    return f"broken YAML ({problem})", "YAML", "an indentation, a quote or a bracket of this line or of the one before"


def _plain(document: Document, node: Node, loc: Loc, above: tuple[int, ...]) -> Any:
    if len(document.lines) >= bounds.VALUES:
        found = f"more than {bounds.VALUES} values, each counted as often as an alias (`*name`) repeats it"
        raise _only(document, node.start_mark.line + 1, found, "fewer")
    _refuse(document, bounds.word(node))
    document.lines[loc] = node.start_mark.line + 1
    if id(node) in above:
        document.problem(loc, "an alias to a value that it is part of", "a value")
        document.unusable.add(loc)
        return None
    above = (*above, id(node))
    tag = str(node.tag)
    if tag not in _PLAIN_TAGS:
        document.problem(loc, f"the tag {tag.removeprefix(_TAG)}", "a value without a tag")
        document.unusable.add(loc)
        return None
    if isinstance(node, MappingNode):
        return _mapping(document, node, loc, above)
    if isinstance(node, SequenceNode):
        return [_plain(document, item, (*loc, index), above) for index, item in enumerate(node.value)]
    return _scalar(node)


def _mapping(document: Document, node: MappingNode, loc: Loc, above: tuple[int, ...]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value) if isinstance(key_node, ScalarNode) else ""
        here = (*loc, key)
        line = key_node.start_mark.line + 1
        if not key:
            document.key_lines.setdefault(loc, line)
            found = f"{kind_of_node(key_node)} as a key" if key_node.value else "an empty key"
            document.problem(loc, found, "a name as the key")
        elif key in data:
            first = document.key_lines[here]
            document.key_lines[here] = line
            document.problem(here, "the same key again", "each key once", f"the first one is in line {first}")
        else:
            document.key_lines[here] = line
            data[key] = _plain(document, value_node, here, above)
    return data


def _scalar(node: Node) -> Any:
    if node.tag == _TAG + "str":
        return node.value
    try:
        return YAML(typ="safe", pure=True).constructor.construct_object(node)
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        YAMLError,
    ):  # a date or `!!int` that is none
        return node.value


def kind_of_node(node: Node) -> str:
    """Name a YAML node for a reader."""
    if isinstance(node, MappingNode):
        return "a mapping"
    return "a list" if isinstance(node, SequenceNode) else "a single value"


def kind_of(value: object) -> str:
    """Name the kind of a value for a reader, without the value."""
    names: list[tuple[type | tuple[type, ...], str]] = [
        (bool, "true or false"),
        ((int, float), "a number"),
        (str, "text"),
        (dict, "a mapping"),
        (list, "a list"),
    ]
    if value is None:
        return "nothing"
    return next((name for types, name in names if isinstance(value, types)), "a date or time")


def shown(value: object) -> str:
    """Show a value in a message: its kind and, where it is short, itself."""
    if value is None or isinstance(value, dict | list):
        return kind_of(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    text = text if len(text) <= 60 else text[:57] + "..."
    return f"'{text}'" if isinstance(value, str) else f"the number {text}" if isinstance(value, int | float) else text
