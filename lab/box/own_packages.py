"""Debian packages made of virtualenvs: what a distribution's own packages of the services would bring into a box.

Users and groups, directories with their owners and modes, units, sudoers, configuration files, commands on the PATH.
Nothing starts and nothing is enabled: the steps do that.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lab.base import durable
from lab.base.process import run
from lab.box.intact import facts_of
from lab.box.own_digest import own_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lab.inputs.virtualenvs import OwnPackage, Recipe, Unit, User, Virtualenv

_UNIT = """\
[Unit]
Description={title}
After={after}
# A service whose database or queue is not there yet at boot tries again, however long that takes.
StartLimitIntervalSec=0

[Service]
Type={type}
User={user}
Group={user}
ExecStart={command}
{output}Restart=on-failure
RestartSec=5
TimeoutStartSec=600
TimeoutStopSec=30
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
"""
_AFTER = "network-online.target mariadb.service rabbitmq-server.service memcached.service"
# Buffering and no kept connections: else clients of uWSGI's own HTTP get their connections reset.
_UWSGI = (
    "{bin}/uwsgi --master --need-app --die-on-term --processes 2 --lazy-apps --buffer-size 65535 "
    '--post-buffering 65535 --add-header "Connection: close" {sockets} --wsgi-file {bin}/{script}'
)
_LOGROTATE = """\
/var/log/{name}/*.log {{
    daily
    rotate 7
    missingok
    notifempty
    compress
    copytruncate
}}
"""
# The path: rootwrap starts programs of the virtualenv by their names, and looks there before it ends one.
_SUDOERS = """\
Defaults:{user} !requiretty
Defaults:{user} secure_path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/{name}/bin
{user} ALL = (root) NOPASSWD: /usr/bin/{program} /etc/{name}/rootwrap.conf *
{user} ALL = (root) NOPASSWD: /usr/bin/{program}-daemon /etc/{name}/rootwrap.conf
"""


def version_of(recipe: Recipe, name: str, package: str = "") -> str:
    """Give a package's version: its own on PyPI, or that of the virtualenv's service.

    The epoch puts it above the suite's own packages; its end is a trace of what it is made of.
    """
    virtualenv = recipe.table.virtualenvs[name]
    pins = {pin.key: pin.version for pin in recipe.pins(name, locked=False)}
    version = next(pins[key] for key in (package, virtualenv.source, virtualenv.package) if key in pins)
    return f"{recipe.table.epoch}:{version}-{own_digest(recipe)[:8]}"


def make_packages(recipe: Recipe, virtualenvs: Mapping[str, Path], target: Path, scratch: Path) -> None:
    """Make all packages of a recipe, and a flat apt repository of them.

    Args:
        virtualenvs: the archive of each (lab.box.virtualenvs).
        target: the directory that is made, when all of it is there.
        scratch: existing directory on the same file system.
    """
    new = scratch / "packages"
    new.mkdir()
    stanzas = []
    for name, virtualenv in recipe.table.virtualenvs.items():
        with tempfile.TemporaryDirectory(dir=scratch) as unpacked:
            run(["tar", "-xf", virtualenvs[name], "-C", unpacked], timeout_s=600)
            tree = Path(unpacked, "root")
            _fill_common(recipe, name, virtualenv, tree, Path(unpacked, "sources"))
            stanzas.append(_build(recipe, virtualenv.package, virtualenv, name, tree, new))
    for package, using in recipe.table.packages.items():
        with tempfile.TemporaryDirectory(dir=scratch) as empty:
            stanzas.append(_build(recipe, package, using, using.of, Path(empty), new))
    (new / "Packages").write_text("\n".join(stanzas))
    shutil.rmtree(target, ignore_errors=True)
    durable.rename_tree(new, target)


def _fill_common(recipe: Recipe, name: str, virtualenv: Virtualenv, tree: Path, sources: Path) -> None:
    """Add what only the package of the virtualenv itself has: the source's files, sudoers, log rotation."""
    for directory, patterns in virtualenv.copies.items():
        place = tree / directory.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        source = next(sources.glob(f"{virtualenv.source}-*"))
        for pattern in patterns:
            for file in sorted(source.glob(pattern)):
                shutil.copyfile(file, place / file.name)
    if virtualenv.user is None:
        return
    _write(tree, f"/etc/logrotate.d/{virtualenv.package}", _LOGROTATE.format(name=name))
    if program := virtualenv.rootwrap:
        for command in (program, f"{program}-daemon"):
            _link(tree, f"/usr/bin/{command}", f"/opt/{name}/bin/{command}")
        text = _SUDOERS.format(user=virtualenv.user.name, program=program, name=name)
        _write(tree, f"/etc/sudoers.d/{virtualenv.package}", text, mode=0o440)


def _build(recipe: Recipe, package: str, what: OwnPackage, name: str, tree: Path, target: Path) -> str:
    """Build one package into a directory; gives its stanza of the index."""
    virtualenv = recipe.table.virtualenvs[name]
    own = recipe.directory / "files" / package
    if own.is_dir():
        shutil.copytree(own, tree, dirs_exist_ok=True, copy_function=shutil.copyfile)
    for command in what.commands:
        _link(tree, f"/usr/bin/{command}", f"/opt/{name}/bin/{command}")
    for path, to in what.links.items():
        _link(tree, path, to)
    for unit, settings in what.units.items():
        _write(
            tree, f"/lib/systemd/system/{unit}.service", unit_text(unit, settings, what.title, name, virtualenv.user)
        )
    version = version_of(recipe, name, package)
    common = f"{virtualenv.package} (= {version_of(recipe, name, virtualenv.package)})"
    base = recipe.table.python if what is virtualenv else common
    control = "".join(
        f"{key}: {value}\n"
        for key, value in {
            "Package": package,
            "Version": version,
            "Architecture": "amd64",
            "Maintainer": "compute-lab <root@localhost>",
            "Section": "net",
            "Priority": "optional",
            "Depends": ", ".join([base, *what.depends]),
            "Description": what.title,
        }.items()
        if value
    )
    debian = tree / "DEBIAN"
    debian.mkdir()
    (debian / "control").write_text(control)
    (debian / "conffiles").write_text("".join(f"/{path}\n" for path in _configuration(tree)))
    (debian / "postinst").write_text(postinst(name, what, virtualenv))
    (debian / "postinst").chmod(0o755)
    tree.chmod(0o755)
    for directory, folders, _ in os.walk(tree):
        for folder in folders:
            if not os.path.islink(path := os.path.join(directory, folder)):
                os.chmod(path, 0o755)
    file = target / f"{package}_{version.partition(':')[2]}_amd64.deb"
    run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", tree, file], timeout_s=900)
    facts = facts_of(file)
    return f"{control}Filename: ./{file.name}\nSize: {facts.size}\nSHA256: {facts.sha256}\n"


def unit_text(unit: str, settings: Unit, title: str, name: str, user: User | None) -> str:
    """Write a unit's file."""
    programs, log = f"/opt/{name}/bin", f"/var/log/{name}/{unit}.log"
    output = f"StandardOutput=append:{log}\nStandardError=append:{log}\n"
    if settings.wsgi:
        sockets = " ".join(f"--http-socket 0.0.0.0:{port}" for port in settings.ports)
        command = _UWSGI.format(bin=programs, sockets=sockets, script=settings.wsgi)
        output = f"NotifyAccess=all\n{output}"
    else:
        configs = (f"/etc/{name}/{name}.conf",) if settings.configs is None else settings.configs
        words = [f"{programs}/{unit}", *(f"--config-file={path}" for path in configs), settings.arguments]
        if settings.log == "file":
            words.append(f"--log-file={log}")
            output = ""
        command = " ".join(word for word in words if word)
    return _UNIT.format(
        title=title,
        after=" ".join([_AFTER, *settings.after]),
        type="notify" if settings.wsgi else "simple",
        user=user.name if user else "root",
        command=command,
        output=output,
    )


def postinst(name: str, what: OwnPackage, virtualenv: Virtualenv) -> str:
    """Write the script that runs when the package is installed."""
    lines = ["#!/bin/sh", "set -e", '[ "$1" = configure ] || exit 0']
    if (user := virtualenv.user) is not None:
        if what is virtualenv:
            number = f" --uid {user.uid}" if user.uid else ""
            group = f" --gid {user.uid}" if user.uid else ""
            lines += [
                f"getent group {user.name} >/dev/null || groupadd --system{group} {user.name}",
                f"getent passwd {user.name} >/dev/null || useradd --system{number} --gid {user.name} "
                f"--home-dir /var/lib/{name} --no-create-home --shell /usr/sbin/nologin {user.name}",
                f"install -d -m 0755 -o {user.name} -g {user.name} /var/lib/{name}",
                f"install -d -m 0750 -o {user.name} -g adm /var/log/{name}",
                *(
                    f"install -d -m {mode} -o {user.name} -g {user.name} {path}"
                    for path, mode in virtualenv.directories.items()
                ),
            ]
        # Passwords come into these files; those of rootwrap are root's alone, as rootwrap demands.
        lines += [
            f"chown root:{user.name} /etc/{name}",
            f"chmod 0750 /etc/{name}",
            f"find /etc/{name} -type f ! -path '*/rootwrap*' "
            f"-exec chown root:{user.name} {{}} + -exec chmod 0640 {{}} +",
        ]
        lines += [f"usermod --append --groups {','.join(what.groups)} {user.name}"] if what.groups else []
    return "\n".join(lines) + "\n"


def _configuration(tree: Path) -> Iterator[Path]:
    for path in sorted((tree / "etc").rglob("*")) if (tree / "etc").is_dir() else []:
        if path.is_file() and not path.is_symlink():
            yield path.relative_to(tree)


def _write(tree: Path, path: str, text: str, mode: int = 0o644) -> None:
    file = tree / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)


def _link(tree: Path, path: str, to: str) -> None:
    link = tree / path.lstrip("/")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(to)
