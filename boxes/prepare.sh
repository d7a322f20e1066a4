#!/usr/bin/env bash
#
# prepare.sh TREE - settle what must stand before a box's packages are installed
#
# Runs on the host, as root, when TREE holds the essential packages and nothing else (mmdebstrap's essential hook).
# Does:     debconf answers; files that packages read while they are being configured; a small initial RAM disk.
# Does not: install, enable or start anything.
# Environment:
#   BOX_ROLE               controller or compute
#   BOX_DEBCONF            file with debconf answers, one per line
#   BOX_INITRAMFS_MODULES  kernel modules for the initial RAM disk, space-separated
set -euo pipefail

main() {
  local tree=$1
  local module

  chroot "$tree" debconf-set-selections <"$BOX_DEBCONF"

  # nova-consoleproxy picks SPICE, whatever debconf says, unless this file stands before the package comes.
  if [[ $BOX_ROLE == controller ]]; then
    printf 'NOVA_CONSOLE_PROXY_TYPE=novnc\nNOVA_SERIAL_PROXY_START=false\n' >"$tree/etc/default/nova-consoleproxy"
  fi

  # Only the modules that are needed, read at once: an initrd for every kind of disk takes seconds on an emulated CPU.
  mkdir -p "$tree/etc/initramfs-tools/conf.d"
  printf 'MODULES=list\nCOMPRESS=zstd\nFSTYPE=ext4\nRESUME=none\n' >"$tree/etc/initramfs-tools/conf.d/lab"
  for module in $BOX_INITRAMFS_MODULES; do
    printf '%s\n' "$module"
  done >"$tree/etc/initramfs-tools/modules"

  # A lab's disk can be thrown away: dpkg need not wait for it.
  mkdir -p "$tree/etc/dpkg/dpkg.cfg.d" "$tree/etc/apt/apt.conf.d"
  printf 'force-unsafe-io\n' >"$tree/etc/dpkg/dpkg.cfg.d/lab"
  cat >"$tree/etc/apt/apt.conf.d/90lab" <<'CONF'
APT::Install-Recommends "false";
APT::Periodic::Enable "0";
Acquire::Languages "none";
CONF
}

main "$@"
