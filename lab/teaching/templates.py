"""`lab new`: the files of a chapter, or of your own check, to be filled in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lab.base.errors import UsageError
from lab.inputs.catalog import STEP_ID

if TYPE_CHECKING:
    from pathlib import Path

FACTS = """\
title: What the chapter makes
guide: "Compute service: Manage Compute service quotas" # the section of the guide
url: https://docs.openstack.org/nova/{{series}}/admin/quotas.html
on: [controller] # or compute, or both
needs: [50-compute-controller] # what must be done before
seconds: 60 # on two emulated cores
units: [nova-api] # what is true afterwards; docs/environment.md lists what may be stated
checks: # only what no other fact, and no block of options in the script, implies
  - kind: openstack
    name: {slug}
    args: {{list: limits show --absolute, row: {{Name: maxTotalInstances, Value: 4}}}}
    command: "[quota] instances = 4" # the guide's words for what makes it true
"""
SCRIPT = """\
#!/usr/bin/env bash
#
# What the chapter makes, in one sentence.
#
# Guide: Compute service, "Manage Compute service quotas".

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'What is done first'
# Why. A line that begins with "Deviation:" says what differs from the guide.
crudini --merge /etc/nova/nova.conf <<EOF
[quota]
instances = 4
EOF

heading 'Restart what reads it'
restart_if_changed nova-api /etc/nova/nova.conf
wait_for 'the Compute API' 20 http_answers http://controller:8774/ 200
"""
CHECK = """\
\"\"\"What must be true of this lab. A test must only ask: it is called until all that it asks is known.\"\"\"

import json


def test_{name}(controller):
    flavors = json.loads(controller.check_output("openstack flavor list -f json"))
    assert "m1.class" in [flavor["Name"] for flavor in flavors], "openstack flavor create m1.class makes it"


def test_{name}_on_every_compute_node(computes):
    for compute in computes:
        assert compute.service("nova-compute").is_running
"""


def chapter(directory: Path, step_id: str) -> tuple[Path, Path]:
    """Write the files of a chapter.

    Raises:
        UsageError: the id cannot be one, or is taken; or there is no such directory.
    """
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a directory", hint="name another one with --directory")
    if not STEP_ID.fullmatch(step_id):
        raise UsageError(f"{step_id!r} cannot be the id of a chapter", hint="number and name, as 95-quotas")
    slug = step_id.partition("-")[2]
    if taken := [path.stem for path in directory.glob("[0-9][0-9]-*.yaml") if path.stem.partition("-")[2] == slug]:
        raise UsageError(f"there is a chapter {taken[0]} already", hint="take another name")
    facts, script = directory / f"{step_id}.yaml", directory / f"{step_id}.sh"
    facts.write_text(FACTS.format(slug=slug), encoding="utf-8")
    script.write_text(SCRIPT, encoding="utf-8")
    return facts, script


def check(directory: Path, name: str) -> Path:
    """Write a file with checks.

    Raises:
        UsageError: the name cannot be one, or is taken.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name):
        raise UsageError(f"{name!r} cannot be the name of a check", hint="small letters, digits, dashes: class-quota")
    name = name.replace("-", "_")
    path = directory / f"test_{name}.py"
    if path.exists():
        raise UsageError(f"{path} exists", hint="take another name")
    directory.mkdir(exist_ok=True)
    path.write_text(CHECK.format(name=name), encoding="utf-8")
    return path
