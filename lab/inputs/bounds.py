"""How large a YAML file may be: so that one that was made to be large, or became so by mistake, is refused at once.

A few lines can stand for millions of values, because an alias (`*name`) may repeat what itself holds aliases.
"""

from __future__ import annotations

from dataclasses import dataclass

from ruamel.yaml import YAML
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

BYTES = 64 * 1024
VALUES = 5_000
"""each as often as aliases repeat it"""
DEPTH = 40
TEXT = 4_000
"""characters of a value"""
WORD = 100
"""characters of a key, a tag or a number"""


@dataclass(frozen=True)
class Excess:
    """What is too large, in the words of a Problem."""

    line: int
    found: str
    expected: str


def depth(text: str) -> Excess | None:
    """Find the first bracket or indentation that is too deep; raises as the YAML parser does."""
    now = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        if isinstance(event, CollectionStartEvent):
            now += 1
            if now > DEPTH:
                return Excess(
                    event.start_mark.line + 1, f"more than {DEPTH} levels of brackets or indentation", "fewer"
                )
        elif isinstance(event, CollectionEndEvent):
            now -= 1
    return None


def word(node: Node) -> Excess | None:
    """Find a key, tag, number or text of a node that is too long."""
    line = node.start_mark.line + 1
    if len(str(node.tag)) > WORD:
        return Excess(line, f"a tag of {len(str(node.tag))} characters", "a value without a tag")
    if isinstance(node, MappingNode):
        for key, _ in node.value:
            if isinstance(key, ScalarNode) and len(key.value) > WORD:
                return Excess(key.start_mark.line + 1, f"a key of {len(key.value)} characters", "a name as the key")
    if isinstance(node, ScalarNode):
        number = str(node.tag).endswith((":int", ":float"))
        limit = WORD if number else TEXT
        if len(node.value) > limit:
            what = "a number" if number else "a text"
            return Excess(line, f"{what} of {len(node.value)} characters", f"at most {limit}")
    return None
