from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.base.errors import HostError
from lab.host import kvm
from lab.host.kvm import MAX_WAIT_FACTOR, Proof, boot, expected_host, nested_kvm, prove_host, wait_factor

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.planning.plan import Accelerator, HostProof

KERNEL = r"printf '[0.0] Linux version 6\n[0.0] Kernel command line: rdinit=/bin/busybox -- echo LAB-GUEST-RUNS\n'"
BOOTS = rf"{KERNEL}; printf '\r\nLAB-GUEST-RUNS\r\n'; sleep 60"
HANGS = "sleep 60"


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Put a QEMU on the PATH that behaves so under KVM, and so under emulation; it counts its calls in `calls`."""

    def make(under_kvm: str, emulated: str) -> Path:
        program = tmp_path / "bin" / kvm.QEMU
        program.parent.mkdir(exist_ok=True)
        program.write_text(
            f'#!/bin/sh\necho "$2" >>{tmp_path}/calls\ncase $2 in kvm) {under_kvm};; *) {emulated};; esac\n'
        )
        program.chmod(0o755)
        limit_s = 0.5 if under_kvm == HANGS else 20.0  # what boots is never too slow, on a busy machine too
        monkeypatch.setattr(kvm, "DEADLINE_S", {"kvm": limit_s, "qemu": 20.0})
        return program

    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    (tmp_path / "kvm").touch()
    for name, value in (("kvm_amd", "1"), ("other", "Y")):
        (tmp_path / "module" / name / "parameters").mkdir(parents=True)
        (tmp_path / "module" / name / "parameters" / "nested").write_text(f"{value}\n")
    return make


def calls(tmp_path: Path) -> list[str]:
    file = tmp_path / "calls"
    return file.read_text().split() if file.exists() else []


def prove(tmp_path: Path, **options: object) -> HostProof:
    arguments = {"cache_dir": tmp_path / "cache", "kvm_device": tmp_path / "kvm", "modules": tmp_path / "module"}
    return prove_host(tmp_path / "vmlinuz", tmp_path / "initrd", **(arguments | options))  # type: ignore[arg-type]


def test_kvm_that_boots_a_guest_is_used(tmp_path: Path, qemu: Callable[[str, str], Path]) -> None:
    qemu(BOOTS, HANGS)
    proof = prove(tmp_path)
    assert proof.facts.accelerator == "kvm"
    assert proof.facts.nested
    assert proof.facts.wait_factor == 1.0
    assert "a guest booted in" in proof.accelerator_reason
    assert calls(tmp_path) == ["kvm"]


def test_kvm_that_hangs_in_the_firmware_is_not_used(tmp_path: Path, qemu: Callable[[str, str], Path]) -> None:
    qemu(HANGS, BOOTS)
    started = time.monotonic()
    proof = prove(tmp_path)
    assert time.monotonic() - started < 5
    assert proof.facts.accelerator == "qemu"
    assert proof.facts.nested
    assert "did not get past the firmware" in proof.accelerator_reason


def test_the_kernels_echo_of_the_marker_is_no_proof(tmp_path: Path, qemu: Callable[[str, str], Path]) -> None:
    program = qemu(f"{KERNEL}; {HANGS}", HANGS)
    proof = boot("kvm", tmp_path / "k", tmp_path / "i", deadline_s=0.5, qemu=str(program))
    assert not proof.works
    assert "kernel started, but did not reach user space" in proof.reason


def test_a_qemu_that_ends_gives_its_last_words(tmp_path: Path, qemu: Callable[[str, str], Path]) -> None:
    program = qemu("echo 'Could not access KVM kernel module: Permission denied' >&2; exit 1", HANGS)
    proof = boot("kvm", tmp_path / "k", tmp_path / "i", deadline_s=5, qemu=str(program))
    assert proof.reason == "QEMU ended: Could not access KVM kernel module: Permission denied"


def test_no_device_needs_no_boot(tmp_path: Path, qemu: Callable[[str, str], Path]) -> None:
    qemu(BOOTS, BOOTS)
    assert f"{tmp_path}/none is absent" in prove(tmp_path, kvm_device=tmp_path / "none").accelerator_reason
    assert calls(tmp_path) == ["tcg"]


@pytest.mark.parametrize(
    ("mode", "group", "expected"),
    [(0o660, 0, "only root has it"), (0o600, 65500, "only root has it"), (0o660, 65500, "the group 65500 has it")],
)
def test_who_has_a_device_that_is_closed_to_this_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, group: int, expected: str
) -> None:
    """In a container the device's group often is not the one named kvm: being in that one would not help."""
    device = tmp_path / "kvm"
    device.touch()
    found = os.stat_result((mode, 0, 0, 1, 0, group, 0, 0, 0, 0))
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *_: False)
        patch.setattr(Path, "stat", lambda *_, **__: found)
        proof = kvm._unusable(device)
    assert proof is not None
    assert expected in proof.reason


def test_wanted_kvm_that_fails_is_an_error_with_the_reason(tmp_path: Path, qemu: Callable[[str, str], Path]) -> None:
    qemu(HANGS, BOOTS)
    with pytest.raises(HostError, match="did not get past the firmware"):
        prove(tmp_path, wanted="kvm")
    assert calls(tmp_path) == ["kvm"]


def test_wanted_emulation_does_not_try_kvm(tmp_path: Path, qemu: Callable[[str, str], Path]) -> None:
    qemu(BOOTS, BOOTS)
    assert prove(tmp_path, wanted="qemu").facts.accelerator == "qemu"
    assert calls(tmp_path) == ["tcg"]


def test_a_host_on_which_nothing_boots(tmp_path: Path, qemu: Callable[[str, str], Path]) -> None:
    qemu("exit 1", "echo broken; exit 1")
    with pytest.raises(HostError, match="no guest boots on this host, not even emulated: QEMU ended: broken"):
        prove(tmp_path)


def test_a_missing_qemu_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="is not installed"):
        prove(tmp_path)


def test_a_proof_is_kept_until_the_host_or_qemu_changes(tmp_path: Path, qemu: Callable[[str, str], Path]) -> None:
    qemu(HANGS, BOOTS)
    first = prove(tmp_path)
    assert prove(tmp_path) == first
    assert calls(tmp_path) == ["kvm", "tcg"]
    prove(tmp_path, fresh=True)
    assert len(calls(tmp_path)) == 4
    qemu(BOOTS, HANGS)  # another QEMU
    assert prove(tmp_path).facts.accelerator == "kvm"


def test_a_slow_proof_is_tried_again_when_the_host_is_idle(
    tmp_path: Path, qemu: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    qemu(HANGS, f"sleep 0.4; {BOOTS}")
    monkeypatch.setattr(kvm, "REFERENCE_S", {"kvm": 0.1, "qemu": 0.1})
    monkeypatch.setattr("os.getloadavg", lambda: (99.0, 0.0, 0.0))
    busy = prove(tmp_path)
    assert prove(tmp_path) == busy
    assert calls(tmp_path) == ["kvm", "tcg"]
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    monkeypatch.setattr(kvm, "boot", lambda *_, **__: Proof("qemu", True, "slower still", 9.0))
    assert prove(tmp_path) == busy
    monkeypatch.setattr(kvm, "boot", lambda *_, **__: Proof("qemu", True, "quick", 0.1))
    assert "quick" in prove(tmp_path).accelerator_reason
    monkeypatch.setattr(kvm, "boot", lambda *_, **__: pytest.fail("a quick proof is believed"))
    assert "quick" in prove(tmp_path).accelerator_reason


@pytest.mark.parametrize("content", ["", "[]", '{"key": 1}', '{"key": [], "proofs": {"kvm": {"works": 1}}}'])
def test_a_damaged_cache_is_no_obstacle(tmp_path: Path, qemu: Callable[[str, str], Path], content: str) -> None:
    qemu(BOOTS, BOOTS)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "host-proof.json").write_text(content)
    assert prove(tmp_path).facts.accelerator == "kvm"


def expect(tmp_path: Path) -> HostProof:
    return expected_host(
        cache_dir=tmp_path / "cache",
        kvm_device=tmp_path / "kvm",
        modules=tmp_path / "module",
        cpuinfo=tmp_path / "cpuinfo",
    )


def test_expectation_touches_nothing_and_says_that_it_is_not_proven(
    tmp_path: Path, qemu: Callable[[str, str], Path]
) -> None:
    qemu(BOOTS, BOOTS)
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("flags\t\t: fpu vme\n")
    without = expect(tmp_path)
    assert without.facts.accelerator == "qemu"
    assert without.facts.wait_factor > 1
    assert "not proven yet; /proc/cpuinfo has neither vmx nor svm" in without.accelerator_reason
    cpuinfo.write_text("flags\t\t: fpu svm vme\n")
    assert expect(tmp_path).facts.accelerator == "kvm"
    assert calls(tmp_path) == []
    assert not (tmp_path / "cache").exists()


def test_expectation_follows_what_was_proven(tmp_path: Path, qemu: Callable[[str, str], Path]) -> None:
    qemu(HANGS, BOOTS)
    proven = prove(tmp_path)
    (tmp_path / "cpuinfo").write_text("flags\t\t: vmx\n")
    assert expect(tmp_path).facts == proven.facts


@pytest.mark.parametrize(
    ("accelerator", "seconds", "factor"),
    [("kvm", 0.4, 1.0), ("kvm", 3.0, 3.0), ("qemu", 2.3, 9.0), ("qemu", 0.1, 1.0), ("qemu", 60, MAX_WAIT_FACTOR)],
)
def test_wait_factor(accelerator: Accelerator, seconds: float, factor: float) -> None:
    assert wait_factor(Proof(accelerator, True, "", seconds)) == factor


@pytest.mark.parametrize(("value", "on"), [("Y", True), ("1", True), ("N", False), ("0", False)])
def test_nested_parameter(tmp_path: Path, value: str, on: bool) -> None:
    parameter = tmp_path / "kvm_intel" / "parameters" / "nested"
    parameter.parent.mkdir(parents=True)
    parameter.write_text(f"{value}\n")
    assert nested_kvm(tmp_path)[0] is on


def test_nested_without_module(tmp_path: Path) -> None:
    assert nested_kvm(tmp_path) == (False, f"neither kvm_intel nor kvm_amd is in {tmp_path}")
