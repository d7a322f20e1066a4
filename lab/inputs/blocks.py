r"""The option blocks of a provisioning script: `crudini --merge FILE <<EOF … EOF`.

An option of the guide is written only in the script; the suite asserts what is written there. A block counts as
unconditional if its `crudini` begins the line: what is indented (in an `if`, a loop, a function) may not run.
One `if` is understood, because it is decided before the script runs: that of a capability, at the left margin or in
another such `if`,

    if ((LAB_HAS_GLANCE_BACKENDS)); then      (or `! LAB_HAS_…`)
      crudini --merge …
    else
      crudini --merge …
    fi

In the here-document bash expands `$NAME` and `${NAME}`; `\$my_ip` is the option's own `$my_ip`. A value is given as a
template: `${NAME}` for bash's variables, everything else as the file will have it; None where only the running script
knows it (`$(…)`, `${NAME:-…}`).

Blocks that several steps have in common are in a file of the folder blocks/ beside the steps. A script reads it by

    source "$LAB_DIR/blocks/nova-conf.sh"

at the left margin. For the suite and for the handouts, the script then has these blocks in that place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lab.base import resources
from lab.base.models import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_START = re.compile(
    r"""^(?P<indent>\s*)crudini\s+(?:--\S+\s+)*--merge\s+(?P<path>"[^"$]+"|'[^']+'|[^\s"'$<]+)\s*"""
    r"""<<(?P<dash>-?)\s*(?P<quote>['"]?)(?P<word>\w+)(?P=quote)\s*(?:$|[|&;#>)])"""
)
_INDENT = "  "
"""as shfmt writes it"""
_CAPABILITY = re.compile(r"if \(\((?P<lacks>! ?)?LAB_HAS_(?P<name>[A-Z0-9_]+)\)\); then(?: +#.*)?")
_SHARED = re.compile(r'^source "\$LAB_DIR/(?P<path>blocks/[a-z0-9-]+\.sh)"$', re.MULTILINE)
_HEAD = re.compile(r"(?:#.*\n)*\n*")
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>[A-Za-z_]\w*)\}|(?P<plain>[A-Za-z_]\w*))")
_USED = re.compile(r"\$\{?[!#]?([A-Z][A-Z0-9_]*)")


def variables_used(script: str) -> frozenset[str]:
    """Name the variables in capitals whose value a script uses; its comments may speak of others."""
    code = [line for line in script.splitlines() if not line.lstrip().startswith("#")]
    return frozenset(_USED.findall("\n".join(code)))


def shared_blocks(script: str) -> tuple[str, ...]:
    """Name the files of shared blocks that a script reads, as blocks/nova-conf.sh."""
    return tuple(match["path"] for match in _SHARED.finditer(script))


def complete_script(path: Path) -> str:
    """Read a script with its shared blocks in the place of the lines that read them, without the comment at their head.

    Raises:
        FileNotFoundError: there is no such script, or no such file of blocks beside it.
    """

    def blocks(match: re.Match[str]) -> str:
        return _HEAD.sub("", resources.text(path.parent / match["path"]), count=1).rstrip("\n")

    return _SHARED.sub(blocks, resources.text(path))


class ConfigOption(Frozen):
    """One option of one file, as a script sets it."""

    path: str
    section: str
    """empty: before the first section"""
    option: str
    value: str | None
    line: int
    """of the script with its shared blocks, 1-based"""
    conditional: bool
    """the block is indented, and not by capabilities alone: it may not run"""
    where: dict[str, bool] = {}
    """the block runs only where the release has, or does not have, these capabilities"""

    def runs_with(self, capabilities: Mapping[str, bool]) -> bool:
        """Tell whether a release of these capabilities sets the option, as far as that is known."""
        return all(capabilities[name] == has for name, has in self.where.items())


def config_options(script: str) -> tuple[ConfigOption, ...]:
    """Give the options that a script's blocks set, in order."""
    return tuple(_options(script.splitlines()))


def _options(lines: list[str]) -> Iterator[ConfigOption]:
    number = 0
    where: list[tuple[str, bool]] = []
    while number < len(lines):
        line = lines[number]
        match = _START.match(line)
        number += 1
        if test := _CAPABILITY.fullmatch(line.removeprefix(_INDENT * len(where))):
            where.append((test["name"], not test["lacks"]))
        elif where and line == _INDENT * (len(where) - 1) + "else":
            where[-1] = (where[-1][0], not where[-1][1])
        elif where and line == _INDENT * (len(where) - 1) + "fi":
            where.pop()
        if not match:
            continue
        path, section = match["path"].strip("\"'"), ""
        for body, at in _body(lines, number, match["word"], strip_tabs=bool(match["dash"])):
            number = at + 1
            text = body.strip()
            if text.startswith("[") and text.endswith("]"):
                section = text[1:-1].strip()
            elif text and text[0] not in "#;" and "=" in text:
                option, _, value = text.partition("=")
                yield ConfigOption(
                    path=path,
                    section=section,
                    option=option.strip(),
                    value=value.strip() if match["quote"] else template(value.strip()),
                    line=at + 1,
                    conditional=match["indent"] != _INDENT * len(where),
                    where=dict(where),
                )


def _body(lines: list[str], start: int, word: str, *, strip_tabs: bool) -> Iterator[tuple[str, int]]:
    for at in range(start, len(lines)):
        line = lines[at].lstrip("\t") if strip_tabs else lines[at]
        if line == word:
            return
        yield line, at


def template(text: str) -> str | None:
    r"""Undo the quoting of a here-document: `\$` is `$`, `$NAME` becomes `${NAME}`; None where bash computes it."""
    out, at = "", 0
    while at < len(text):
        char = text[at]
        if char == "\\" and text[at + 1 : at + 2] in ("$", "`", "\\"):
            out, at = out + text[at + 1], at + 2
        elif char == "`":
            return None
        elif char == "$" and (match := _VARIABLE.match(text, at)):
            out, at = out + "${" + (match["braced"] or match["plain"]) + "}", match.end()
        elif char == "$" and re.match(r"\$[({@*#?0-9!-]", text[at:]):
            return None
        else:
            out, at = out + char, at + 1
    return out
