"""The schemas of the services' databases, which an installed box brings: boxes/schemas.sh and what it is given."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sample_build import sample_build

from lab.base import resources
from lab.base.errors import MachineError
from lab.box import make
from lab.box.definition import BoxSpec, load_definition
from lab.box.manifest import inputs_of, needs_rebuild
from lab.box.schemas import schema_lines
from lab.box.tools import CONTAINED, Tools
from lab.inputs.catalog import load_steps
from lab.inputs.model import Spec
from lab.inputs.release import load_release
from lab.machines.boxes import wanted_boxes
from lab.planning.plan import HostFacts
from lab.planning.resolve import resolve

if TYPE_CHECKING:
    from lab.box.make import BoxEvent

SCHEMAS = resources.BOXES / "schemas.sh"
RELEASES = ("epoxy", "victoria", "zed")


def specs(release_name: str, flavour: str = "installed") -> list[BoxSpec]:
    """The controller's box and the compute nodes' of a lab with all of the core."""
    release = load_release(release_name)
    spec = Spec.model_validate({"name": "one", "release": release_name, "box": {"flavour": flavour}})
    return wanted_boxes(resolve(spec, release, load_steps(release, resources.PROVISION), HostFacts()))


@pytest.mark.parametrize("name", RELEASES)
def test_each_database_of_a_release_is_in_the_lines(name: str) -> None:
    controller, _ = specs(name)
    release = load_release(name)
    steps = load_steps(release, resources.PROVISION)
    stated = {database.name for step in release.steps for database in steps[step].facts.databases}
    made = re.findall(r'^sync_schema (?:"([^"]+)"|(\S+))', schema_lines(controller), re.MULTILINE)
    assert {name for quoted, plain in made for name in (quoted or plain).split()} == stated


def test_the_lines_are_the_scripts_own() -> None:
    lines = schema_lines(specs("epoxy")[0])
    assert lines.startswith("put_file /etc/mysql/mariadb.conf.d/99-openstack.cnf <<EOF\n[mysqld]\n")
    assert "\ncharacter-set-server = utf8\n" in lines
    scripts = "".join(file.read_text() for file in sorted(resources.PROVISION.glob("[0-9]*.sh")))
    assert lines.count("<<EOF\n") == lines.count("\nEOF\n") == 1
    for line in lines.splitlines():
        assert f"\n{line}\n" in scripts
    assert lines.endswith('--config-file /etc/neutron/plugins/ml2/ml2_conf.ini upgrade head" neutron\n')


def test_a_box_without_databases_or_without_their_programs_has_no_lines() -> None:
    assert schema_lines(specs("zed")[1]) == ""
    assert [schema_lines(spec) for spec in specs("zed", "preloaded")] == ["", ""]


def test_other_commands_make_another_box_and_other_comments_do_not(tmp_path: Path) -> None:
    script = tmp_path / "40-image.sh"
    script.write_text("# one\nsync_schema glance glance-common migrate\n")
    spec = specs("zed")[0].model_copy(update={"scripts": (script,)})
    definition = load_definition(spec.suite)
    before = inputs_of(definition, spec, {}, None, key="")
    script.write_text("# another comment\nsync_schema glance glance-common migrate\n")
    assert needs_rebuild(before, inputs_of(definition, spec, {}, None, key="")) is None
    script.write_text("sync_schema glance glance-common migrate --all\n")
    reason = needs_rebuild(before, inputs_of(definition, spec, {}, None, key=""))
    assert reason == "the steps' commands for the databases' schemas changed"


class Programs(Tools):
    """Notes what is run, and fails where told to."""

    def __init__(self, error: MachineError | None = None) -> None:
        super().__init__()
        self._error = error
        self.ran: list[tuple[list[str], dict[str, str]]] = []

    def run(self, argv, *, log, timeout_s, env=None):  # type: ignore[no-untyped-def]
        self.ran.append(([os.fspath(word) for word in argv], dict(env or {})))
        if self._error is not None:
            (Path(argv[-1]) / "half.sql.gz").parent.mkdir(parents=True)
            raise self._error


def test_the_schemas_are_made_in_namespaces_that_end(tmp_path: Path) -> None:
    tools = Programs()
    made = sample_build(tmp_path, tools, [])
    make._make_schemas(made, "sync_schema a b c\n", tmp_path / "tree", tmp_path)
    ((words, env),) = tools.ran
    assert words == [*CONTAINED, str(SCHEMAS), str(tmp_path / "tree"), str(tmp_path / "share/schemas")]
    assert Path(env["BOX_SCHEMAS"]).read_text() == "sync_schema a b c\n"
    assert "schemas" in made.seconds


def test_a_box_whose_schemas_cannot_be_made_has_none_and_that_is_told(tmp_path: Path) -> None:
    events: list[BoxEvent] = []
    made = sample_build(tmp_path, Programs(MachineError("setpriv failed with exit code 1")), events)
    make._make_schemas(made, "sync_schema a b c\n", tmp_path / "tree", tmp_path)
    assert not (tmp_path / "share/schemas").exists()
    assert "schemas" not in made.seconds
    assert events[-1].text.startswith("has no schemas of the databases, each lab makes them: setpriv failed")


def test_a_build_that_is_stopped_says_nothing_of_it(tmp_path: Path) -> None:
    events: list[BoxEvent] = []
    tools = Programs(MachineError("setpriv failed with exit code -15"))
    tools.stop()
    with pytest.raises(MachineError):
        make._make_schemas(sample_build(tmp_path, tools, events), "sync_schema a b c\n", tmp_path / "tree", tmp_path)
    assert [event.text for event in events] == ["making the databases' schemas"]


LINES = """\
put_file /etc/mysql/lab.cnf <<EOF
bind-address = $MANAGEMENT_INTERFACE_IP_ADDRESS
EOF
sync_schema nova_api nova-common loaded nova nova-manage api_db sync
sync_schema "nova nova_cell0" nova-common nice su -s /bin/sh -c "nova-manage \\
  db sync" nova
"""


class Chroot:
    """A tree, and programs in the place of those of the host and of the tree; `mount` and `chroot` change nothing."""

    def __init__(self, directory: Path) -> None:
        self.said, self.out, self.tree = directory / "said", directory / "out", directory / "tree"
        self._directory = directory
        (directory / "bin").mkdir()
        for name in ("dev", "etc/mysql", "mnt", "proc", "run", "tmp", "usr", "var/lib/mysql"):
            (self.tree / name).mkdir(parents=True)
        (self.tree / "var/lib/mysql/ibdata1").write_text("as installed")
        self.program("mount", f'echo "mount $*" >>{self.said}')
        self.program("chroot", 'shift; exec "$@"')
        self.program("install", "")
        self.program("mariadbd", f'echo "mariadbd $*" >>{self.said}; echo $$ >{directory}/pid; exec sleep 300')
        # It answers when the server is there, as the real one does.
        answer = f'if [ "$2" = "SELECT 1" ]; then test -s {directory}/pid; else echo "mariadb $*" >>{self.said}; fi'
        self.program("mariadb", answer)
        self.program("mariadb-dump", 'for last; do :; done; echo "the tables of $last"')
        self.program("su", f'echo "su $*: $OS_DATABASE__CONNECTION $OS_API_DATABASE__CONNECTION" >>{self.said}')

    def program(self, name: str, script: str) -> None:
        file = self._directory / "bin" / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def run(self, lines: str = LINES, *before: str) -> subprocess.CompletedProcess[str]:
        commands = self._directory / "lines"
        commands.write_text(lines)
        path = f"{self._directory}/bin:{os.environ['PATH']}"
        return subprocess.run(
            [*before, str(SCHEMAS), str(self.tree), str(self.out)],
            env={"PATH": path, "BOX_SCHEMAS": str(commands)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def server_runs(self) -> bool:
        return Path("/proc", (self._directory / "pid").read_text().strip()).exists()

    def dumps(self) -> dict[str, str]:
        return {file.name: gzip.decompress(file.read_bytes()).decode() for file in self.out.iterdir()}


@pytest.fixture
def chroot(tmp_path: Path) -> Chroot:
    return Chroot(tmp_path)


def test_the_steps_commands_run_against_the_trees_own_server(chroot: Chroot) -> None:
    done = chroot.run()
    assert done.returncode == 0, done.stderr
    url = "mysql+pymysql://root@localhost/{}?unix_socket=/run/mysqld/mysqld.sock"
    assert [line for line in chroot.said.read_text().splitlines() if not line.startswith("mount ")] == [
        "mariadbd --user=mysql --socket=/run/mysqld/mysqld.sock --skip-networking --skip-grant-tables",
        "mariadb --execute CREATE DATABASE nova_api",
        f"su -s /bin/sh -c nova-manage api_db sync nova: {url.format('nova_api')} {url.format('nova_api')}",
        "mariadb --execute CREATE DATABASE nova",
        f"su -s /bin/sh -c nova-manage   db sync nova: {url.format('nova')} {url.format('nova_api')}",
    ]
    assert (chroot.tree / "etc/mysql/lab.cnf").read_text() == "bind-address = 127.0.0.1\n"


def test_there_is_a_file_for_each_command_and_no_server_is_left(chroot: Chroot) -> None:
    chroot.run()
    assert chroot.dumps() == {
        "nova_api.sql.gz": "the tables of nova_api\n",
        "nova.sql.gz": "the tables of nova\n",
    }
    assert not chroot.server_runs()


@pytest.mark.parametrize("program", ["su", "mariadb-dump"])
def test_what_fails_ends_all_of_it_with_the_server(chroot: Chroot, program: str) -> None:
    chroot.program(program, "exit 3")
    assert chroot.run().returncode == 3
    assert not chroot.server_runs()


def test_a_server_that_ends_is_not_waited_for(chroot: Chroot) -> None:
    chroot.program("mariadbd", "exit 1")
    chroot.program("mariadb", "exit 1")
    done = chroot.run()
    assert done.returncode == 1
    assert "does not answer" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_the_tree_stays_as_it_was(chroot: Chroot, tmp_path: Path) -> None:
    (tmp_path / "bin/mount").unlink()
    tree = chroot.tree
    chroot.program(
        "su",
        f"echo changed >{tree}/var/lib/mysql/ibdata1 && touch {tree}/etc/new {tree}/run/new {tree}/tmp/new &&"
        f" ! touch {tree}/usr/new && cat {tree}/var/lib/mysql/ibdata1 {tree}/etc/mysql/lab.cnf >{chroot.said}",
    )
    before = sorted(tree.rglob("*"))
    done = chroot.run(LINES, *CONTAINED)
    assert done.returncode == 0, done.stderr
    assert chroot.said.read_text() == "changed\nbind-address = 127.0.0.1\n"
    assert sorted(tree.rglob("*")) == before
    assert (tree / "var/lib/mysql/ibdata1").read_text() == "as installed"
