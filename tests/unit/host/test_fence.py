"""When a lab is fenced, and who may reach it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sample_plans import sample_plan

from lab.host import fence
from lab.host.host import SystemHost
from lab.host.private import PrivateHost


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []

    def load(text: str) -> str:
        texts.append(text)
        return ""

    monkeypatch.setattr(fence, "_load", load)
    monkeypatch.setattr(fence, "which", lambda name: f"/usr/sbin/{name}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return texts


def test_a_lab_on_the_machines_libvirt_is_fenced_with_all_its_bridges(loaded: list[str]) -> None:
    plan = sample_plan()
    assert fence.close(SystemHost("demo"), plan, Path("/labs/demo")) == ""
    (text,) = loaded
    assert all(f'"{network.bridge}"' in text for network in plan.networks)
    assert text.startswith("table inet lab-demo-")


def test_a_private_host_needs_none(loaded: list[str], tmp_path: Path) -> None:
    assert fence.close(PrivateHost("demo", tmp_path, state_root=tmp_path), sample_plan(), tmp_path) == ""
    assert loaded == []


def test_who_called_sudo_reaches_the_lab(loaded: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "1000")
    fence.close(SystemHost("demo"), sample_plan(), Path("/labs/demo"))
    assert "meta skuid != { 0, 1000 }" in loaded[0]


def test_without_root_or_nft_it_says_why_and_does_nothing(loaded: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fence, "which", lambda _name: None)
    assert "nft is not installed" in fence.close(SystemHost("demo"), sample_plan(), Path("/labs/demo"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "only root" in fence.close(SystemHost("demo"), sample_plan(), Path("/labs/demo"))
    fence.remove("demo-1234abcd")
    assert loaded == []
