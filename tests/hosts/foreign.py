"""What somebody has on a desktop's libvirt beside the lab, and all that must be as before when the lab is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_DOMAIN = """\
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>32</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <disk type='volume' device='disk'>
      <driver name='qemu' type='raw'/>
      <source pool='default' volume='{name}.img'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='network'><source network='theirs'/><model type='virtio'/></interface>
  </devices>
</domain>
"""
_NETWORK = """\
<network>
  <name>{name}</name>
  <forward mode='nat'/>
  <bridge name='{bridge}'/>
  <ip address='{address}' netmask='255.255.255.0'>
    <dhcp><range start='{range}.10' end='{range}.99'/></dhcp>
  </ip>
</network>
"""
_POOL = "<pool type='dir'><name>default</name><target><path>/var/lib/libvirt/images</path></target></pool>"


def script() -> str:
    """Write the shell commands that make it all: domains that run and are off, networks, volumes, packet filter."""
    running = _DOMAIN.format(name="theirs")
    off = _DOMAIN.format(name="theirs-off")
    network = _NETWORK.format(name="theirs", bridge="virbr0", address="192.168.122.1", range="192.168.122")
    off_network = _NETWORK.format(name="theirs-off", bridge="virbr9", address="192.168.99.1", range="192.168.99")
    return f"""set -e
define() {{ cat >/run/define.xml; virsh -q "$1" /run/define.xml; }}
define pool-define <<'EOF'
{_POOL}
EOF
virsh -q pool-start default
virsh -q pool-autostart default
for name in theirs theirs-off; do
  virsh -q vol-create-as default $name.img 4M --format raw
  head -c 4M /dev/urandom >/var/lib/libvirt/images/$name.img
done
define net-define <<'EOF'
{network}
EOF
define net-define <<'EOF'
{off_network}
EOF
virsh -q net-start theirs
virsh -q net-autostart theirs
define define <<'EOF'
{running}
EOF
define define <<'EOF'
{off}
EOF
virsh -q autostart theirs-off
virsh -q start theirs
until ip link show virbr0 | grep -q LOWER_UP; do sleep 0.2; done # a bridge has a link when its port forwards
nft add table inet theirs
nft add chain inet theirs input '{{ type filter hook input priority 0; }}'
nft add rule inet theirs input iifname virbr0 tcp dport 631 drop
"""


_NO_BOXES = "| grep -v _vagrant_box_image_"
"""boxes' images stay in the pool, since the disks of other labs may stand on them"""
_ONE_BLANK = "| tr -s ' '"
"""columns are as wide as the longest name, the boxes' included"""

LOOKS = {
    "domains": "virsh list --all --name | xargs -n 1 virsh dumpxml",
    "domains, as they will start": "virsh list --all --name | xargs -n 1 virsh dumpxml --inactive",
    "domains' states": "virsh list --all && virsh list --all --autostart --name",
    "networks": "virsh net-list --all --name | xargs -n 1 virsh net-dumpxml",
    "networks' states": "virsh net-list --all",
    "pools": "virsh pool-list --all && virsh pool-dumpxml default | grep -vE '<(capacity|allocation|available)'",
    "volumes": f"virsh vol-list default {_NO_BOXES} | grep -v ^- {_ONE_BLANK}",
    "volumes' files": f"cd /var/lib/libvirt/images && ls -lnA | grep -v ^total {_NO_BOXES} {_ONE_BLANK}",
    "volumes' content": f"cd /var/lib/libvirt/images && ls {_NO_BOXES} | xargs sha256sum",
    "libvirt's files": "cd /etc/libvirt && find . -type f | sort | xargs sha256sum",
    "processes": "pgrep -a 'qemu|libvirtd|virtlogd|dnsmasq' | sort",
    "packet filter": "nft --stateless list ruleset",
    "links": "ip -oneline link | sed 's/^[0-9]*: //; s/ qdisc .*//' | sort",
    "addresses": "ip -oneline -4 address | sed 's/^[0-9]*: //' | sort",
    "forwarding": "sysctl net.ipv4.ip_forward",
    "records": "find /var/lib/compute-lab -mindepth 1; ls /run/netns 2>/dev/null || true",
}
"""shell commands, whose output must be the same before and after"""


def snapshot(shell: Callable[[str], str]) -> dict[str, str]:
    """Look at everything that must stay as it is."""
    return {what: shell(command) for what, command in LOOKS.items()}


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Name what is not as it was, with the lines that went (-) and came (+). Pure."""
    found = []
    for what, was in before.items():
        old, new = was.splitlines(), after[what].splitlines()
        if old != new:
            lines = [f"- {line}" for line in old if line not in new] + [f"+ {line}" for line in new if line not in old]
            found.append(f"{what}:\n" + "\n".join(lines or ["the order"]))
    return found
