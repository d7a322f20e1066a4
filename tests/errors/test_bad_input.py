"""Every bad input gives one clear message: cases/NAME.yaml is the input, cases/NAME.log the exact message."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.base import resources
from lab.base.errors import HostError, LabError, SpecError, UsageError
from lab.inputs.catalog import load_steps
from lab.inputs.load import load_spec
from lab.inputs.release import load_release
from lab.planning import project
from lab.planning.hostfit import HostNumbers, fit
from lab.planning.plan import HostFacts, HostProof
from lab.planning.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = Path(__file__).parent / "cases"
SPEC_CASES = sorted(path.stem for path in CASES.glob("*.yaml") if not path.stem.startswith("host-"))
PASSWORD = "hunter2hunter2"
EMULATED = HostFacts(accelerator="qemu", nested=True, wait_factor=9.0)


@pytest.fixture(autouse=True)
def _in_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages name the file as it was given: relative."""
    monkeypatch.chdir(CASES)


def message(error: LabError) -> str:
    return f"{error}\nexit code {error.exit_code}\n"


@pytest.mark.parametrize("name", SPEC_CASES)
def test_message(name: str, golden: Callable[[Path, str], None]) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(Path(f"{name}.yaml"))
    text = message(caught.value)
    assert PASSWORD not in text
    assert caught.value.exit_code == 2
    assert all(problem.found and problem.expected for problem in caught.value.problems)
    golden(CASES / f"{name}.log", text)


def test_no_message_without_its_case() -> None:
    assert {path.stem for path in CASES.glob("*.log")} == {path.stem for path in CASES.glob("*.yaml")}


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("absent.yaml", None, "found no such file"),
        ("binary.yaml", b"\x7fELF\x02\x01\x01\x00\xff\xfe", "found bytes that are not text"),
        ("latin1.yaml", "name: caf\xe9".encode("latin-1"), "found bytes that are not text"),
        ("large.yaml", b"name: demo\n" + b"# and so on\n" * 10_000, "found more than 64 KiB"),
        ("control.yaml", b"name: de\x00mo\n", "found characters that YAML does not allow"),
    ],
)
def test_unreadable(
    name: str, content: bytes | None, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(SpecError) as caught:
        load_spec(Path(name))
    assert f"{name}: {found}" in str(caught.value)
    assert caught.value.exit_code == 2


def test_what_is_made_to_be_large_is_refused_at_once(tmp_path: Path) -> None:
    before = time.process_time()
    for text in (
        (CASES / "alias-bomb.yaml").read_text(),
        f"name: {'[' * 60_000}",
        "x:\n" + "- a\n" * 16_000,
    ):
        (tmp_path / "lab.yaml").write_text(text)
        with pytest.raises(SpecError, match=r"lab\.yaml:\d+: found more than"):
            load_spec(tmp_path / "lab.yaml")
    assert time.process_time() - before < 20  # about 3 s; the first one took 36 s, and 800 MiB


def test_directory(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(tmp_path)
    assert "found is a directory, expected a readable file" in str(caught.value)


def test_missing_file_says_how_to_begin() -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(Path("absent.yaml"))
    assert "`lab init`" in str(caught.value)


def decide(name: str, host: HostFacts, reason: str = "") -> None:
    project.decide(load_spec(CASES / name), HostProof(host, reason, ""))


def test_kvm_where_the_proof_fails(golden: Callable[[Path, str], None]) -> None:
    reason = "/dev/kvm exists, but a guest did not get past its firmware in 20 s"
    with pytest.raises(HostError) as caught:
        decide("host-kvm-required.yaml", EMULATED, reason)
    assert caught.value.exit_code == 3
    golden(CASES / "host-kvm-required.log", message(caught.value))


def test_nested_required_where_it_is_off(golden: Callable[[Path, str], None]) -> None:
    with pytest.raises(HostError) as caught:
        decide("host-nested-required.yaml", HostFacts(accelerator="kvm", nested=False))
    assert caught.value.exit_code == 3
    golden(CASES / "host-nested-required.log", message(caught.value))


def test_nested_required_under_emulation_is_good() -> None:
    decide("host-nested-required.yaml", EMULATED)


def test_sizes_beyond_the_host(golden: Callable[[Path, str], None]) -> None:
    spec = load_spec(CASES / "host-too-small.yaml")
    release = load_release(spec.release)
    plan = resolve(spec, release, load_steps(release, resources.PROVISION), EMULATED)
    numbers = HostNumbers(
        cpus=2, memory_total_mib=24 * 1024, memory_available_mib=20 * 1024, disk_free_gib=12.0, disk_path="/var/lib"
    )
    result = fit(plan, numbers)
    assert len(result.problems) == 2
    golden(CASES / "host-too-small.log", "\n".join([*result.problems, *result.warnings]) + "\n")


def test_release_by_name() -> None:
    with pytest.raises(UsageError) as caught:
        load_release("zedd")
    assert "did you mean `zed`?" in str(caught.value)


@pytest.mark.parametrize("word", ["2025.1", "Epoxy", "EPOXY", "2025.1 (Epoxy)", "OpenStack Epoxy (2025.1)", "epoxy "])
def test_a_release_by_what_openstack_calls_it(word: str, tmp_path: Path) -> None:
    assert load_release(word).name == "epoxy"
    for written in (word, f'"{word}"'):  # YAML reads 2025.1 as a number
        (tmp_path / "lab.yaml").write_text(f"name: x\nrelease: {written}\n")
        assert load_spec(tmp_path / "lab.yaml").release == "epoxy"


@pytest.mark.parametrize("word", ["2031.2", "zed 2025.1", "", "()", "2025"])
def test_a_version_that_there_is_not_is_told_those_that_there_are(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_release(word)
    assert "expected one of: epoxy, newton, ocata, victoria, zed" in str(caught.value)
    if any(letter.isdigit() for letter in word):
        assert "epoxy is 2025.1" in str(caught.value)
