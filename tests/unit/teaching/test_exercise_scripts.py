"""What the scripts of exercises do, run by bash with words in the place of a node's programs."""

from __future__ import annotations

import shlex
import sqlite3
import subprocess
from typing import TYPE_CHECKING

import pytest
from teaching_labs import plan_of

from lab.teaching.exercise.catalog import find, library
from lab.teaching.exercise.draw import Variant, draw

if TYPE_CHECKING:
    from pathlib import Path

PLAN = plan_of("zed")
SEEDS = range(60)
GOOD = ("solve", "solve_otherwise")


def variants(number: int, **wanted: str) -> list[Variant]:
    """Of the first seeds, those that draw these values."""
    drawn = (draw(find(number), str(seed), PLAN) for seed in SEEDS)
    found = [each for each in drawn if wanted.items() <= each.values.items()]
    assert found, f"no seed draws {wanted}"
    return found


def done(variant: Variant, calls: str, stubs: str, **values: str) -> str:
    """Run functions of an exercise, one after the other, and give what they printed."""
    lines = "".join(f"{name}={shlex.quote(value)}\n" for name, value in {**variant.values, **values}.items())
    text = f"set -euo pipefail\n{lines}{library()}\n{variant.exercise.script}\n{stubs}\n{calls}\n"
    ran = subprocess.run(["bash", "-s"], input=text, text=True, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_an_endpoint_is_moved_to_another_region_a_second_time(tmp_path: Path) -> None:
    """The Identity service refuses a region that it has."""
    stubs = f"""
batch() {{
  local line
  while read -r line; do
    printf '%s\\n' "$line"
    if [[ $line == 'region create'* ]]; then mkdir {tmp_path}/region; fi
  done
}}"""
    said = done(variants(8, HOW="region")[0], "break_it\nsolve\nbreak_it", stubs)
    assert said.count("endpoint set --region RegionTwo {id}") == 2


@pytest.mark.parametrize("repair", GOOD)
@pytest.mark.parametrize("renamed", ["", "-old", "_"])
def test_a_node_loses_its_place_again_after_a_repair(renamed: str, repair: str) -> None:
    """nova-manage makes a new mapping, and lets a renamed one be."""
    variant = variants(11, RENAMED=renamed)[0]
    node = variant.values["WHOM"]
    database = sqlite3.connect(":memory:")
    database.create_function("UTC_TIMESTAMP", 0, lambda: "")
    database.executescript(
        "CREATE TABLE cell_mappings (id, name); INSERT INTO cell_mappings VALUES (1, 'cell0'), (2, 'cell1');"
        "CREATE TABLE host_mappings (created_at, cell_id, host UNIQUE);"
        f"INSERT INTO host_mappings VALUES ('', 2, '{node}'), ('', 2, 'other');"
    )
    stubs = """
sql() { if [[ $1 == nova_api ]]; then cat; fi; }
systemctl() { :; }
restart() { :; }
su() { printf "INSERT INTO host_mappings VALUES ('', 2, '%s');\\n" "$WHOM"; }"""
    for _ in range(2):
        for function, there in (("break_it", False), (repair, True)):
            database.executescript(done(variant, function, stubs))
            hosts = [host for (host,) in database.execute("SELECT host FROM host_mappings")]
            assert (node in hosts) is there
            assert "other" in hosts


@pytest.mark.parametrize("repair", GOOD)
def test_no_rule_of_the_scheduler_is_left_over(repair: str) -> None:
    """The weighers read weight_setting, also where no filter does."""
    stubs = """
declare -A file=()
option() { file["$2 $3"]=$4; }
restart() { :; }
systemctl() { :; }
crudini() { case $1 in --set) file["$3 $4"]=$5 ;; --del) unset "file[$3 $4]" ;; esac; }
show() { for key in "${!file[@]}"; do printf '%s\\n' "$key"; done; }"""
    for variant in variants(22):
        left = done(variant, f"break_it\n{repair}\nshow", stubs, LAB_COMPUTES="compute1 compute2").splitlines()
        assert set(left) <= {"filter_scheduler enabled_filters"}


HOSTS = "127.0.0.1\tlocalhost\n10.0.0.11\tcontroller\n10.0.0.31\tcompute1\n10.0.0.32\tcompute2\n"
INTERFACES = "auto eth1\niface eth1 inet static\n    address 10.0.0.11\n\nauto eth2\niface eth2 inet manual\n"
VALUES = {
    "CONTROLLER_IP": "10.0.0.11",
    "MANAGEMENT_INTERFACE": "eth1",
    "MANAGEMENT_CIDR": "10.0.0.0/24",
    "MANAGEMENT_INTERFACE_IP_ADDRESS": "10.0.0.11",
}


def addresses(text: str) -> list[str]:
    """Of the controller, as the check of /etc/hosts reads them."""
    return [line.split()[0] for line in text.splitlines() if "controller" in line.split()[1:]]


@pytest.mark.parametrize("repair", GOOD)
def test_a_name_is_lost_and_found_again(repair: str, tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "hosts").write_text(HOSTS)
    stubs = "restart() { :; }\nsystemctl() { :; }"
    for how in ("other-address", "other-name", "no-line"):
        variant = variants(18, HOW=how)[0]
        path.write_text(HOSTS)
        for _ in range(2):
            for function, right in (("break_it", False), (repair, True)):
                _on_files(variant, function, stubs, {"/etc/hosts": path}, LAB_DIR=str(tmp_path / "lab"))
                assert (addresses(path.read_text()) == ["10.0.0.11"]) is right, (how, function)


RULES = """
iptables() {
  local head=$1
  shift 2
  case $head in
    -I) printf '%s\\n' "$*" >>"$KERNEL" ;;
    -D) grep -vxF -- "$*" "$KERNEL" >"$KERNEL.new" || true; mv "$KERNEL.new" "$KERNEL" ;;
    -F) : >"$KERNEL" ;;
  esac
}
iptables-save() {
  printf '*filter\\n'
  sed -E 's/^/-A INPUT /; s/-p tcp/-p tcp -m tcp/; s/REJECT$/& --reject-with x/' "$KERNEL"
  printf 'COMMIT\\n'
}
iptables-restore() {
  grep '^-A' | sed 's/^-A INPUT //; s/ -m tcp//; s/ --reject-with x//' >"$KERNEL.new" || true
  mv "$KERNEL.new" "$KERNEL"
}"""


@pytest.mark.parametrize("function", [*GOOD, "repair_wrongly"])
def test_packets_pass_after_a_good_repair_and_a_boot_and_not_after_the_wrong_one(function: str, tmp_path: Path) -> None:
    path, kernel = tmp_path / "interfaces", tmp_path / "kernel"
    for answer, where in (("DROP", "everywhere"), ("REJECT", "interface"), ("REJECT", "subnet")):
        variant = variants(17, ANSWER=answer, WHERE=where)[0]
        path.write_text(INTERFACES)
        kernel.write_text("")
        values = {"KERNEL": str(kernel), **VALUES}
        files = {"/etc/network/interfaces.d/lab": path}
        _on_files(variant, "break_it", RULES, files, **values)
        assert f"--dport {variant.values['PORT']} -j {answer}" in kernel.read_text()
        assert f"    {variant.values['BOOT']} iptables -I INPUT " in path.read_text()
        _on_files(variant, function, RULES, files, **values)
        assert kernel.read_text() == "", "it works now"
        _on_files(variant, "start_again", RULES, files, **values)
        assert (kernel.read_text() == "") is (function in GOOD), "and after a boot"
        assert (path.read_text() == INTERFACES) is (function in GOOD)


@pytest.mark.parametrize("name", ["server_proxyclient_address", "novncproxy_base_url"])
def test_each_letter_can_be_lost(name: str, tmp_path: Path) -> None:
    path, text = tmp_path / "nova.conf", f"[vnc]\nenabled = true\n{name} = $my_ip\n"
    for variant in variants(24, NAME=name):
        path.write_text(text)
        stubs = "restart() { :; }\nsystemctl() { :; }"
        _on_files(variant, "break_it", stubs, {"/etc/nova/nova.conf": path})
        assert f"\n{name} =" not in path.read_text()
        _on_files(variant, "solve", stubs, {"/etc/nova/nova.conf": path})
        assert path.read_text() == text


def _on_files(variant: Variant, function: str, stubs: str, files: dict[str, Path], **values: str) -> None:
    """Run a function with other files in the place of the node's."""
    lines = "".join(f"{name}={shlex.quote(value)}\n" for name, value in {**VALUES, **variant.values, **values}.items())
    text = f"{lines}{library()}\n{variant.exercise.script}\n{stubs}\n{function}\n"
    for path, other in files.items():
        text = text.replace(path, str(other))
    ran = subprocess.run(
        ["bash", "-s"], input=f"set -euo pipefail\n{text}", text=True, capture_output=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
