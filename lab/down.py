"""`lab down`: the lab goes, and nothing of it stays on the host."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from lab import project, ui
from lab.errors import UsageError
from lab.generator.files import remove_tree
from lab.runtime.checkpoints import Checkpoints
from lab.runtime.host import choose_host
from lab.runtime.lock import lab_lock
from lab.runtime.ssh import Ssh
from lab.runtime.vagrant import Vagrant
from lab.spec.load import load_spec

if TYPE_CHECKING:
    from pathlib import Path

MADE = (".vagrant", "checkpoints", "logs", "mux", "known_hosts", "ssh_config", "state.json")
"""what `lab up` and Vagrant made beside the rendered files"""


def down(spec_file: Path, build_dir: Path | None, *, keep_checkpoints: bool = False) -> None:
    """Remove domains, volumes, networks, and for a private host its processes, namespace and files.

    The spec and the seed stay: the same spec makes the same lab, with the same passwords, again. Fine to run twice.
    With `keep_checkpoints` the volumes and the build directory stay too, so that `lab checkpoint restore` brings the
    lab back; what its machines did since the last checkpoint is lost.

    Raises:
        UsageError: there is no checkpoint to keep.
    """
    name = load_spec(spec_file).name
    directory = project.build_dir_of(spec_file, build_dir, name)
    plan = project.load_plan(directory)
    host = choose_host(name, directory)
    if plan is None and not host.exists():
        ui.console.print(f"no lab in {directory}: nothing to remove")
        return
    kept = [checkpoint.name for checkpoint in Checkpoints(directory).complete()] if keep_checkpoints else []
    if keep_checkpoints and not kept:
        raise UsageError("there is no checkpoint to keep", hint="`lab checkpoint save NAME`, or `lab down` alone")
    if keep_checkpoints and Checkpoints(directory).unfinished():
        raise UsageError("a save or a restore was cut short", hint="`lab up` makes the lab whole first")
    with lab_lock(directory, "lab down"):
        Ssh(directory).close()
        if plan is not None and host.is_running():
            with host.hypervisor() as hypervisor:
                domains, networks = [node.domain for node in plan.nodes], [network.name for network in plan.networks]
                hypervisor.remove(domains, networks, keep_volumes=keep_checkpoints)
        host.stop(keep_volumes=keep_checkpoints)
        if keep_checkpoints:
            ui.console.print(
                f"lab {name} is put away; `lab checkpoint restore NAME` brings it back: {', '.join(kept)}",
                soft_wrap=True,
            )
            return
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
