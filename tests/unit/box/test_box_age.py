"""Boxes age: what is said of one that is old, or lacks security updates, and which archive is asked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sample_plans import sample_plan

from lab.box import age, build, store
from lab.box.definition import load_definition
from lab.box.intact import facts_of_all
from lab.box.manifest import Inputs, Manifest, ReadyMade
from lab.box.sources import Distribution, Source
from lab.machines.boxes import age_lines
from lab.terminal.boxes import print_list
from lab.verbs import boxes

if TYPE_CHECKING:
    from lab.box.make import BoxEvent
    from lab.box.store import Box

NAME = "compute-lab/zed-controller"
BUILT = 1767323045.0  # 2026-01-02T03:04:05Z, as `date -d` says
DAY = 86400.0
PACKAGES = {"openssl": "3.0.15-1", "nova-api": "2:26.2.2-1", "sudo": "1.9.13-1"}
INDEX = """Package: openssl
Source: openssl (3.0.17-1)
Version: 3.0.17-1
Description: has Version: 9 in a line of its own

Package: sudo
Version: 1.9.12-1

Package: sudo
Version: 1.9.13-1

Package: elsewhere
Version: 1
"""


def have(cache: Path, *, name: str = NAME, mirror: str = "") -> Box:
    with store.scratch(cache, name) as scratch:
        files = scratch / "result/libvirt"
        files.mkdir(parents=True)
        (files / "box.img").write_bytes(b"image")
        made = Manifest(
            name=name,
            version="2026.102.1",
            built="2026-01-02T03:04:05Z",
            files=facts_of_all(files),
            release="zed",
            role="controller",
            flavour="installed",
            inputs=Inputs(suite="bookworm", requested=(), definition="", scripts={}, tools={}, mirror=mirror),
            sources=(),
            packages=PACKAGES,
            seconds={},
        )
        return store.publish(cache, made, scratch / "result")


def test_a_box_is_old_after_thirty_days(tmp_path: Path) -> None:
    box = have(tmp_path)
    assert age.warnings(box, None, BUILT + 30.9 * DAY) == []
    assert age.warnings(box, None, BUILT + 31 * DAY) == ["it is 31 days old"]
    assert age.warnings(box, None, BUILT - DAY) == []  # a clock that was wrong


def offered(lists: Path) -> None:
    lists.mkdir(parents=True)
    (lists / "m.example_debian-security_dists_bookworm-security_main_binary-amd64_Packages").write_text(INDEX)
    (lists / "m.example_debian_dists_bookworm_main_binary-amd64_Packages").write_text("Package: sudo\nVersion: 9\n")


def test_updates_that_the_box_lacks_are_named(tmp_path: Path) -> None:
    box = have(tmp_path)
    offered(tmp_path / "apt/bookworm/lists")
    offer = age.known_offer("bookworm", tmp_path)
    assert offer["sudo"] == {"1.9.12-1", "1.9.13-1"}
    assert age.warnings(box, offer, BUILT) == ["its security archive has updates for 1 of its packages: openssl"]


def test_a_box_that_was_brought_is_not_warned_of(tmp_path: Path) -> None:
    facts = have(tmp_path).manifest
    brought = ReadyMade(name=NAME, version="1", built=facts.built, files={}, url="file:///a", sha256="")
    assert age.warnings(store.Box(brought, tmp_path), {"openssl": frozenset({"9"})}, BUILT + 999 * DAY) == []


def test_lab_up_warns_without_asking_anybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    monkeypatch.setattr("time.time", lambda: BUILT + 40 * DAY)
    (tmp_path / "bin").mkdir()
    asked = tmp_path / "asked"
    fake(tmp_path / "bin/apt-get", f"touch {asked}")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    plan = sample_plan()
    have(tmp_path, name=plan.nodes[0].box)
    have(tmp_path, name="compute-lab/of-another-lab")
    offered(tmp_path / "apt" / plan.suite / "lists")
    assert age_lines(plan, updates=False) == [f"{plan.nodes[0].box}: it is 40 days old", age.ADVICE]
    assert age_lines(plan, updates=True) == [
        f"{plan.nodes[0].box}: it is 40 days old",
        f"{plan.nodes[0].box}: its security archive has updates for 1 of its packages: openssl",
        age.ADVICE,
    ]
    assert not asked.exists()


def fake(file: Path, script: str) -> None:
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt-get that knows the archive at good.example; gives the file that notes its calls."""
    (tmp_path / "bin").mkdir()
    index = tmp_path / "index"
    index.write_text(INDEX)
    fake(
        tmp_path / "bin/apt-get",
        f"""echo "$*" >>{tmp_path}/calls
for word; do case $word in
  -oDir::Etc::sourcelist=*) sources=${{word#*=}} ;;
  -oDir::State::lists=*) lists=${{word#*=}} ;;
esac; done
grep -q good.example "$sources" || exit 100
cp {index} "$lists/good.example_main_Packages" """,
    )
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setattr("lab.box.pool.keyring_of", lambda definition: Path("/k.gpg"))
    return tmp_path / "calls"


def test_an_archive_is_asked_once_and_not_waited_for(apt: Path) -> None:
    definition = load_definition("bookworm")
    offer = age.offer_of(definition, Source("http://good.example/debian-security", "bookworm-security", ("main",)))
    assert offer is not None
    assert offer["openssl"] == {"3.0.17-1"}
    call = apt.read_text()
    assert "Acquire::http::Timeout=5" in call
    assert "Acquire::Retries=0" in call
    assert age.offer_of(definition, Source("http://gone.example/debian", "bookworm-security", ("main",))) is None


def test_the_list_asks_and_warns_and_is_not_stopped_by_silence(
    tmp_path: Path, apt: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    monkeypatch.setattr("time.time", lambda: BUILT)
    monkeypatch.setattr(age, "host_sources", list)
    have(tmp_path, mirror="http://good.example/debian")
    have(tmp_path, name="compute-lab/zed-compute", mirror="http://good.example/debian")
    print_list(boxes.list_all(), as_json=False)
    said = capsys.readouterr().out
    assert said.count("its security archive has updates for 1 of its packages: openssl") == 2
    assert age.ADVICE in said
    assert len(apt.read_text().splitlines()) == 1
    store.remove_box("compute-lab/zed-compute", tmp_path)
    have(tmp_path, mirror="http://gone.example/debian")
    print_list(boxes.list_all(), as_json=False)
    assert "updates" not in capsys.readouterr().out


@pytest.mark.usefixtures("apt")
def test_a_mirror_keeps_security_updates_or_the_build_says_that_it_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "host_sources", list)
    monkeypatch.setattr(build, "host_distribution", lambda: Distribution("debian", "bookworm"))
    definition = load_definition("bookworm")
    events: list[BoxEvent] = []
    sources = build.sources_for(definition, "http://good.example/debian", events.append)
    assert ("http://good.example/debian-security", "bookworm-security") in [(s.uri, s.suite) for s in sources]
    assert events == []
    sources = build.sources_for(definition, "http://gone.example/debian", events.append)
    assert not [s for s in sources if s.suite.endswith("security")]
    assert [e.text for e in events] == [
        "the security updates of bookworm are missing: no answer from http://gone.example/debian-security"
    ]
