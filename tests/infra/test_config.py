from __future__ import annotations

from typing import TYPE_CHECKING

from lab.verification.outcome import expect
from lab.verification.parse import ini
from lab.verification.registry import asserts

if TYPE_CHECKING:
    from testinfra.host import Host

    from lab.planning.plan import Check
    from lab.verification.suite import Suite


@asserts("option", args="path section option value")
def test_option(check: Check, host: Host, suite: Suite) -> None:
    """The effective value: of a repeated option the last, as the services read it."""
    path, section, option = (check.args[key] for key in ("path", "section", "option"))
    template, known = str(check.args["value"]).strip(), suite.values[check.node]
    values = ini(host.file(path).content_string).get((section, option), [])
    found = values[-1].strip() if values else None
    shown = "no such option" if found is None else known.shown(option, template, found) or "an empty value"
    expect(found == known.fill(template), f"{path}: [{section}] {option} = {template}", shown)


@asserts("option-absent", args="path section option")
def test_option_absent(check: Check, host: Host, suite: Suite) -> None:
    path, section, option = (check.args[key] for key in ("path", "section", "option"))
    values = ini(host.file(path).content_string).get((section, option), [])
    found = suite.values[check.node].shown(option, "", values[-1]) if values else ""
    expect(not values, f"{path}: no option {option} in [{section}]", found or "an empty value")


@asserts("file", args="path owner group mode")
def test_file(check: Check, host: Host) -> None:
    path, owner, group = (check.args[key] for key in ("path", "owner", "group"))
    file, wanted = host.file(path), f"{owner}:{group} {int(str(check.args['mode']), 8):04o}"
    found = f"{file.user}:{file.group} {file.mode:04o}" if file.exists else "No such file or directory"
    expect(found == wanted, f"{path} {wanted}", found)
