"""`lab release`: the inventory of a release, the difference of two, and what became of a component."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from typer.testing import CliRunner

from lab.base.errors import UsageError
from lab.cli.main import app
from lab.inputs.components import in_order, load_components, require
from lab.inputs.load import load_spec
from lab.inputs.release import default_release, load_release
from lab.planning.inventory import difference, inventory
from lab.terminal.releases import print_diff

if TYPE_CHECKING:
    from pathlib import Path

    from lab.inputs.release import Release


def lab(*words: str) -> str:
    result = CliRunner().invoke(app, ["release", *words])
    assert result.exit_code == 0, result.output
    return result.output


def test_list_is_in_the_order_of_time() -> None:
    assert [row["name"] for row in json.loads(lab("list", "--json"))] == ["newton", "ocata", "victoria", "zed", "epoxy"]
    assert lab("list").splitlines()[0].split()[:6] == ["newton", "OpenStack", "Newton", "(2016.2)", "Ubuntu", "xenial"]


def test_list_says_what_is_tested() -> None:
    rows = json.loads(lab("list", "--json"))
    assert {row["name"] for row in rows if row["tested"]} == {"ocata", "victoria", "zed", "epoxy"}
    assert " bookworm  tested " in lab("list")
    assert load_release(default_release()).tested


def test_init_takes_a_release(tmp_path: Path) -> None:
    spec = tmp_path / "lab.yaml"
    result = CliRunner().invoke(app, ["init", "--file", str(spec), "--release", "victoria"])
    assert result.exit_code == 0, result.output
    assert load_spec(spec).release == "victoria"


def test_show() -> None:
    shown = json.loads(lab("show", "newton", "--json"))
    assert "nova-consoleauth (controller)" in shown["units"]
    assert "35357 (controller)" in shown["ports"]
    assert "compute http://controller:8774/v2.1/%(tenant_id)s" in shown["endpoints"]
    assert "compute: /etc/nova/nova.conf [vnc] vncserver_listen = 0.0.0.0" in shown["options"]
    assert "  nova_cell0\n" in lab("show", "zed")


def test_show_says_first_what_the_release_is_for() -> None:
    head = lab("show", "ocata").partition("\n\n")[0].splitlines()
    assert head[0] == "OpenStack Ocata (2017.1) on Debian bullseye"
    assert "what for: to learn from the first edition of the guide, with that edition's own services" in head
    assert "no security updates since 2020: its labs meet no network but their own" in head
    assert head[-1].endswith("docs/releases.md; beside the commands: `lab handout`")
    assert json.loads(lab("show", "ocata", "--json"))["ended"] == "2020"
    assert "what for:" not in lab("show", "zed")
    assert "no security updates" not in lab("show", "zed")


def test_diff_tells_what_became_of_a_component() -> None:
    story = lab("diff", "ocata", "victoria")
    assert story.startswith("- OpenStack Ocata (2017.1) on Debian bullseye\n+ OpenStack Victoria (2020.2) on Debian")
    assert (
        "  - nova-cert: package nova-cert, unit nova-cert, by chapter\n"
        "  + nova-cert: gone\n"
        "    deprecated: nova 14.0.0 (Newton)\n"
        "    removed: nova 16.0.0 (Pike)\n"
        "    instead: nothing\n"
        "    why: nothing used certificates but the EC2 API, which had left nova\n"
    ) in story
    for name in ("nova-xvpvncproxy", "nova-consoleauth", "nova-network", "glance-registry"):
        assert f"  + {name}: gone\n    deprecated: " in story
    assert "    removed: the admin port 35357 is not served any more\n    instead: port 5000\n" in story
    assert "    deprecated: experimental since neutron 21.0.0 (Zed)\n    removed: neutron 26.0.0 (Epoxy)\n" in story


def test_the_values_of_an_option_are_together_the_first_release_before() -> None:
    before = {"options": ["c: /f [a] x = True", "c: /f [b] y = 1"]}
    after = {"options": ["c: /f [a] x = False, chapter z", "c: /f [a] xy = 0"]}
    assert list(difference(before, after)) == [
        "options:",
        "  - c: /f [a] x = True",
        "  + c: /f [a] x = False, chapter z",
        "  + c: /f [a] xy = 0",
        "  - c: /f [b] y = 1",
    ]


def test_a_line_too_long_for_a_terminal_goes_on_to_the_right(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lab.terminal.releases.ui.console", Console(force_terminal=True, width=60))
    print_diff("ocata", "victoria")
    shown = capsys.readouterr().out
    assert "  - nova-cert: package nova-cert, unit nova-cert, by chapter\n" in shown
    assert "    why: nothing used certificates but the EC2 API, which\n        had left nova\n" in shown


def test_diff_names_what_only_one_of_them_has() -> None:
    lines = lab("diff", "victoria", "zed").splitlines()
    assert lines.index("components:") < lines.index("options:")
    assert "  + controller: /etc/neutron/neutron.conf [experimental] linuxbridge = true, chapter linuxbridge" in lines
    assert "capabilities:" in lines
    assert "  - NUMBERED_SCHEMAS" in lines
    assert "  + glance-api: package glance, unit glance-api, port 9292" in lines
    assert list(difference({"units": ["a", "b"]}, {"units": ["b", "c"]})) == ["units:", "  - a", "  + c"]
    assert lab("diff", "zed", "zed") == ""


def test_what_became_of_a_component() -> None:
    assert lab("show", "zed", "nova-novncproxy") == "package nova-consoleproxy, unit nova-novncproxy, port 6080\n"
    with pytest.raises(UsageError) as gone:
        require("nova-consoleauth", load_release("zed"))
    assert str(gone.value).startswith(
        "nova-consoleauth is not in zed: removed in nova 20.0.0 (Train); instead: nothing"
    )
    with pytest.raises(UsageError, match="unknown component 'nova-vert'") as unknown:
        require("nova-vert", load_release("zed"))
    assert unknown.value.hint == "did you mean `nova-cert`?"


def test_the_guides_components_are_all_there() -> None:
    guide = (
        "api conductor consoleauth novncproxy scheduler compute api-metadata network cert spicehtml5proxy xvpvncproxy"
    )
    wanted = {f"nova-{name}" for name in guide.split()} | {"nova-client", "queue", "database"}
    assert wanted <= {component.name for component in load_components()}


TOLD = {
    "packages": r"packages? ([a-z0-9-]+)(?: and ([a-z0-9-]+))?",
    "units": r"units? ([a-z0-9-]+)(?: \(uwsgi\))?(?: and ([a-z0-9-]+))?",
    "ports": r"ports? (\d+)(?: and (\d+))?",
}


@pytest.mark.parametrize("release", in_order(), ids=lambda release: release.name)
def test_what_is_told_of_a_component_is_what_the_steps_do(release: Release) -> None:
    present = {kind: {line.split()[0] for line in lines} for kind, lines in inventory(release).items()}
    for component in load_components():
        state = component.in_release(release)
        if state is None:
            assert component.removed, component.name
            assert component.instead, component.name
            assert component.name not in present["units"] | present["packages"]
            continue
        for kind, pattern in TOLD.items():
            found = re.search(pattern, state)
            told = {word for word in found.groups() if word} if found else set()
            if "not installed" in state or "switched off" in state:
                assert kind != "units" or not told & present["units"], component.name
            else:
                assert told <= present[kind], component.name


def test_every_component_is_told_of_from_the_first_release_on() -> None:
    first = in_order()[0].name
    assert [component.name for component in load_components() if first not in component.here] == []
