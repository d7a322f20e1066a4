#!/usr/bin/env bash
# A desktop's libvirt in new network, mount and process namespaces: a libvirtd at the standard socket, started as root.
# Used as: unshare --net --mount --pid --fork … enter_desktop.sh STATE CHECKOUT [KEPT ...]
# STATE takes what would be written into the machine's own directories; CHECKOUT is seen as /mnt,
# and of /root only the directories KEPT, by every user. The word `ready` on stdout says that it answers.
set -euo pipefail

state=$1
checkout=$2
shift 2
mount -t proc proc /proc
umount --lazy /sys        # with its control groups, which belong to the machine outside
mount -t sysfs sysfs /sys # shows the interfaces of this network namespace
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/lock /run/root
mount --bind "$checkout" /mnt
mount --bind /root /run/root
mount -t tmpfs -o mode=755 tmpfs /root
for kept in "$@"; do
  mkdir -p "$kept"
  mount --bind "/run/root/${kept#/root/}" "$kept"
done
umount --lazy /run/root
rmdir /run/root
cp -aT /etc/libvirt "$state/etc"
rm -f "$state"/etc/qemu/*.xml "$state"/etc/qemu/*/*.xml "$state"/etc/qemu/networks/*/* # a new desktop's
# As libvirt's own documentation has it where no polkit runs: the socket is for the group libvirt.
printf '%s\n' 'unix_sock_group = "libvirt"' 'unix_sock_rw_perms = "0770"' 'auth_unix_rw = "none"' >>"$state/etc/libvirtd.conf"
cp /etc/passwd /etc/group "$state"
echo 'desk:x:4243:4243:a user of the desktop:/home/desk:/bin/bash' >>"$state/passwd"
echo 'desk:x:4243:' >>"$state/group"
sed -i -E 's/^((libvirt|kvm):.*[^:])$/\1,desk/; s/^((libvirt|kvm):.*:)$/\1desk/' "$state/group"
mount --bind "$state/passwd" /etc/passwd
mount --bind "$state/group" /etc/group
mount --bind "$state/etc" /etc/libvirt
for directory in lib/libvirt lib/compute-lab cache/libvirt log/libvirt; do
  mkdir -p "$state/$directory"
  mount --bind "$state/$directory" "/var/$directory"
done
mkdir -p /var/lib/libvirt/images "$state/home/desk"
chmod 711 /var/lib/libvirt/images
chown 4243:4243 "$state/home/desk"
mount --bind "$state/home" /home
ip link set lo up
virtlogd --daemon
libvirtd --daemon
exec bash -c 'echo ready; while :; do sleep 60 & wait; done'
