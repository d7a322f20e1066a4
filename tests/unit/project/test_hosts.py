"""What the proof of the kinds of host concludes from what it sees (tests/hosts); and that each kind has its turn."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from hosts import __main__ as hosts
from hosts.calls import Calls, HostProofError
from hosts.debian import boxes_of, copy_boxes
from hosts.foreign import differences
from hosts.story import passed, require_running

if TYPE_CHECKING:
    from hosts.place import Place

ROOT = Path(__file__).parents[3]
BEFORE = {"networks": "theirs active yes\nmine active no\n", "volumes": "a.img 12\n"}


def test_what_is_as_before_is_no_difference() -> None:
    assert differences(BEFORE, dict(BEFORE)) == []


@pytest.mark.parametrize(
    ("after", "line"),
    [
        ("theirs active no\nmine active no\n", "+ theirs active no"),
        ("theirs active yes\n", "- mine active no"),
        ("mine active no\ntheirs active yes\n", "the order"),
        ("theirs active yes\nmine active no\nlab active no\n", "+ lab active no"),
    ],
)
def test_what_changed_is_named(after: str, line: str) -> None:
    (found,) = differences(BEFORE, {**BEFORE, "networks": after})
    assert found.startswith("networks:\n")
    assert line in found


def test_the_number_of_checks_is_what_lab_verify_says() -> None:
    assert passed("…\nall 57 checks passed (12 s)\n") == 57


@pytest.mark.parametrize("said", ["", "56 of 57 checks passed", "all 0 checks passed"])
def test_anything_less_is_refused(said: str) -> None:
    with pytest.raises(HostProofError):
        passed(said)


@pytest.mark.parametrize("states", [["running"], ["running", "shut off"], []])
def test_both_nodes_must_run(states: list[str]) -> None:
    nodes = [{"name": f"node{number}", "state": state} for number, state in enumerate(states)]
    with pytest.raises(HostProofError):
        require_running({"nodes": nodes})


def test_a_call_is_judged_by_its_exit_code_and_its_words(tmp_path: Path) -> None:
    calls = Calls(tmp_path, say=lambda _: None)
    assert calls.run("good", ["echo", "a\nb"]) == "a\nb\n"
    assert calls.run("refused", ["sh", "-c", "exit 3"], code=3) == ""
    with pytest.raises(HostProofError, match="ended with 1, not 0"):
        calls.run("bad", ["false"])
    with pytest.raises(HostProofError, match="not done in 0 s"):
        calls.run("slow", ["sleep", "9"], limit_s=0.1)
    with pytest.raises(HostProofError, match="shows a traceback"):
        calls.run("defect", ["echo", "Traceback (most recent call last):"])


def test_boxes_of_a_release_are_copied_and_the_originals_stay(tmp_path: Path) -> None:
    for name in ("compute-lab-VAGRANTSLASH-zed-controller", "compute-lab-VAGRANTSLASH-victoria-controller"):
        (tmp_path / "from/boxes" / name).mkdir(parents=True)
        (tmp_path / "from/boxes" / name / "box.img").write_text(name)
    for link in (True, False):
        copy_boxes(tmp_path / "from", tmp_path / "to", "victoria", link=link)
        (home,) = (tmp_path / "to/boxes").iterdir()
        assert (home / "box.img").samefile(tmp_path / "from/boxes" / home.name / "box.img") == link
    assert boxes_of("none-such", tmp_path) == tmp_path / "boxes-of-none-such"


def test_a_ctrl_c_removes_the_place_and_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closing:
        closed = False

        def close(self, _: Calls) -> None:
            self.closed = True

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    place, work = Closing(), tmp_path / "work"
    work.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(sys, "argv", ["test-hosts", "container"])
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **_: str(work))
    monkeypatch.setattr(hosts, "place_of", lambda *_: cast("Place", place))
    monkeypatch.setattr(hosts, "prove", interrupted)
    with pytest.raises(KeyboardInterrupt):
        hosts.main()
    assert place.closed
    assert not work.exists()
