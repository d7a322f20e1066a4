"""A lab on other networks than the guide's: no text that a user or a node gets has an address of the guide's."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lab.base import resources
from lab.generator.render import render
from lab.inputs.catalog import load_steps
from lab.inputs.model import Spec
from lab.inputs.release import load_release, release_names
from lab.openstack import provided
from lab.planning.plan import HostFacts, Plan
from lab.planning.resolve import resolve

NETWORKS = {"access": "172.20.4.0/24", "management": "172.20.5.0/24", "provider": "172.20.6.0/24"}
GUIDES = re.compile(r"(?<![\d.])(?:10\.0\.0|203\.0\.113|192\.168\.121)\.\d+")


def decided(name: str, chapters: tuple[str, ...] = (), **changes: Any) -> Plan:
    release = load_release(name)
    spec = Spec.model_validate({"name": "demo", "release": name, "chapters": chapters, **changes})
    return resolve(spec, release, load_steps(release, resources.PROVISION), HostFacts())


@pytest.mark.parametrize("name", release_names())
def test_no_address_of_the_default_networks_is_left(name: str) -> None:
    for chapters in ((), *((chapter,) for chapter in load_release(name).chapters)):
        plan = decided(name, chapters, networks=NETWORKS)
        secrets = dict.fromkeys(plan.secrets, "x" * 12)
        found = [
            f"{path}: {line.strip()}"
            for path, file in render(plan, secrets).items()
            for line in file.text.splitlines()
            if GUIDES.search(line)
        ]
        assert found == [], chapters
        done = [f"{node.name}/{step}" for node in plan.nodes for step in node.steps]
        assert not GUIDES.search(str(provided(plan, done)))


def test_the_guides_networks_are_shown_as_the_guide_has_them() -> None:
    commands = {check.id: check.command for check in decided("zed").checks}
    assert commands["controller-20-database-command-not-on-loopback"] == "bind-address = 10.0.0.11"
    subnet = commands["controller-80-first-network-openstack-subnet"]
    assert "start=203.0.113.101,end=203.0.113.250 --gateway 203.0.113.1 --subnet-range 203.0.113.0/24" in subnet


def test_only_what_is_done_is_named_at_the_end() -> None:
    plan = decided("zed", ("dashboard",))
    steps = [f"{node.name}/{step}" for node in plan.nodes for step in node.steps]
    assert provided(plan, [step for step in steps if step[-11:] in ("environment", "20-database")]) == []
    until_identity = [step for step in steps if step.startswith("controller/") and step < "controller/31"]
    assert provided(plan, until_identity) == [("identity API", "http://10.0.0.11:5000/v3/")]
    everything = provided(plan, steps)
    assert [what for what, _ in everything] == [
        "identity API",
        "image API",
        "placement API",
        "compute API",
        "network API",
        "dashboard",
        "console",
    ]
    assert ("dashboard", "http://10.0.0.11/horizon/auth/login/") in everything
