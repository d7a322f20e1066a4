#!/usr/bin/env bash
# Make a system's directory the root of new mount and process namespaces, and stay there as their first process.
# Used as: unshare --mount --pid --fork … enter_root.sh ROOT
# The word `ready` on stdout says that all is in place.
set -euo pipefail

root=$1
mount --bind "$root" "$root" # the lab's own namespaces change the propagation of `/`, which must be a mount
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
# The first process adopts the daemons; a shell that waits takes them away when they end.
exec chroot "$root" /bin/bash -c 'echo ready; while :; do sleep 60 & wait; done'
