"""The key pair of a cache: made once, kept, and made again where it is not safe any more."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from lab.base.errors import HostError
from lab.box.keys import ensure_key

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    first, second = ensure_key(tmp_path), ensure_key(tmp_path)
    assert first == second
    assert first.private.stat().st_mode & 0o777 == 0o600
    assert first.private.parent.stat().st_mode & 0o777 == 0o700
    assert first.public.startswith("ssh-ed25519 ")


def test_two_caches_have_two_keys(tmp_path: Path) -> None:
    assert ensure_key(tmp_path / "a").fingerprint != ensure_key(tmp_path / "b").fingerprint


def test_the_fingerprint_is_the_one_that_ssh_keygen_shows(tmp_path: Path) -> None:
    key = ensure_key(tmp_path)
    shown = subprocess.run(["ssh-keygen", "-l", "-f", key.private], capture_output=True, text=True, check=True).stdout
    assert shown.split()[1] == key.fingerprint


@pytest.mark.parametrize("damage", ["empty", "cut", "readable by others", "a link"])
def test_a_key_that_is_damaged_or_not_ours_alone_is_replaced(damage: str, tmp_path: Path) -> None:
    before = ensure_key(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(before.private.read_bytes())
    elsewhere.chmod(0o600)
    if damage == "empty":
        before.private.write_bytes(b"")
    elif damage == "cut":
        before.private.write_bytes(before.private.read_bytes()[:100])
    elif damage == "readable by others":
        before.private.chmod(0o644)
    else:
        before.private.unlink()
        before.private.symlink_to(elsewhere)
    after = ensure_key(tmp_path)
    assert after.fingerprint != before.fingerprint
    assert not after.private.is_symlink()
    assert elsewhere.exists()
    assert [path.name for path in after.private.parent.iterdir()] == ["box_key"]


def test_a_key_that_this_user_cannot_read_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ensure_key(tmp_path)
    content = before.private.read_bytes()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(HostError, match="belongs to another user") as caught:
        ensure_key(tmp_path)
    assert "LAB_CACHE" in caught.value.hint
    assert before.private.read_bytes() == content


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes keys for others")
def test_root_makes_it_for_the_owner_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "12345")
    os.chown(tmp_path, 12345, 12345)
    assert ensure_key(tmp_path).private.stat().st_uid == 12345
