"""Verbs of a lab whose libvirtd lives and says nothing: each tells so once, and asks it no more than it must."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from recorded_progress import RecordedProgress
from sample_plans import sample_plan

from lab.base.process import Completed
from lab.diagnosis import support_parts
from lab.diagnosis.lab_doctor import diagnose_lab
from lab.diagnosis.support_parts import Parts
from lab.host import capacity
from lab.host.libvirt_link import NoAnswerError
from lab.planning.project import Lab
from lab.planning.secrets import Secrets
from lab.terminal import overview
from lab.verbs.down import _remove
from lab.verbs.status import status_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PLAN = sample_plan()
SAID = f"libvirtd (pid {os.getpid()}) does not answer: waited 20 s for it"


class SilentHost:
    """A private host whose libvirtd is stopped."""

    mode = "private"

    def __init__(self, tmp_path: Path) -> None:
        self.pool_dir = tmp_path / "state" / "host" / "lib" / "images"
        self.pid_file = tmp_path / "pid"
        self.pid_file.write_text(str(os.getpid()))
        self.ran: list[str] = []
        self.lives = True

    def is_closed(self) -> bool:
        return False

    def exists(self) -> bool:
        return True

    def is_running(self) -> bool:
        return self.lives

    def hypervisor(self) -> Any:
        assert self.lives
        raise NoAnswerError([self.pid_file], 20, "`lab up` ends it")

    def end_silent(self) -> bool:
        self.lives = False
        return True

    def run(self, argv: Sequence[Any], *, timeout_s: float, check: bool = True) -> Completed:
        assert timeout_s <= 180
        self.ran.append(str(argv[0]))
        return Completed(tuple(argv), 0, "fine\n", "", 0.1)

    def stop(self, *, keep_volumes: bool = False) -> None:
        self.ran.append("stop")


@pytest.fixture
def host(tmp_path: Path) -> Any:
    return SilentHost(tmp_path)


def test_status_shows_what_it_knows(
    host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lab.verbs.status.own_host", lambda *_, **_look: host)
    lab = Lab(tmp_path, PLAN, Secrets.derive("0" * 64, PLAN.secrets, {}))
    status = status_of(lab)
    assert {node["state"] for node in status["nodes"]} == {"unknown"}
    overview.print_status(lab, status)
    assert f"{SAID}\n  hint: `lab up` ends it" in capsys.readouterr().out


def test_support_asks_the_rest(host: Any) -> None:
    parts = Parts()
    support_parts.host_states(parts, host)
    assert f"host/domains: {SAID}" in parts.missing
    assert "virsh" not in host.ran
    assert parts.texts["host/df"] == "fine\n"


def test_the_doctor_names_it_and_what_repairs_it(host: Any, tmp_path: Path) -> None:
    finding = next(f for f in diagnose_lab(PLAN, host, tmp_path) if f.id == "libvirtd")
    assert (finding.ok, finding.found, finding.repair) == (False, SAID, "lab up")


def test_down_ends_it_first(host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.host.records.STATE_ROOT", tmp_path / "records")
    _remove(host, None, "demo-01234567", None, RecordedProgress())
    assert host.ran == ["stop"]
    assert not host.lives


def test_a_silent_libvirtds_machines_count_as_running(host: Any) -> None:
    assert capacity.count_for(PLAN, host).running == {node.name for node in PLAN.nodes}
