"""A step's script on paper: nothing is lost, branches are decided, helpers become what a person types."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from lab.base import resources
from lab.teaching.script import decided, functions, read_script, statements
from lab.teaching.translate import Block, Translator, merged

if TYPE_CHECKING:
    from pathlib import Path

SCRIPTS = sorted([*resources.PROVISION.glob("*.sh"), *(resources.PROVISION / "first-edition").glob("*.sh")])
VALUES = {
    "LAB_HAS_SPICE": "0",
    "LAB_HAS_SERIAL": "1",
    "LAB_ROLE": "controller",
    "LAB_PACKAGES": "nova-api nova-conductor",
    "LAB_UNITS": "nova-api",
    "MY_IP": "10.0.0.11",
    "NOVA_PASS": "NOVA_PASS",
    "MECHANISM_DRIVER": "openvswitch",
}


def blocks(text: str) -> list[tuple[str, ...]]:
    script = tuple(statements(text.strip("\n").splitlines()))
    made = merged(Translator(VALUES, "10.0.0.11\tcontroller\n", {}).blocks(script))
    return [(block.kind, block.text, *([block.title] if block.title else [])) for block in made]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_line_of_a_script_is_lost(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("source ")) + 1
    script = read_script("\n".join(lines))
    found = [line for statement in script.statements for line in (*statement.comment, *statement.lines)]
    assert [line for line in found if line.strip()] == [line for line in lines[start:] if line.strip()]
    assert script.goal


def test_the_head_gives_the_goal_and_what_differs() -> None:
    script = read_script(
        "#!/usr/bin/env bash\n#\n# Image service: glance, from which\n# disks come.\n#\n# Guide: Image service.\n"
        "# Deviation: the database\n# comes first.\n\nset -euo pipefail\nsource x\n"
    )
    assert script.goal == "Image service: glance, from which disks come."
    assert script.notes == ("Guide: Image service.", "Deviation: the database comes first.")


BRANCHES = r"""
# Both consoles.
if ((LAB_HAS_SPICE)); then
  crudini --merge /etc/nova.conf <<EOF
[spice]
enabled = true
EOF
  proxy=spice
else
  crudini --merge /etc/nova.conf <<EOF
[vnc]
listen = \$my_ip
EOF
  proxy=novnc
fi
if ((LAB_HAS_SERIAL)); then serial=true; else serial=false; fi
put_file /etc/default/proxy <<EOF
TYPE=$proxy SERIAL=$serial
EOF
if [[ $LAB_ROLE == compute ]]; then
  echo compute
fi
"""


def test_the_branch_of_this_lab_is_on_paper() -> None:
    assert blocks(BRANCHES) == [
        ("prose", "Both consoles."),
        ("ini", "[vnc]\nlisten = $my_ip", "/etc/nova.conf"),
        ("file", "TYPE=novnc SERIAL=true", "/etc/default/proxy"),
    ]
    taken = list(decided(tuple(statements(BRANCHES.strip().splitlines())), {"LAB_HAS_SPICE": "1"}))
    assert any("[spice]" in statement.text for statement in taken)


NOVA = 'su -s /bin/sh -c "nova-manage {}" nova'


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("install_packages $LAB_PACKAGES", "apt-get install nova-api nova-conductor"),
        ("enable_units $LAB_UNITS", "systemctl enable nova-api"),
        ("restart_if_changed $LAB_UNITS \\\n  /etc/nova/nova.conf", "systemctl restart nova-api"),
        ('restart_if_changed glance-api "${files[@]}"', "systemctl restart glance-api"),
        ("repair_mode /etc/n.conf 0640 root:nova", "chown root:nova /etc/n.conf\nchmod 0640 /etc/n.conf"),
        ("sync_schema nova_api nova-common loaded nova nova-manage api_db sync", NOVA.format("api_db sync")),
        ('sync_schema g c nice su -s /bin/sh -c "x db_sync" glance', 'su -s /bin/sh -c "x db_sync" glance'),
        ("loaded root keystone-manage bootstrap", "keystone-manage bootstrap"),
        ("[[ -n $(row) ]] || loaded nova nova-manage cell_v2 map_cell0", NOVA.format("cell_v2 map_cell0")),
        ('ping -c 1 "$MY_IP"', "ping -c 1 10.0.0.11"),
        ("if ! known; then\n  say no\n  ovs-vsctl add-br br-int\nfi", "ovs-vsctl add-br br-int"),
    ],
)
def test_helpers_become_commands(code: str, told: str) -> None:
    assert blocks(code) == [("shell", told)]


def test_the_batch_of_the_client_becomes_commands() -> None:
    code = """
"$LAB_DIR/lib/openstack-batch" <<EOF
ensure user create --domain default --password $NOVA_PASS nova
let kernel = ensure image create --file vmlinuz kernel
ensure image create --property kernel_id={kernel} tiny
server show {server:metadata-instance}
await 60 "^up$" compute service list
booted 60 "x" {server:one}
EOF
"""
    assert blocks(code) == [
        (
            "shell",
            "openstack user create --domain default --password NOVA_PASS nova\n"
            "kernel=$(openstack image create --file vmlinuz kernel --format value --column id)\n"
            "openstack image create --property kernel_id=$kernel tiny\n"
            "openstack server show metadata-instance\n"
            'openstack compute service list   # until it says "^up$"',
        )
    ]


def test_a_loop_over_words_is_written_out() -> None:
    code = "for ini in /etc/a.ini /etc/b.ini; do\n  set_line \"$ini\" '^processes = ' 'processes = 1'\ndone"
    assert [(block[1], block[2].split(":")[0]) for block in blocks(code)] == [
        ("processes = 1", "/etc/a.ini"),
        ("processes = 1", "/etc/b.ini"),
    ]


@pytest.mark.parametrize(
    "code",
    [
        "kvm_works() {\n  [[ -c /dev/kvm ]]\n}",
        "count=$(grep -c vmx /proc/cpuinfo)",
        "echo $unknown",
        "for compute in $LAB_COMPUTES; do\n  echo x\ndone",
        "for attempt in 1 2; do\n  if works; then\n    break\n  fi\ndone",
        "if a; then\n  echo 1\nelse\n  echo 2\nfi",
        "{\n  echo x\n} | openstack",
    ],
)
def test_what_only_the_script_knows_is_left_to_it(code: str) -> None:
    assert blocks(code) == [("rest", code)]


def test_a_variable_that_such_code_sets_is_not_known_any_more() -> None:
    code = "type=qemu\nif works; then\n  type=kvm\n  echo 1\nelse\n  echo 2\nfi\necho $type\n"
    assert [kind for kind, *_ in blocks(code)] == ["rest"]
    assert blocks("type=qemu\necho $type") == [("shell", "echo qemu")]


def test_a_condition_that_decides_is_shown() -> None:
    code = "if ((count == 0)); then\n  crudini --merge /f <<EOF\n[libvirt]\nvirt_type = qemu\nEOF\nfi"
    assert blocks(code) == [("prose", "Only where `((count == 0))`:"), ("ini", "[libvirt]\nvirt_type = qemu", "/f")]


def test_comments_of_functions_stay_with_the_script() -> None:
    code = "# Deviation: asked once.\n# all_of TABLE [CONDITION]: every row.\nall_of() {\n  true\n}"
    assert blocks(code) == [("deviation", "Asked once."), ("rest", "all_of() {\n  true\n}")]


def test_neighbours_are_joined_only_where_they_are_one() -> None:
    made = list(merged(iter([Block("shell", "a"), Block("shell", "b"), Block("sql", "c"), Block("sql", "d")])))
    assert made == [Block("shell", "a\nb"), Block("sql", "c"), Block("sql", "d")]


BOOT = """
start_limit nova-
start_behind nova-api nova-compute http://controller:5000/v3 http://controller:8774/
"""


def test_what_systemd_is_told_is_on_paper_as_the_helpers_write_it(tmp_path: Path) -> None:
    """Both have the text: the helpers in bash, where the nodes need it, and the translation."""
    lib = resources.PROVISION / "lib"
    script = (
        f"systemctl() {{ :; }}; set -eu; source {lib}/report.sh; source {lib}/files.sh; source {lib}/units.sh{BOOT}"
    )
    environment = {**os.environ, "LAB_SYSTEMD": str(tmp_path), "LAB_STATE": str(tmp_path / "state")}
    subprocess.run(["bash", "-c", script], env=environment, check=True, capture_output=True)
    made = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*.conf")}
    told = {title[0].removeprefix("/etc/systemd/system/"): f"{text}\n" for kind, text, *title in blocks(BOOT) if title}
    assert told == made
    assert len(made) == 3
    assert blocks(BOOT)[-1] == ("shell", "systemctl daemon-reload")


def test_what_a_helper_does_is_written_out() -> None:
    helpers = functions("long_turns() {\n  if [[ $LAB_ROLE == controller ]]; then\n    sysctl a=1\n  fi\n}\n")
    (made,) = Translator(VALUES, "", helpers).blocks(tuple(statements(["long_turns"])))
    assert made == Block("shell", "sysctl a=1")


def test_a_file_of_another_owner_or_mode_is_given_to_it() -> None:
    text = "put_file /etc/x.conf 0640 root:nova <<EOF\na\nEOF\nput_file /root/y 0600 <<EOF\nb\nEOF\n"
    assert blocks(text) == [
        ("file", "a", "/etc/x.conf"),
        ("shell", "chown root:nova /etc/x.conf\nchmod 0640 /etc/x.conf"),
        ("file", "b", "/root/y"),
        ("shell", "chmod 0600 /root/y"),
    ]
