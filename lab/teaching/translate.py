"""A script's statements as a person does them by hand: commands, SQL, files, with the values of one node. Pure.

The scripts call helpers (provision/lib) so that a step can run twice; paper says what a helper does the first time.
What has no such form (functions, loops over what only the node knows) is left to the script.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lab.inputs.blocks import template
from lab.teaching.script import FUNCTION_COMMENT, branches, decided, prose, statements, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lab.teaching.script import Statement

Kind = Literal["heading", "prose", "deviation", "shell", "sql", "ini", "file", "rest"]

_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)\}?")
_QUOTED = re.compile(r'"\$\{?([A-Za-z_]\w*)\}?"')
_HEREDOC_LINE = re.compile(r"(?P<command>.*?) ?<<(?P<quote>['\"]?)(?P<word>\w+)['\"]?")
_ASSIGNMENT = re.compile(r"[a-z_]\w*=[^$`(]*")
_SAFE = re.compile(r"[\w.,:/@%+-]+")
_NOT_FOR_PAPER = frozenset({"wait_for", "say", "fail", "trim_empty", "enable_agents", "ask_qemu", "calm_agents",
                            "calm_queue", "restart_if_running", "restart_layer2_agent_if_running", "set",
                            "rm"})  # fmt: skip
_JOINED = frozenset({"shell", "ini", "file", "rest"})
LINES = "in the place of the lines that begin so"
_PATIENT = "[Service]\nTimeoutStartSec=600"
_BOOT = "[Unit]\nStartLimitIntervalSec=0\n\n" + _PATIENT + "\nTimeoutStopSec=3\nRestart=always\nRestartSec=5"
_BEHIND = (
    "ExecStartPre=-/usr/bin/timeout 540 /bin/sh -c 'until curl --silent --fail --output /dev/null --max-time 20 "
    """--noproxy "*" {}; do sleep 3; done'"""
)
_BATCH_NAME = re.compile(r"\{(?P<kind>[a-z]+:)?(?P<name>[\w-]+)\}")
_DESCRIBES_FUNCTION = re.compile(FUNCTION_COMMENT)


@dataclass(frozen=True)
class Block:
    """A piece of a chapter."""

    kind: Kind
    text: str
    title: str = ""
    """the path of a file"""


class NotKnownError(Exception):
    """Only the running script knows it."""


class Translator:
    """Translates the script of one step for one node."""

    def __init__(self, values: Mapping[str, str], hosts: str, helpers: Mapping[str, tuple[Statement, ...]]) -> None:
        """Take the node's and the step's variables, with passwords or their names, and the text of /etc/hosts.

        `helpers` are functions of provision/lib whose statements are written out.
        """
        self._values = {"LAB_DIR": "/opt/lab", **values}
        self._helpers = helpers
        self._local: dict[str, str] = {}
        self._hosts = hosts
        self._words: dict[str, Callable[[list[str]], list[str]]] = {
            "install_packages": lambda words: [f"apt-get install {' '.join(words)}"],
            "enable_units": lambda words: [f"systemctl enable {' '.join(words)}"],
            "disable_units": lambda words: [f"systemctl disable --now {' '.join(words)}"],
            "restart_if_changed": lambda words: [f"systemctl restart {' '.join(words)}"],
            "start_if_stopped": lambda words: [f"systemctl start {' '.join(words)}"],
            "restart_layer2_agent": lambda _: [f"systemctl restart neutron-{values.get('MECHANISM_DRIVER', '')}-agent"],
            "queue_user": lambda words: [f"rabbitmqctl add_user {' '.join(words)}"],
            "repair_mode": lambda words: [f"chown {words[2]} {words[0]}", f"chmod {words[1]} {words[0]}"],
        }

    def blocks(self, script: tuple[Statement, ...]) -> Iterator[Block]:
        """Translate all statements, in order."""
        for statement in decided(script, self._values):
            for text in prose(statement.comment):
                if not _DESCRIBES_FUNCTION.match(text):
                    yield Block(_kind(text), without_mark(text))
            try:
                yield from list(self._statement(statement)) if statement.lines else []
            except NotKnownError:
                yield Block("rest", statement.text)
                self._forget(statement.text)

    def _statement(self, statement: Statement) -> Iterator[Block]:
        text, word = statement.text, statement.word
        if word == "heading":
            yield Block("heading", (words_of(text) or [word, ""])[1])
        elif word == "if":
            yield from self._guarded(statement)
        elif word == "for":
            yield from self._loop(statement)
        elif word.endswith("()") or word in ("{", "while", "until", "case"):
            raise NotKnownError
        elif match := _HEREDOC_LINE.fullmatch(statement.lines[0]):
            body = list(statement.lines[1:-1])
            yield from self._document(match["command"], body if match["quote"] else [self._line(line) for line in body])
        elif not self._assigned(text):
            yield from self._command(text)

    def _command(self, text: str) -> Iterator[Block]:
        text = re.sub(r"\\\n\s*", "", text).split(" # ")[0]
        text = re.sub(r"^\[\[.*?\]\] \|\|\s+", "", text, count=1)
        word = text.split(" ", 1)[0]
        if word in _NOT_FOR_PAPER:
            return
        if word == "wait_for_step":
            yield Block("prose", f"The step `{text.split()[1]}` must be done before you go on.")
        elif word in self._helpers:
            yield from self.blocks(self._helpers[word])
        elif word in ("start_limit", "start_behind"):
            yield from _drop_ins(words_of(self._expanded(text)) or [])
        elif word == "put_file" or "| put_file " in text:
            yield self._file(text)
        elif word == "set_line":
            words = words_of(self._expanded(text)) or []
            yield Block("file", words[3], f"{words[1]}: {LINES}")
        elif word in self._words:
            words = text.split()[1:]
            words = self._expanded(" ".join(_units(words) if word == "restart_if_changed" else words)).split()
            yield Block("shell", "\n".join(self._words[word](words)))
        elif word == "break":
            raise NotKnownError
        elif word in ("loaded", "sync_schema"):
            yield Block("shell", _as_user(self._expanded(text)))
        else:
            yield Block("shell", self._expanded(text))

    def _document(self, command: str, body: list[str]) -> Iterator[Block]:
        """Translate a here-document: options, SQL, commands of the client, a file."""
        text = "\n".join(body)
        words = command.split()
        if "||" in words:
            words = words[words.index("||") + 1 :]
        if words[0] == "crudini":
            yield Block("ini", text, words[2])
        elif words[0] in ("mariadb", "mysql"):
            yield Block("sql", text, " ".join(words))
        elif words[0].endswith('openstack-batch"'):
            if lines := [line for entry in body for line in _client_line(entry)]:
                yield Block("shell", "\n".join(lines))
        elif words[0] == "guide_commands":
            yield Block("shell", text)
        elif words[0] == "put_file":
            path = self._expanded(words[1])
            yield Block("file", text, path)
            yield from _owned(path, *words[2:])
        else:
            raise NotKnownError

    def _file(self, text: str) -> Block:
        if match := re.fullmatch(r"printf '(.*)\\n' \| put_file (\S+)", text):
            return Block("file", match[1], match[2])
        if match := re.fullmatch(r'put_file (\S+) <"\$LAB_DIR/hosts"', text):
            return Block("file", self._hosts.rstrip("\n"), match[1])
        if match := re.fullmatch(r"put_file (\S+) <<<(.*)", text):
            return Block("file", self._expanded(match[2]).strip('"'), match[1])
        raise NotKnownError

    def _guarded(self, statement: Statement) -> Iterator[Block]:
        """Translate what an `if` keeps from being done twice; one that decides between two things is the script's."""
        match = re.fullmatch(r"if (.+?); then(?: +#.*)?", statement.lines[0])
        if match is None or any(line.startswith("elif ") for line in statement.lines):
            raise NotKnownError
        if match[1].startswith("! restart_if_changed"):
            yield from self._command(match[1].removeprefix("! "))
            return
        made = [list(self.blocks(tuple(statements(branch)))) for branch in branches(statement)]
        done = [blocks for blocks in made if blocks]
        if len(done) > 1 or any(block.kind == "rest" for blocks in done for block in blocks):
            raise NotKnownError
        if done and match[1].startswith("(("):
            yield Block("prose", f"Only where `{match[1]}`:")
        for blocks in done:
            yield from blocks

    def _loop(self, statement: Statement) -> Iterator[Block]:
        """Write out a loop over words that are written there."""
        match = re.fullmatch(r"for (\w+) in ([^$`]+); do", statement.lines[0])
        if match is None or statement.lines[-1] != "done":
            raise NotKnownError
        body = [line.removeprefix("  ") for line in statement.lines[1:-1]]
        for word in match[2].split():
            self._local[match[1]] = word
            made = list(self.blocks(tuple(statements(body))))
            if any(block.kind == "rest" for block in made):
                raise NotKnownError
            yield from made

    def _assigned(self, text: str) -> bool:
        """Remember the plain variables that a line sets."""
        if re.match(r"\w+\+?=\(", text):
            return True  # a list; a command that uses it is the script's
        words = words_of(text)
        if not words or not all(_ASSIGNMENT.fullmatch(word) for word in words):
            return False
        self._local |= dict(word.split("=", 1) for word in words)
        return True

    def _forget(self, text: str) -> None:
        """A variable that untranslated code sets is not known any more."""
        for name in re.findall(r"\b([a-z_]\w*)\+?=", text):
            self._local.pop(name, None)

    def _value(self, name: str) -> str:
        if name in self._local:
            return self._local[name]
        if name in self._values:
            return self._values[name]
        raise NotKnownError

    def _line(self, line: str) -> str:
        """Expand a line of a here-document, as bash does."""
        text = template(line)
        if text is None:
            raise NotKnownError
        return re.sub(r"\$\{(\w+)\}", lambda match: self._value(match[1]), text)

    def _expanded(self, text: str) -> str:
        """Expand a command's variables; quotes around a value that needs none are left out."""
        if "$(" in text or "`" in text:
            raise NotKnownError

        def unquoted(match: re.Match[str]) -> str:
            value = self._value(match[1])
            return value if _SAFE.fullmatch(value) else f'"{value}"'

        return _VARIABLE.sub(lambda match: self._value(match[1]), _QUOTED.sub(unquoted, text))


def _kind(text: str) -> Kind:
    return "deviation" if text.startswith("Deviation: ") else "prose"


def without_mark(text: str) -> str:
    """Take the mark of a deviation away. A sentence then begins with a capital letter, an option's name does not."""
    text = text.removeprefix("Deviation: ")
    word = text.split(" ", 1)[0]
    return text[:1].upper() + text[1:] if word.isalpha() else text


def _units(words: list[str]) -> list[str]:
    """Give the units of restart_if_changed; files follow them."""
    count = next((n for n, word in enumerate(words) if word[0] in '/"$' and word != "$LAB_UNITS"), len(words))
    return words[:count]


def _as_user(text: str) -> str:
    """Write the command that `loaded` or `sync_schema` runs, as the guide does: su -s /bin/sh -c "…" nova."""
    words = words_of(text) or []
    rest = words[3:] if words[0] == "sync_schema" else words
    rest = rest[1:] if rest[0] == "nice" else rest
    if rest[0] != "loaded":
        return text.split(" nice ", 1)[-1]
    user, command = rest[1], " ".join(rest[2:])
    return command if user == "root" else f'su -s /bin/sh -c "{command}" {user}'


def _client_line(entry: str) -> Iterator[str]:
    """Write a line of lib/openstack-batch as a command; `ensure` does it unless it is done, `let` keeps the id."""
    if entry.startswith("repair "):
        return
    named = re.match(r"let (\w+) = (?:ensure )?(.*)", entry)
    command = named[2] if named else entry.removeprefix("ensure ")
    if command.startswith("booted "):
        return
    waiting = re.match(r"await \d+ (\"[^\"]*\"|\S+) (.*)", command)
    command = _BATCH_NAME.sub(
        lambda match: match["name"] if match["kind"] else f"${match['name']}", waiting[2] if waiting else command
    )
    if named:
        yield f"{named[1]}=$(openstack {command} --format value --column id)"
    else:
        yield f"openstack {command}" + (f"   # until it says {waiting[1]}" if waiting else "")


def _owned(path: str, mode: str = "0644", owner: str = "root:root") -> Iterator[Block]:
    """Give a file to its owner, if it is not made so by itself."""
    lines = [f"chown {owner} {path}"] if owner != "root:root" else []
    lines += [f"chmod {mode} {path}"] if mode != "0644" else []
    if lines:
        yield Block("shell", "\n".join(lines))


def _drop_ins(words: list[str]) -> Iterator[Block]:
    """Write the files that start_limit and start_behind (provision/lib/units.sh) make for systemd."""
    units = [word for word in words[1:] if "://" not in word]
    waits = [_BEHIND.format(word) for word in words[1:] if "://" in word]
    name, text = ("lab.conf", _PATIENT) if words[0] == "start_limit" else ("lab-boot.conf", "\n".join([_BOOT, *waits]))
    for unit in units:
        directory = f"/etc/systemd/system/{unit}.service.d"
        yield Block("shell", f"mkdir -p {directory}")
        yield Block("file", text, f"{directory}/{name}")
    yield Block("shell", "systemctl daemon-reload")


def by_section(text: str) -> str:
    """Bring the options of each section together; one that is set twice has the last value, as for crudini."""
    sections: dict[str, dict[str, str]] = {}
    section = ""
    for line in filter(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line
        sections.setdefault(section, {})
        if line != section:
            sections[section][line.partition("=")[0].strip()] = line
    return "\n\n".join(
        "\n".join([name, *options.values()] if name else options.values()) for name, options in sections.items()
    )


def merged(blocks: Iterator[Block]) -> Iterator[Block]:
    """Join neighbours that are one for a reader: commands, and blocks of the same file."""
    last: Block | None = None
    for block in blocks:
        if last and block.kind == last.kind and block.title == last.title and block.kind in _JOINED:
            between = "\n\n" if block.kind == "rest" else "\n"
            text = f"{last.text}{between}{block.text}"
            last = Block(block.kind, by_section(text) if block.kind == "ini" else text, block.title)
        else:
            if last:
                yield last
            last = block
    if last:
        yield last
