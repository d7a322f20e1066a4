from __future__ import annotations

from typing import TYPE_CHECKING

from lab.verification.outcome import expect
from lab.verification.parse import effective
from lab.verification.registry import asserts

if TYPE_CHECKING:
    from testinfra.host import Host

    from lab.planning.plan import Check
    from lab.verification.suite import Suite


@asserts("option")
def test_option(check: Check, host: Host, suite: Suite, path: str, section: str, option: str, value: object) -> None:
    """The effective value: of a repeated option the last, as the services read it."""
    template, known = str(value).strip(), suite.values[check.node]
    found = effective(host.file(path).content_string, section, option)
    shown = "no such option" if found is None else known.shown(option, template, found) or "an empty value"
    expect(found == known.fill(template), f"{path}: [{section}] {option} = {template}", shown)


@asserts("option-absent")
def test_option_absent(check: Check, host: Host, suite: Suite, path: str, section: str, option: str) -> None:
    found = effective(host.file(path).content_string, section, option)
    shown = suite.values[check.node].shown(option, "", found or "") or "an empty value"
    expect(found is None, f"{path}: no option {option} in [{section}]", shown)


@asserts("file")
def test_file(host: Host, path: str, owner: str, group: str, mode: str) -> None:
    file, wanted = host.file(path), f"{owner}:{group} {int(str(mode), 8):04o}"
    found = f"{file.user}:{file.group} {file.mode:04o}" if file.exists else "No such file or directory"
    expect(found == wanted, f"{path} {wanted}", found)
