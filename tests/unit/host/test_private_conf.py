"""Who the virtual machines of a private host run as."""

from __future__ import annotations

import os
import pwd
import stat
from typing import TYPE_CHECKING

import pytest

from lab.host.private_conf import QemuAccount, make_kvm, qemu_account, write_configuration

if TYPE_CHECKING:
    from pathlib import Path

USER = "nobody"
NOBODY = pwd.getpwnam(USER)
OWN = QemuAccount(USER, f"+{NOBODY.pw_gid}")


def device(path: Path, mode: int, gid: int = 0) -> Path:
    path.touch()
    path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(path, 0, gid)
    return path


def test_without_kvm_or_with_one_for_everybody_it_is_the_user(tmp_path: Path) -> None:
    assert qemu_account(tmp_path / "own", user=USER, kvm_device=tmp_path / "absent") == OWN
    everybody = device(tmp_path / "kvm", 0o666)
    assert qemu_account(tmp_path / "own", user=USER, kvm_device=everybody) == OWN


def test_without_such_a_user_it_is_root_and_says_why(tmp_path: Path) -> None:
    account = qemu_account(tmp_path / "own", user="nobody-of-this-name")
    assert (account.user, account.why_root) == ("root", "this machine has no user nobody-of-this-name")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_device_of_a_nameless_group_is_used_with_it(tmp_path: Path) -> None:
    kvm = device(tmp_path / "kvm", 0o660, gid=54321)
    assert qemu_account(tmp_path / "own", user=USER, kvm_device=kvm) == QemuAccount(USER, "+54321")


def test_a_device_of_root_alone_needs_one_of_the_users_own(tmp_path: Path) -> None:
    kvm = device(tmp_path / "kvm", 0o600)
    account = qemu_account(tmp_path / "own", user=USER, kvm_device=kvm)
    assert account.user == "root"
    assert f"{kvm} is not open to {USER}" in account.why_root
    (tmp_path / "own").touch()
    assert qemu_account(tmp_path / "own", user=USER, kvm_device=kvm) == OWN


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_users_own_device_is_the_same_one_and_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, int]] = []

    def mknod(path: Path, mode: int, rdev: int) -> None:
        made.append((stat.S_IFMT(mode), rdev))
        path.touch(stat.S_IMODE(mode))

    monkeypatch.setattr(os, "mknod", mknod)
    kvm, own = device(tmp_path / "kvm", 0o600), tmp_path / "own"
    make_kvm(own, user=USER, kvm_device=kvm)
    assert made == [(stat.S_IFCHR, kvm.stat().st_rdev)]
    assert (own.stat().st_uid, stat.S_IMODE(own.stat().st_mode)) == (NOBODY.pw_uid, 0o600)
    kvm.chmod(0o666)
    make_kvm(own, user=USER, kvm_device=kvm)
    assert not own.exists()  # not needed any more


def test_where_no_device_can_be_made_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "mknod", refused)
    make_kvm(tmp_path / "own", user=USER, kvm_device=device(tmp_path / "kvm", 0o600))
    assert list(tmp_path.iterdir()) == [tmp_path / "kvm"]


@pytest.mark.parametrize(("logd", "handler"), [(True, "logd"), (False, "file")])
def test_without_virtlogd_qemu_writes_its_logs_itself(logd: bool, handler: str, tmp_path: Path) -> None:
    write_configuration(tmp_path, OWN, logd=logd)
    lines = (tmp_path / "qemu.conf").read_text().splitlines()
    assert f'stdio_handler = "{handler}"' in lines
    assert f'user = "{USER}"' in lines
    assert "max_backups = 1" in (tmp_path / "virtlogd.conf").read_text()
