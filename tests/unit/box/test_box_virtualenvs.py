"""Virtualenvs and the packages that are made of them, with a small recipe and without a chroot."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lab.base import resources
from lab.base.errors import MachineError
from lab.box.lock import pin_of
from lab.box.own_digest import own_digest
from lab.box.own_packages import make_packages, unit_text, version_of
from lab.box.tools import Tools
from lab.box.virtualenvs import Workshop
from lab.inputs.virtualenvs import Pin, Recipe, Unit, User, load_recipe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TABLE = """\
suite: bullseye
epoch: 9
python: python2.7
build: [gcc]
virtualenvs:
  nova:
    package: nova-common
    source: nova
    title: OpenStack Compute, common files
    depends: [sudo]
    user: {name: nova, uid: 64060}
    commands: [nova-manage]
    rootwrap: nova-rootwrap
    copies: {/etc/nova: [etc/nova/api-paste.ini]}
    directories: {/var/lib/nova/instances: "0755"}
packages:
  nova-api:
    of: nova
    title: OpenStack Compute, API
    units: {nova-api: {}}
"""
WHEEL, SOURCE = b"six", b"nova"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    directory = tmp_path / "boxes/ocata"
    (directory / "requirements").mkdir(parents=True)
    (directory / "files/nova-common/etc/nova").mkdir(parents=True)
    (directory / "packages.yaml").write_text(TABLE)
    (directory / "files/nova-common/etc/nova/nova.conf").write_text("[DEFAULT]\n")
    (directory / "requirements/bootstrap.txt").write_text(f"virtualenv==16.7.10 --hash=sha256:{sha256(b'v')}\n")
    (directory / "requirements/nova.txt").write_text(
        f"six==1.10.0 --hash=sha256:{sha256(WHEEL)}\nnova==15.1.5 --hash=sha256:{sha256(SOURCE)}\n"
    )
    return load_recipe("ocata", tmp_path / "boxes")


class Programs(Tools):
    """Notes what would run; the script's stages do in its place what they are told to."""

    def __init__(self, stages: Mapping[str, Any]) -> None:
        super().__init__()
        self.stages = stages
        self.ran: list[str] = []
        self.lines: dict[str, str] = {}

    def run(self, argv: Sequence[Any], *, log: Path, timeout_s: float, env: Mapping[str, str] | None = None) -> None:  # noqa: ARG002
        _, work, name, stage = argv[-4:]
        self.ran.append(str(stage))
        self.lines |= {f"{stage} {file.name}": file.read_text() for file in Path(work, name).glob("*.*")}
        self.stages[str(stage)](Path(work, name), Path((env or {})["BOX_DOWNLOADS"]), log)


def download(_own: Path, downloads: Path, _log: Path) -> None:
    (downloads / "six-1.10.0-py2.py3-none-any.whl").write_bytes(WHEEL)
    (downloads / "nova-15.1.5.tar.gz").write_bytes(SOURCE)


def build(own: Path, _downloads: Path, _log: Path) -> None:
    (own / "root/opt/nova/bin").mkdir(parents=True)
    (own / "root/opt/nova/bin/nova-manage").write_text("#!/opt/nova/bin/python\n")
    (own / "sources/nova-15.1.5/etc/nova").mkdir(parents=True)
    (own / "sources/nova-15.1.5/etc/nova/api-paste.ini").write_text("[app]\n")
    with tarfile.open(own / "made.tar", "w") as archive:
        for part in ("root", "sources"):
            archive.add(own / part, part)


def pip_that_says(text: str) -> Any:
    def fail(_own: Path, _downloads: Path, log: Path) -> None:
        log.write_text(text)
        raise MachineError("setpriv failed with exit code 1", detail=f"…\nfull log: {log}")

    return fail


class Prepared(Workshop):
    """Has a tree, and what the bootstrap downloads."""

    def fetch_bootstrap(self) -> None:
        for sub in ("downloads", "cache", "made"):
            (self.downloads.parent / sub).mkdir(parents=True, exist_ok=True)

    def bootstrap(self, pool: Any, definition: Any, scratch: Path) -> Path:  # noqa: ARG002
        return scratch / "tree"


def workshop(recipe: Recipe, tmp_path: Path, **stages: Any) -> tuple[Workshop, Programs]:
    programs = Programs({"download": download, "build": build, **stages})
    pip = lambda: ({"index-url": "http://pip.test/simple"}, "")  # noqa: E731
    return Prepared(recipe, tmp_path / "cache", tmp_path / "virtualenvs.log", programs, pip=pip), programs


def make_all(shop: Workshop) -> dict[str, Path]:
    nothing: Any = None
    return shop.make_all(nothing, nothing, contextlib.nullcontext())


def test_what_is_made_once_is_not_made_again(recipe: Recipe, tmp_path: Path) -> None:
    shop, programs = workshop(recipe, tmp_path)
    made = make_all(shop)
    assert programs.ran == ["download", "build"]
    assert programs.lines["build sources.txt"] == "nova-15.1.5.tar.gz\n"
    assert programs.lines["build wheels.txt"].startswith("six==1.10.0 --hash=sha256:")
    assert "nova" not in programs.lines["build wheels.txt"]
    assert programs.lines["download pip.conf"] == "[global]\nindex-url = http://pip.test/simple\n"
    assert make_all(shop) == made
    assert programs.ran == ["download", "build"]


def test_another_pin_makes_it_again_and_downloads_only_what_is_new(recipe: Recipe, tmp_path: Path) -> None:
    shop, programs = workshop(recipe, tmp_path)
    (old,) = make_all(shop).values()
    pins = recipe.directory / "requirements/nova.txt"
    pins.write_text(pins.read_text().splitlines()[1] + "\n")
    (new,) = make_all(shop).values()
    assert programs.ran == ["download", "build", "build"]
    assert new != old
    assert not old.exists()


@pytest.mark.parametrize(
    ("stage", "said", "told"),
    [
        (
            "download",
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
            "a file that came does not have the checksum in ocata/requirements/nova.txt",
        ),
        (
            "download",
            "ERROR: No matching distribution found for six==1.10.0 (from -r /mnt/nova/missing.txt (line 1))",
            "six==1.10.0 is neither in the downloads nor where pip looks",
        ),
        (
            "build",
            "unable to execute 'x86_64-linux-gnu-gcc': No such file or directory",
            "there is no compiler (x86_64-linux-gnu-gcc) where it is made",
        ),
        ("build", "Segmentation fault", "setpriv failed with exit code 1"),
    ],
)
def test_a_failure_is_one_message_with_the_log(
    recipe: Recipe, tmp_path: Path, stage: str, said: str, told: str
) -> None:
    shop, _ = workshop(recipe, tmp_path, **{stage: pip_that_says(said)})
    with pytest.raises(MachineError) as caught:
        make_all(shop)
    assert caught.value.message == f"the virtualenv of nova could not be made: {told}"
    assert f"full log: {tmp_path / 'virtualenvs.log'}" in caught.value.detail
    assert list((tmp_path / "cache/made").iterdir()) == []


def test_a_download_that_did_not_bring_the_source_is_told(recipe: Recipe, tmp_path: Path) -> None:
    shop, _ = workshop(recipe, tmp_path, download=lambda *_: None)
    with pytest.raises(MachineError, match=r"nova==15\.1\.5 is not among the downloads") as caught:
        make_all(shop)
    assert "full log:" in caught.value.detail


@pytest.fixture
def packages(recipe: Recipe, tmp_path: Path) -> Path:
    shop, _ = workshop(recipe, tmp_path)
    (tmp_path / "scratch").mkdir()
    make_packages(recipe, make_all(shop), tmp_path / "packages", tmp_path / "scratch")
    return tmp_path / "packages"


def listed(packages: Path, name: str) -> dict[str, tuple[str, str]]:
    """Each path of a package with its mode and owner."""
    (file,) = packages.glob(f"{name}_*.deb")
    out = subprocess.run(["dpkg-deb", "--contents", file], capture_output=True, text=True, check=True).stdout
    return {words[5][1:]: (words[0], words[1]) for words in map(str.split, out.splitlines())}


def script(packages: Path, name: str, tmp_path: Path) -> str:
    (file,) = packages.glob(f"{name}_*.deb")
    subprocess.run(["dpkg-deb", "--control", file, tmp_path / f"control-{name}"], check=True)
    subprocess.run(["sh", "-n", tmp_path / f"control-{name}/postinst"], check=True)
    return (tmp_path / f"control-{name}/postinst").read_text()


def test_the_packages_hold_what_a_distributions_would(packages: Path, tmp_path: Path) -> None:
    common = listed(packages, "nova-common")
    assert common["/opt/nova/bin/nova-manage"][1] == "root/root"
    assert common["/usr/bin/nova-manage"][0].startswith("l")
    assert common["/etc/nova/api-paste.ini"] == ("-rw-r--r--", "root/root")
    assert common["/etc/sudoers.d/nova-common"] == ("-r--r-----", "root/root")
    assert {"/usr/bin/nova-rootwrap", "/usr/bin/nova-rootwrap-daemon", "/etc/nova/nova.conf"} <= set(common)
    assert "/lib/systemd/system/nova-api.service" in listed(packages, "nova-api")
    said = script(packages, "nova-common", tmp_path)
    assert "useradd --system --uid 64060" in said
    assert "install -d -m 0750 -o nova -g adm /var/log/nova\n" in said
    assert "install -d -m 0755 -o nova -g nova /var/lib/nova/instances\n" in said
    assert "systemctl" not in said
    conffiles = (tmp_path / "control-nova-common/conffiles").read_text().splitlines()
    assert "/etc/nova/nova.conf" in conffiles
    assert "useradd" not in script(packages, "nova-api", tmp_path)


def test_the_index_names_each_package_with_its_checksum(packages: Path, recipe: Recipe) -> None:
    stanzas = (packages / "Packages").read_text().split("\n\n")
    fields = [dict(line.split(": ", 1) for line in stanza.splitlines()) for stanza in stanzas]
    version = version_of(recipe, "nova")
    assert [(each["Package"], each["Version"]) for each in fields] == [("nova-common", version), ("nova-api", version)]
    assert version.startswith("9:15.1.5-")
    assert fields[1]["Depends"] == f"nova-common (= {version})"
    for each in fields:
        assert sha256((packages / each["Filename"]).read_bytes()) == each["SHA256"]


def test_another_file_is_another_version(recipe: Recipe) -> None:
    before = (own_digest(recipe), version_of(recipe, "nova"))
    (recipe.directory / "files/nova-common/etc/nova/nova.conf").write_text("[DEFAULT]\ndebug = true\n")
    assert own_digest(recipe) != before[0]
    assert version_of(recipe, "nova") != before[1]


def test_a_unit_runs_as_its_user_with_its_files() -> None:
    unit = Unit(configs=("/etc/a.conf", "/etc/b.ini"), arguments="--web /usr/share/novnc")
    lines = unit_text("nova-novncproxy", unit, "NoVNC proxy", "nova", User(name="nova")).splitlines()
    assert "User=nova" in lines
    assert (
        "ExecStart=/opt/nova/bin/nova-novncproxy --config-file=/etc/a.conf --config-file=/etc/b.ini "
        "--web /usr/share/novnc --log-file=/var/log/nova/nova-novncproxy.log" in lines
    )


def test_a_wsgi_unit_serves_its_ports() -> None:
    unit = Unit(wsgi="keystone-wsgi-public", ports=(5000, 35357))
    text = unit_text("keystone", unit, "Identity", "keystone", User(name="keystone"))
    assert " --http-socket 0.0.0.0:5000 --http-socket 0.0.0.0:35357 " in text
    assert "--wsgi-file /opt/keystone/bin/keystone-wsgi-public\n" in text
    assert "StandardError=append:/var/log/keystone/keystone.log\n" in text


@pytest.mark.parametrize(
    ("name", "version", "file"),
    [
        ("six", "1.10.0", "six-1.10.0-py2.py3-none-any.whl"),
        ("functools32", "3.2.3.post2", "functools32-3.2.3-2.tar.gz"),
        ("oslo.config", "3.22.2", "oslo_config-3.22.2.tar.gz"),
        ("prettytable", "0.7.2", "prettytable-0.7.2.tar.bz2"),
    ],
)
def test_a_pin_gets_the_checksum_of_its_download(tmp_path: Path, name: str, version: str, file: str) -> None:
    others = ["six-1.10.1-py2.py3-none-any.whl", "oslo.config-generator-3.22.2.tar.gz"]
    for each in (file, *others):
        (tmp_path / each).write_text(each)
    pin = Pin(name, version, frozenset())
    assert pin_of(pin, tmp_path.iterdir()).hashes == {sha256(file.encode())}
    with pytest.raises(MachineError, match="pip downloaded nothing"):
        pin_of(pin, [tmp_path / each for each in others])


class Script:
    """boxes/virtualenvs.sh with a chroot and a mount that only note their words."""

    def __init__(self, directory: Path) -> None:
        self.tree, self.work, self.log = directory / "tree", directory / "work", directory / "said"
        self.downloads, self.programs = directory / "downloads", directory / "bin"
        for sub in ("etc/ssl", "mnt", "dev", "proc", "opt/nova/bin"):
            (self.tree / sub).mkdir(parents=True)
        for each in (self.work / "nova", self.work / "patches", self.downloads, self.programs):
            each.mkdir(parents=True)
        for name in ("chroot", "mount"):
            program = self.programs / name
            program.write_text(f'#!/bin/sh\nprintf "%s\\n" "{name} $*" >>"$SAID"\n')
            program.chmod(0o755)

    def run(self, stage: str) -> list[str]:
        """Run a stage; what it started, without the words that each has."""
        env = {
            "PATH": f"{self.programs}:/usr/bin:/bin",
            "SAID": str(self.log),
            "PIP_INDEX_URL": "http://host.test/",
            "https_proxy": "http://proxy.test:3128",
            "BOX_PYTHON": "python2.7",
            "BOX_CERTIFICATES": "",
            "BOX_DOWNLOADS": str(self.downloads),
            "BOX_PIP_CACHE": str(self.downloads),
        }
        script = resources.BOXES / "virtualenvs.sh"
        subprocess.run([script, self.tree, self.work, "nova", stage], env=env, check=True, capture_output=True)
        return [line for line in self.log.read_text().splitlines() if line.startswith("chroot")]


def test_the_build_uses_no_network_and_patches_its_sources_only(tmp_path: Path) -> None:
    script = Script(tmp_path)
    source = tmp_path / "nova-15.1.5"
    for file in ("etc/nova/api-paste.ini", "nova/__init__.py"):
        (source / file).parent.mkdir(parents=True)
        (source / file).write_text("")
    with tarfile.open(script.downloads / "nova-15.1.5.tar.gz", "w:gz") as archive:
        archive.add(source, source.name)
    (script.work / "nova/sources.txt").write_text("nova-15.1.5.tar.gz\n")
    for name in ("nova-brctl", "neutron-rootwrap"):
        (script.work / f"patches/{name}.patch").write_text("")
    said = script.run("build")
    pip = [line.partition("/opt/nova/bin/pip ")[2] for line in said if "/bin/pip " in line]
    assert [words.split()[0] for words in pip] == ["install", "install", "install", "check"]
    assert all("--no-index" in words for words in pip[:3])
    assert [line.split()[-1] for line in said if " patch " in line] == ["--input=/mnt/patches/nova-brctl.patch"]
    with tarfile.open(script.work / "nova/made.tar") as archive:
        names = archive.getnames()
    assert {"root/opt/nova/bin", "sources/nova-15.1.5/etc/nova/api-paste.ini"} <= set(names)
    assert "sources/nova-15.1.5/nova/__init__.py" not in names


def test_the_download_sees_the_hosts_proxy_and_only_the_configuration_it_is_given(tmp_path: Path) -> None:
    said = Script(tmp_path).run("download")
    assert [line.split("/mnt/")[-1] for line in said] == ["nova/pbr.txt", "nova/pbr.txt", "nova/missing.txt"]
    for line in said:
        assert "https_proxy=http://proxy.test:3128" in line
        assert "PIP_CONFIG_FILE=/mnt/nova/pip.conf" in line
        assert "host.test" not in line
