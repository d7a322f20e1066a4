"""The configuration of a private host's daemons: who QEMU is, and how much a console may write.

QEMU runs as the user that Debian's libvirt has for it, so that a guest that breaks out of QEMU is not root. libvirtd
opens what QEMU needs (disks, consoles, saved memory) or gives it to that user (`dynamic_ownership`).

virtlogd writes the consoles and QEMU's own messages. It keeps at most MAX_LOG_BYTES of each, and one older file of that
size: a guest that writes to its serial port for ever does not fill the disk. Without virtlogd QEMU writes the files
itself, without a limit.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from lab.base import durable
from lab.base.environment import which

QEMU_USER = "libvirt-qemu"
KVM_DEVICE = Path("/dev/kvm")

SAVE_FORMAT = "lzop"
"""of saved memory; also the program that libvirt pipes it through. Others were measured: docs/checkpoints.md"""

MAX_LOG_BYTES = 4 * 2**20

_QEMU_CONF = """\
user = "{user}"
group = "{group}"
dynamic_ownership = 1
security_driver = "none"
security_default_confined = 0
namespaces = []
cgroup_controllers = []
hugetlbfs_mount = []
stdio_handler = "{stdio}"
remember_owner = 0
save_image_format = "{save_format}"
"""

_LIBVIRTD_CONF = """\
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "root"
unix_sock_rw_perms = "0700"
unix_sock_ro_perms = "0700"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
"""

_VIRTLOGD_CONF = """\
log_outputs = "4:file:/var/log/libvirt/virtlogd.log"
max_size = {max_bytes}
max_backups = 1
"""


@dataclass(frozen=True)
class QemuAccount:
    """Who a private host's virtual machines run as, in qemu.conf's words."""

    user: str
    group: str
    why_root: str = ""
    """empty where it is not root"""


def qemu_account(own_kvm: Path, *, user: str = QEMU_USER, kvm_device: Path = KVM_DEVICE) -> QemuAccount:
    """Choose the user and the group of QEMU; root where no other would do.

    In a container /dev/kvm often belongs to the number of the outer machine's group: QEMU gets that group. Where it is
    root's alone, `own_kvm` (see make_kvm) has to be there.
    """
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return QemuAccount("root", "root", f"this machine has no user {user}")
    own = QemuAccount(user, f"+{entry.pw_gid}")
    if own_kvm.exists() or not kvm_device.exists():
        return own
    device = kvm_device.stat()
    if _may_use(device, entry.pw_uid, os.getgrouplist(user, entry.pw_gid)):
        return own
    if device.st_gid != 0 and _may_use(device, entry.pw_uid, [device.st_gid]):
        return QemuAccount(user, f"+{device.st_gid}")
    return QemuAccount("root", "root", f"{kvm_device} is not open to {user}")


def make_kvm(own_kvm: Path, *, user: str = QEMU_USER, kvm_device: Path = KVM_DEVICE) -> None:
    """Make a device for QEMU's user beside a /dev/kvm that is root's alone; the host shows it in its place.

    Without it libvirt 9.0 asks QEMU again and again what it can do: it asks with root's rights, is told of KVM, and
    then finds that the user may not use it. Where no device can be made (a container, a file system without them),
    there is none afterwards, and QEMU runs as root.
    """
    own_kvm.unlink(missing_ok=True)
    if qemu_account(own_kvm, user=user, kvm_device=kvm_device).user == user or not kvm_device.exists():
        return
    try:
        os.mknod(own_kvm, stat.S_IFCHR | 0o600, kvm_device.stat().st_rdev)
        os.close(os.open(own_kvm, os.O_RDWR | os.O_CLOEXEC))
        os.chown(own_kvm, pwd.getpwnam(user).pw_uid, -1)
    except (OSError, KeyError):
        own_kvm.unlink(missing_ok=True)


def write_configuration(etc: Path, account: QemuAccount, *, logd: bool) -> None:
    """Write what libvirtd and virtlogd of a private host read from /etc/libvirt; the rest as the machine has it."""
    for source in Path("/etc/libvirt").glob("*.conf"):
        if not (etc / source.name).exists() or not (etc / source.name).stat().st_size:  # a power cut leaves 0 bytes
            shutil.copy(source, etc / source.name)
    if Path("/etc/libvirt/nwfilter").is_dir():
        shutil.copytree("/etc/libvirt/nwfilter", etc / "nwfilter", dirs_exist_ok=True)
    # A format whose program is missing would make libvirt refuse to save.
    save_format = SAVE_FORMAT if which(SAVE_FORMAT) else "raw"
    stdio = "logd" if logd else "file"
    texts = {
        "qemu.conf": _QEMU_CONF.format(user=account.user, group=account.group, stdio=stdio, save_format=save_format),
        "libvirtd.conf": _LIBVIRTD_CONF,
        "virtlogd.conf": _VIRTLOGD_CONF.format(max_bytes=MAX_LOG_BYTES),
    }
    for name, text in texts.items():
        durable.write_text(etc / name, text, mode=0o644)


def _may_use(device: os.stat_result, uid: int, groups: list[int]) -> bool:
    """Tell whether somebody may read and write a device."""
    if device.st_uid == uid:
        wanted = stat.S_IRUSR | stat.S_IWUSR
    elif device.st_gid in groups:
        wanted = stat.S_IRGRP | stat.S_IWGRP
    else:
        wanted = stat.S_IROTH | stat.S_IWOTH
    return device.st_mode & wanted == wanted
