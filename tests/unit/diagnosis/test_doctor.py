from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sample_plans import sample_plan

from lab.base import resources
from lab.base.errors import HostError
from lab.box.manifest import _TOOLS
from lab.diagnosis import doctor, doctor_look, pdf
from lab.diagnosis.doctor import judge, repair_commands
from lab.diagnosis.doctor_look import PACKAGES, Seen
from lab.host import host as hosts
from lab.host.host import SystemHost
from lab.host.neighbours import Neighbours, require_no_collision
from lab.host.private import PrivateHost
from lab.planning.hostfit import HostNumbers
from lab.planning.plan import HostFacts, HostProof

if TYPE_CHECKING:
    from lab.base.finding import Finding

PROOF = HostProof(HostFacts(accelerator="kvm", nested=True), "a guest booted in 0.8 s", "nested is on")
EMULATED = HostProof(
    HostFacts(accelerator="qemu", wait_factor=9.0), "no KVM (/dev/kvm is absent); a guest booted in 2.3 s", "svm"
)
NUMBERS = HostNumbers(cpus=4, memory_total_mib=32000, memory_available_mib=30000, disk_free_gib=200.0, disk_path="/var")


def by_id(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.id: finding for finding in findings}


def test_a_good_host_has_nothing_to_repair() -> None:
    seen = Seen(proof=PROOF, numbers=NUMBERS)
    findings = judge(seen, sample_plan(accelerator="kvm"))
    assert all(finding.ok for finding in findings)
    assert not any(finding.repair for finding in findings)
    assert repair_commands(seen) == []


def test_every_package_has_a_reason() -> None:
    assert all(package.why for package in PACKAGES)
    assert len({package.name for package in PACKAGES}) == len(PACKAGES)


def test_what_builds_the_boxes_is_asked_for() -> None:
    assert {package for _, _, package in _TOOLS.values()} <= {package.name for package in PACKAGES}


def test_missing_packages_are_installed_in_one_go() -> None:
    seen = Seen(missing=("vagrant", "mmdebstrap"))
    update, install = repair_commands(seen)
    assert update == ["apt-get", "update"]
    assert install[-3:] == ["--no-install-recommends", "vagrant", "mmdebstrap"]
    found = by_id(judge(seen))
    assert found["package-vagrant"].fatal
    assert not found["package-vagrant"].ok
    assert found["package-vagrant"].repair == "apt-get install vagrant"
    assert found["package-qemu-utils"].ok


BUSY_APT = """#!/bin/sh
echo "$@" >> {calls}
[ "$(wc -l < {calls})" -gt {busy} ] && exit 0
echo "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 4711 (apt-get)"
echo "E: Unable to lock directory /var/lib/apt/lists/"
exit 100
"""


@pytest.mark.parametrize("busy", [2, 10_000])
def test_another_apt_is_waited_for(busy: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(doctor, "_APT_EVERY_S", 0.1)
    monkeypatch.setattr(doctor, "APT_LIMIT_S", 1.0)
    monkeypatch.setattr(doctor, "look", lambda **_: Seen(missing=("vagrant",)))
    monkeypatch.setattr(hosts, "sudo", list)
    for name in ("apt-get", "env"):
        (tmp_path / name).write_text(BUSY_APT.format(calls=tmp_path / "calls", busy=busy))
        (tmp_path / name).chmod(0o755)
    said: list[str] = []
    if busy == 2:
        doctor.fix(said.append)
        ran = [line.split()[0] for line in (tmp_path / "calls").read_text().splitlines()]
        assert ran == [*["update"] * 3, "DEBIAN_FRONTEND=noninteractive"]
    else:
        with pytest.raises(HostError, match="another apt is running: waited 1 s for it") as caught:
            doctor.fix(said.append)
        assert "held by process 4711" in caught.value.detail
    assert len([line for line in said if "waiting for another apt: E: Could not get lock" in line]) == 1


def test_a_package_that_apt_does_not_know_is_not_asked_of_it() -> None:
    seen = Seen(missing=("vagrant", "mmdebstrap"), unavailable=("vagrant",))
    assert "vagrant" not in repair_commands(seen)[1]
    assert "from its makers" in by_id(judge(seen))["package-vagrant"].advice


def test_another_distribution() -> None:
    seen = Seen(debian=False, distribution="fedora", missing=("vagrant",))
    finding = by_id(judge(seen))["distribution"]
    assert not finding.ok
    assert finding.fatal
    assert "fedora" in finding.found
    assert "./lab-container up" in finding.advice
    assert repair_commands(seen) == []


@pytest.mark.parametrize("distribution", ["ubuntu noble", "debian forky", ""])
def test_a_distribution_that_nobody_tried_is_a_note(distribution: str) -> None:
    finding = by_id(judge(Seen(distribution=distribution, proof=PROOF, numbers=NUMBERS)))["distribution"]
    assert not finding.ok
    assert not finding.fatal
    assert "./lab-container up" in finding.advice


def test_another_processor_is_no_host() -> None:
    finding = by_id(judge(Seen(machine="aarch64")))["distribution"]
    assert finding.fatal
    assert "aarch64" in finding.found
    assert "lab-container" not in finding.advice  # its boxes would not boot there, either


def test_a_user_in_the_groups_whom_libvirt_refuses_needs_an_administrator() -> None:
    groups = frozenset({"libvirt", "kvm"})
    refusal = "authentication unavailable"
    seen = Seen(mode="system", root=False, groups=groups, libvirt_refusal=refusal, libvirt_listens=True)
    assert repair_commands(seen) == []
    assert "libvirtd.conf" in by_id(judge(seen))["libvirtd"].advice


def test_private_host_needs_root() -> None:
    findings = by_id(judge(Seen(root=False, user="ada", mode="private", mode_reason="no systemd")))
    assert not findings["root"].ok
    assert "no systemd" in findings["root"].why
    assert "sudo" in findings["root"].repair
    assert by_id(judge(Seen(root=True)))["root"].ok


def test_system_libvirtd_that_does_not_run_is_started() -> None:
    seen = Seen(mode="system", libvirt_refusal="No such file or directory")
    assert repair_commands(seen) == [["systemctl", "enable", "--now", "libvirtd.socket"]]
    finding = by_id(judge(seen))["libvirtd"]
    assert not finding.ok
    assert finding.found == "No such file or directory"


def test_a_user_outside_the_groups_is_added_to_them() -> None:
    seen = Seen(mode="system", root=False, user="ada", groups=frozenset({"kvm"}), libvirt_refusal="Permission denied")
    assert repair_commands(seen) == [["usermod", "-aG", "libvirt", "ada"]]
    assert by_id(judge(seen))["libvirtd"].repair == "sudo usermod -aG libvirt ada"


def test_a_user_whom_libvirt_answers_is_left_alone() -> None:
    assert repair_commands(Seen(mode="system", root=False, user="ada")) == []


def test_a_machine_that_cannot_be_kept_apart_from_a_lab_is_noted() -> None:
    seen = Seen(mode="system", root=False, user="ada", unfenced="only root may change the machine's packet filter")
    finding = by_id(judge(seen))["fence"]
    assert (finding.ok, finding.fatal) == (False, False)
    assert "docs/security.md" in finding.why
    assert "sudo" in finding.repair
    assert by_id(judge(Seen(mode="system")))["fence"].ok
    assert "fence" not in by_id(judge(Seen(mode="private")))


def test_emulation_is_a_note_with_its_reason() -> None:
    finding = by_id(judge(Seen(proof=EMULATED)))["accelerator"]
    assert not finding.ok
    assert not finding.fatal
    assert "/dev/kvm is absent" in finding.why
    assert "9 times" in finding.why


def test_no_guest_at_all_is_fatal() -> None:
    finding = by_id(judge(Seen(proof_failure="the mirror does not answer")))["accelerator"]
    assert finding.fatal
    assert finding.why == "the mirror does not answer"


def test_nesting_switched_off_is_noted_with_the_command() -> None:
    proof = HostProof(HostFacts(accelerator="kvm", nested=False), "booted", "/sys/module/kvm_intel/… is off")
    finding = by_id(judge(Seen(proof=proof)))["nested"]
    assert not finding.ok
    assert not finding.fatal
    assert "nested=1" in finding.repair


def test_a_lab_that_does_not_fit_is_fatal() -> None:
    small = HostNumbers(cpus=2, memory_total_mib=8000, memory_available_mib=4000, disk_free_gib=1.0, disk_path="/var")
    findings = by_id(judge(Seen(numbers=small), sample_plan()))
    assert not findings["memory"].ok
    assert findings["memory"].fatal
    assert not findings["disk"].ok
    without_plan = by_id(judge(Seen(numbers=small)))
    assert not without_plan["memory"].ok
    assert not without_plan["memory"].fatal


@pytest.mark.parametrize(
    ("networks", "routes", "expected"),
    [
        ({}, (), "free"),
        ({"default": ["192.168.122.1/24"]}, ("10.9.0.0/16",), "free"),
        ({"vagrant-libvirt": ["10.0.0.1/255.255.255.0"]}, (), "libvirt network vagrant-libvirt"),
        ({}, ("10.0.0.0/8",), "route to 10.0.0.0/8"),
        ({}, ("10.0.0.7",), "route to 10.0.0.7"),
    ],
)
def test_subnet_collisions(networks: dict[str, list[str]], routes: tuple[str, ...], expected: str) -> None:
    there = Neighbours(networks, routes)
    seen = Seen(mode="system", neighbours=there)
    finding = by_id(judge(seen, sample_plan()))["subnet-management"]
    assert finding.found == expected
    assert finding.ok == (expected == "free")
    assert not finding.fatal  # root's lab then runs on a private host
    as_user = Seen(mode="system", neighbours=there, root=False)
    assert by_id(judge(as_user, sample_plan()))["subnet-management"].fatal


def test_a_private_host_cannot_collide() -> None:
    seen = Seen(mode="private", neighbours=Neighbours({"x": ["10.0.0.1/24"]}, ("10.0.0.0/8",)))
    assert not [finding for finding in judge(seen, sample_plan()) if finding.id.startswith("subnet-")]


def test_foreign_domains_are_named_and_never_removed() -> None:
    seen = Seen(mode="system", neighbours=Neighbours(namesakes={"demo-controller": "domain"}))
    finding = by_id(judge(seen, sample_plan()))["domain-demo-controller"]
    assert not finding.ok
    assert "virsh" not in finding.repair
    assert repair_commands(seen) == []


@pytest.fixture
def system_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SystemHost:
    """A system libvirt on which somebody has a network, and a domain of the lab's name."""
    file = tmp_path / "node.xml"
    file.write_text("""<node>
<network><name>theirs</name><bridge name='b0'/><ip address='10.0.0.1' netmask='255.255.0.0'/></network>
<domain type='test'><name>demo-compute1</name><description>Source: /labs/demo/Vagrantfile</description>
<memory>65536</memory><os><type>hvm</type></os></domain>
</node>""")
    monkeypatch.setattr(hosts, "SYSTEM_URI", f"test://{file}")
    return SystemHost("demo")


def test_a_lab_that_collides_is_refused(system_host: SystemHost) -> None:
    with pytest.raises(HostError) as caught:
        require_no_collision(sample_plan(), system_host, Path("/labs/another"))
    assert "subnet 10.0.0.0/24: libvirt network theirs — another networks.management in the spec" in str(caught.value)
    assert "domain demo-compute1: not of this lab" in str(caught.value)


def test_the_labs_own_domain_is_no_collision(system_host: SystemHost) -> None:
    with pytest.raises(HostError) as caught:
        require_no_collision(sample_plan(), system_host, Path("/labs/demo"))
    assert "domain" not in str(caught.value)


def test_on_a_private_host_nobody_else_lives(tmp_path: Path) -> None:
    require_no_collision(sample_plan(), PrivateHost("demo", tmp_path), tmp_path)


def test_a_package_of_a_german_machine_is_known_to_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apt's answer is read in English; with LANGUAGE=de it would say Installationskandidat."""
    (tmp_path / "apt-cache").write_text(
        '#!/bin/sh\n[ -n "$LANGUAGE" ] && echo "  Installationskandidat: 1" || echo "  Candidate: 1"\n'
    )
    (tmp_path / "apt-cache").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("LANGUAGE", "de")
    assert doctor_look._in_apt("xz-utils")


def test_findings_are_json() -> None:
    rows = json.loads(json.dumps([finding.as_dict() for finding in judge(Seen(missing=("vagrant",)))]))
    assert rows[1] == {
        "id": "package-vagrant",
        "what": "vagrant",
        "ok": False,
        "found": "missing",
        "why": "creates the virtual machines",
        "repair": "apt-get install vagrant",
        "fatal": True,
        "advice": "",
    }


def test_a_pdf_is_optional() -> None:
    (note,) = [
        finding for finding in judge(Seen(lacks_for_pdf=("libpango-1.0-0", "WeasyPrint"))) if finding.id == "pdf"
    ]
    assert (note.ok, note.fatal, note.repair) == (False, False, "make setup-pdf")
    assert note.found == "missing: libpango-1.0-0, WeasyPrint"
    assert "lab handout --format pdf" in note.why
    assert repair_commands(Seen(lacks_for_pdf=("libpango-1.0-0",))) == []


def test_the_makefile_installs_the_same_libraries_for_a_pdf() -> None:
    (line,) = [line for line in resources.MAKEFILE.read_text().splitlines() if line.startswith("PDF_PACKAGES :=")]
    assert set(pdf.LIBRARIES) <= set(line.split())
