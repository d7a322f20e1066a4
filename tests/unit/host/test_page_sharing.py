"""When KSM is switched on and off, on files that look like the kernel's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.host import page_sharing

if TYPE_CHECKING:
    from pathlib import Path

OFF = {"run": 0, "pages_to_scan": 100, "sleep_millisecs": 20}
ON = {"run": 1, **page_sharing.PACE}


class Kernel:
    """A machine with KSM, some labs, and some programs."""

    def __init__(self, root: Path) -> None:
        self.ksm = root / "ksm"
        self.ksm.mkdir()
        self.hosts = root / "hosts"
        self.labs = 2
        self.programs = ["init", "ksmd"]
        self.set(OFF)

    def set(self, values: dict[str, int]) -> None:
        for name, value in values.items():
            (self.ksm / name).write_text(f"{value}\n")

    def now(self) -> dict[str, int]:
        return {name: int((self.ksm / name).read_text()) for name in OFF}

    def host(self, name: str) -> Path:
        made = self.hosts / name
        made.mkdir(parents=True, exist_ok=True)
        return made


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel(tmp_path)
    monkeypatch.setattr(page_sharing, "KSM", made.ksm)
    monkeypatch.setattr(page_sharing, "NOTE", tmp_path / "note.json")
    monkeypatch.setattr(page_sharing, "_labs", lambda: made.labs)
    monkeypatch.setattr(page_sharing, "_programs", lambda: iter(made.programs))
    return made


def test_it_runs_while_two_labs_do(kernel: Kernel) -> None:
    assert "KSM" in page_sharing.begin(kernel.host("a"))
    assert kernel.now() == ON
    assert page_sharing.begin(kernel.host("b")) == ""  # a third lab
    assert page_sharing.end_if_unused() == ""
    assert kernel.now() == ON
    kernel.labs = 1
    assert "as it was before" in page_sharing.end_if_unused()
    assert kernel.now() == OFF
    assert page_sharing.end_if_unused() == ""


def test_the_only_lab_has_nobody_to_share_with(kernel: Kernel) -> None:
    kernel.labs = 1
    assert page_sharing.begin(kernel.host("a")) == ""
    assert kernel.now() == OFF


def test_what_somebody_else_rules_is_not_touched(kernel: Kernel) -> None:
    kernel.programs.append("ksmtuned")
    assert page_sharing.begin(kernel.host("a")) == ""
    assert kernel.now() == OFF
    kernel.programs.remove("ksmtuned")
    theirs = {"run": 1, "pages_to_scan": 5, "sleep_millisecs": 7}
    kernel.set(theirs)
    assert page_sharing.begin(kernel.host("a")) == ""
    kernel.labs = 0
    assert page_sharing.end_if_unused() == ""
    assert kernel.now() == theirs


def test_what_somebody_else_has_stopped_since_stays_stopped(kernel: Kernel) -> None:
    page_sharing.begin(kernel.host("a"))
    theirs = {"run": 2, "pages_to_scan": 5, "sleep_millisecs": 7}
    kernel.set(theirs)
    assert page_sharing.begin(kernel.host("b")) == ""
    page_sharing.end()
    assert kernel.now() == theirs
    assert not page_sharing.NOTE.exists()


def test_a_lab_that_is_to_share_nothing_ends_it_as_long_as_it_exists(kernel: Kernel) -> None:
    page_sharing.begin(kernel.host("a"))
    apart = kernel.host("b")
    assert "shares no more" in page_sharing.keep_apart(apart)
    assert kernel.now() == OFF
    assert page_sharing.begin(kernel.host("c")) == ""
    assert kernel.now() == OFF
    (apart / "apart").unlink()  # as `lab down` does with all that is there
    assert page_sharing.begin(kernel.host("c"))


def test_a_kernel_without_it_or_that_refuses(kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (kernel.ksm / "run").unlink()
    assert page_sharing.begin(kernel.host("a")) == ""
    assert page_sharing.saved_mib() == 0
    (kernel.ksm / "run").write_text("0")
    write = type(tmp_path).write_text

    def refuse(path: Path, text: str) -> int:
        if path.name == "run":
            raise PermissionError(30, "Read-only file system")
        return write(path, text)

    monkeypatch.setattr(type(tmp_path), "write_text", refuse)
    assert page_sharing.begin(kernel.host("a")) == ""
    assert not page_sharing.NOTE.exists()


def test_what_it_saves(kernel: Kernel) -> None:
    (kernel.ksm / "pages_sharing").write_text("524288\n")
    assert page_sharing.saved_mib() == 0  # of processes that have ended, for all that is known
    (kernel.ksm / "run").write_text("1\n")
    assert page_sharing.saved_mib() >= 2048  # of pages of 4 KiB
