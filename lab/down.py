"""`lab down`: the lab goes, and nothing of it stays on the host."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from lab import project, ui
from lab.errors import DamagedFileError
from lab.generator.files import remove_tree
from lab.runtime.host import choose_host
from lab.runtime.host_facts import host_facts
from lab.runtime.lock import lab_lock
from lab.runtime.ssh import Ssh
from lab.runtime.vagrant import Vagrant
from lab.spec.load import load_spec

if TYPE_CHECKING:
    from pathlib import Path

MADE = (
    *(".vagrant", "logs", "mux", "known_hosts", "ssh_config"),
    *("state.json", "state.json.damaged", "plan.json.damaged"),
)
"""what `lab up` and Vagrant made beside the rendered files"""


def down(spec_file: Path, build_dir: Path | None) -> None:
    """Remove domains, volumes, networks, and for a private host its processes, namespace and files.

    The spec and the seed stay: the same spec makes the same lab, with the same passwords, again. Fine to run twice.
    """
    spec = load_spec(spec_file)
    name = spec.name
    directory = project.build_dir_of(spec_file, build_dir, name)
    try:
        plan = project.load_plan(directory)
    except DamagedFileError:  # the spec names its machines and networks too
        plan = project.decide(spec, host_facts(spec.accelerator, prove=False).facts)
    host = choose_host(name, directory)
    if plan is None and not host.exists():
        ui.console.print(f"no lab in {directory}: nothing to remove")
        return
    with lab_lock(directory, "lab down"):
        Ssh(directory).close()
        if plan is not None and host.is_running():
            with host.hypervisor() as hypervisor:
                hypervisor.remove([node.domain for node in plan.nodes], [network.name for network in plan.networks])
        host.stop()
        Vagrant(directory).forget()
        remove_tree(directory)
        for entry in MADE:
            path = directory / entry
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    ui.console.print(
        f"lab {name} is gone; {directory / 'seed'} stays, so that `lab up` makes it with the same passwords"
    )
