"""A plan and its secrets become the files of a build directory: a plain Vagrant project with the node's payloads.

    Vagrantfile  plan.json  hosts  README.txt  .gitignore
    nodes/NODE/          what the node gets as /opt/lab:
        run-step  lib/*  blocks/*  steps/NN-slug.sh    the project's own bytes, never templates
        steps/NN-slug.env  env  hosts                  the values
    pytest.ini  tests/    the suite, so that `pytest` here checks this lab, with the checks/ beside its spec
    clouds.yaml          for OpenStack clients on this machine

Secrets are in nodes/NODE/env and clouds.yaml alone; each node has those alone that its own steps use.
"""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import jinja2

from lab.base import resources
from lab.generator.clouds import ADMIN_PASSWORD, CLOUDS, clouds_yaml
from lab.inputs.blocks import shared_blocks
from lab.inputs.values import BOX_DISK_GIB
from lab.planning.plan import management_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lab.planning.plan import Node, Plan, Step

_BOOT_TIMEOUT_S = 300
_CONNECT_TIMEOUT_S = 15
_PRIVATE = 0o600
_EXECUTABLE = 0o700
_PROGRAMS = ("openstack-batch", "load-once")
"""of provision/lib; what else is there, they or the scripts load"""


@dataclass(frozen=True)
class RenderedFile:
    """A file of the build directory."""

    text: str
    mode: int = _PRIVATE
    secrets: frozenset[str] = field(default_factory=frozenset)
    """names of the NAME=value or `name: value` lines whose value must not be shown"""


def render(plan: Plan, secrets: Mapping[str, str]) -> dict[str, RenderedFile]:
    """Write all files of a build directory, by path relative to it.

    The same plan, secrets and project files give the same bytes; nothing of the host enters.
    """
    hosts = hosts_file(plan)
    files = {
        "Vagrantfile": RenderedFile(vagrantfile(plan)),
        "plan.json": RenderedFile(plan.model_dump_json(indent=2) + "\n"),
        "hosts": RenderedFile(hosts),
        "README.txt": RenderedFile(_readme(plan)),
        ".gitignore": RenderedFile("# Holds passwords and keys: never commit a build directory.\n*\n"),
        "pytest.ini": RenderedFile(_PYTEST_INI),
        CLOUDS: RenderedFile(clouds_yaml(plan, secrets[ADMIN_PASSWORD]), secrets=frozenset({"password"})),
    }
    files |= {f"tests/{name}": RenderedFile(text) for name, text in _tree(resources.INFRA_SUITE, ("*.py",))}
    for node in plan.nodes:
        files |= {f"nodes/{node.name}/{path}": file for path, file in payload(plan, node, secrets, hosts).items()}
    return dict(sorted(files.items()))


def vagrantfile(plan: Plan) -> str:
    """Fill the template. An unknown variable in it is an error, not an empty string."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.VAGRANTFILE_TEMPLATE.parent),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["ruby"] = ruby_string
    template = environment.get_template(resources.VAGRANTFILE_TEMPLATE.name)
    return template.render(
        plan=plan,
        computes=[node for node in plan.nodes if node.role == "compute"],
        networks={network.kind: network for network in plan.networks},
        prefix=_domain_prefix(plan.nodes),
        late=late_steps(plan),
        box_disk_gib=BOX_DISK_GIB,
        boot_timeout_s=math.ceil(_BOOT_TIMEOUT_S * max(1.0, plan.wait_factor)),
        connect_timeout_s=math.ceil(_CONNECT_TIMEOUT_S * max(1.0, plan.wait_factor)),
    )


def late_steps(plan: Plan) -> tuple[str, ...]:
    """Name the controller's steps that need or await, directly or not, a step that runs on computes alone, in order."""
    controller = plan.nodes[0].name
    late: set[str] = set()
    for step in plan.steps:  # teaching order: what a step needs comes before it
        needed = [plan.step(name) for name in (*step.needs, *step.awaits)]
        if any(need.id in late or controller not in need.nodes for need in needed):
            late.add(step.id)
    return tuple(step for step in plan.nodes[0].steps if step in late)


def step_environment(step: Step) -> dict[str, str]:
    """Give the variables of one step alone: lists, as bash splits them."""
    return {
        "LAB_PACKAGES": " ".join(step.packages),
        "LAB_UNITS": " ".join(step.units),
        "LAB_UNITS_OFF": " ".join(step.units_off),
    }


def payload(plan: Plan, node: Node, secrets: Mapping[str, str], hosts: str) -> dict[str, RenderedFile]:
    """Collect what the node gets as /opt/lab."""
    files = {
        "env": RenderedFile(
            env_file({**node.env, **{name: secrets[name] for name in node.secrets}}), secrets=frozenset(plan.secrets)
        ),
        "hosts": RenderedFile(hosts),
        "run-step": RenderedFile(resources.text(resources.PROVISION / "run-step"), _EXECUTABLE),
    }
    if node.role == "controller":
        files["remove-compute"] = RenderedFile(resources.text(resources.PROVISION / "remove-compute"), _EXECUTABLE)
    for name, text in _tree(resources.PROVISION / "lib", ("*.sh", "*.py", *_PROGRAMS)):
        files[f"lib/{name}"] = RenderedFile(text, _EXECUTABLE if name in _PROGRAMS else _PRIVATE)
    edition = resources.PROVISION / plan.edition
    for step in node.steps:
        script = resources.text(edition / f"{step}.sh")
        files[f"steps/{step}.sh"] = RenderedFile(script, _EXECUTABLE)
        files |= {path: RenderedFile(resources.text(edition / path)) for path in shared_blocks(script)}
        files[f"steps/{step}.env"] = RenderedFile(env_file(step_environment(plan.step(step))))
    return files


def env_file(values: Mapping[str, str]) -> str:
    """Write NAME=value lines for a POSIX shell's `.`; any value is safe in them."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(values.items()))


def hosts_file(plan: Plan) -> str:
    """Write the names of the lab's nodes with their management addresses, as in /etc/hosts."""
    return "".join(f"{management_address(node)}\t{node.name}\n" for node in plan.nodes)


def ruby_string(value: object) -> str:
    """Quote a value as a Ruby string in double quotes, without interpolation."""
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("#", "\\#")
    return f'"{escaped}"'


def _domain_prefix(nodes: Iterable[Node]) -> str:
    """Give what vagrant-libvirt must put before a machine's name to arrive at the plan's domain names."""
    prefixes = {node.domain.removesuffix(node.name) for node in nodes}
    if len(prefixes) != 1:
        raise ValueError(f"domains do not end in their node's name: {', '.join(n.domain for n in nodes)}")
    return prefixes.pop()


def _tree(root: Path, patterns: Iterable[str]) -> list[tuple[str, str]]:
    """Read the files below a directory that match, by relative path."""
    paths = {path for pattern in patterns for path in root.rglob(pattern) if path.is_file()}
    return [(path.relative_to(root).as_posix(), resources.text(path)) for path in sorted(paths)]


_PYTEST_INI = """\
[pytest]
testpaths = tests ../../checks
addopts = -p no:cacheprovider -p lab.verification.plugin
"""


def _readme(plan: Plan) -> str:
    title = f"Lab {plan.name}: OpenStack {plan.release} on {' '.join(node.name for node in plan.nodes)}"
    return _README.format(title=title, underline="=" * len(title), late=" ".join(late_steps(plan)) or "none")


_README = """\
{title}
{underline}

A plain Vagrant project, written by `lab render` and `lab up`. It holds passwords: keep it private.

  vagrant up                    boot and provision every node, one after the other
  vagrant ssh controller        then: sudo -i
  vagrant halt; vagrant up      stop and start again
  vagrant provision             run every step again: a step may be run at any time and repairs what drifted
  vagrant destroy -f            remove the machines and the networks
  pytest                        check the lab

Where the machine has no libvirtd of its own, the lab has one in a private network namespace, and these commands work
only from inside it: put `lab exec --` before them. The lab's own verbs (up, ssh, verify, down) enter by themselves.

  Vagrantfile    the machines
  plan.json      everything that was decided; the tests read it
  nodes/NODE/    what the node has as /opt/lab: scripts, values, passwords (env)
  clouds.yaml    the administrator's login, for clients: lab exec -- openstack server list
  hosts          the nodes' management addresses, as lines for an /etc/hosts
  ssh_config     ssh -F ssh_config controller; `lab up` writes it, by hand: vagrant ssh-config > ssh_config
  logs/NODE/     what the steps said, and the virtual machine's console
  seed           the random number that the passwords derive from

One step again:    vagrant ssh NODE -c 'sudo /opt/lab/run-step NN-slug'
The controller's steps that wait for the computes: {late}
"""
