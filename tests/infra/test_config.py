from __future__ import annotations

from typing import TYPE_CHECKING

from lab.verification.collectors import Need
from lab.verification.outcome import expect
from lab.verification.registry import asserts

if TYPE_CHECKING:
    from lab.planning.plan import Check
    from lab.verification.facts import NodeFacts


@asserts("option", args="path section option value", needs=lambda check: [Need("texts", check.args["path"])])
def test_option(check: Check, node: NodeFacts) -> None:
    """The effective value: of a repeated option the last, as the services read it."""
    path, section, option = (check.args[key] for key in ("path", "section", "option"))
    template = str(check.args["value"]).strip()
    values = node.options(path).get((section, option), [])
    found = values[-1].strip() if values else None
    shown = "no such option" if found is None else node.values.shown(option, template, found) or "an empty value"
    expect(found == node.values.fill(template), f"{path}: [{section}] {option} = {template}", shown)


@asserts("option-absent", args="path section option", needs=lambda check: [Need("texts", check.args["path"])])
def test_option_absent(check: Check, node: NodeFacts) -> None:
    path, section, option = (check.args[key] for key in ("path", "section", "option"))
    values = node.options(path).get((section, option), [])
    found = node.values.shown(option, "", values[-1]) if values else ""
    expect(not values, f"{path}: no option {option} in [{section}]", found or "an empty value")


@asserts("file", args="path owner group mode", needs=lambda check: [Need("files", check.args["path"])])
def test_file(check: Check, node: NodeFacts) -> None:
    path, owner, group = (check.args[key] for key in ("path", "owner", "group"))
    wanted = f"{owner}:{group} {int(str(check.args['mode']), 8):04o}"
    facts = node.file(path)
    found = f"{facts['owner']}:{facts['group']} {facts['mode']}" if facts["exists"] else str(facts["error"])
    expect(found == wanted, f"{path} {wanted}", found)
