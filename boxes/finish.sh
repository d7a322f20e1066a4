#!/usr/bin/env bash
#
# finish.sh TREE - turn an installed tree into a machine that Vagrant can use
#
# Runs on the host, as root, after all packages of the box are installed in TREE.
# Does:     user vagrant; network; ssh; boot-time units; keys and machine id made at first boot; apt sources.
# Does not: configure any service of the lab (the provisioning steps do).
# Environment:
#   BOX_ROLE         controller or compute
#   BOX_FLAVOUR      installed or preloaded
#   BOX_ENABLED      units that stay enabled, space-separated (a name without suffix means .service)
#   BOX_MASKED       units to mask, space-separated
#   BOX_SSHD         further lines of sshd_config
#   BOX_PUBLIC_KEY   file with the public key of the cache that the box is in
#   BOX_REPO         preloaded: directory with the role's packages as an apt repository; else empty
#   BOX_SHARE        directory that is copied to /usr/share/compute-lab (guest images)
#   BOX_SOURCES      file with the apt sources for /etc/apt/sources.list
set -euo pipefail

readonly REPO=/var/lib/compute-lab/repo

# Vagrant's habit: a user vagrant, sudo without a password. The key is not Vagrant's, whose private half is published.
add_user() {
  local tree=$1
  local home=$tree/home/vagrant

  chroot "$tree" useradd --create-home --shell /bin/bash --user-group vagrant
  chroot "$tree" usermod --password '*' vagrant
  printf 'vagrant ALL=(ALL) NOPASSWD: ALL\n' >"$tree/etc/sudoers.d/vagrant"
  chmod 0440 "$tree/etc/sudoers.d/vagrant"
  install -d -m 0700 "$home/.ssh"
  install -m 0600 "$BOX_PUBLIC_KEY" "$home/.ssh/authorized_keys"
  chroot "$tree" chown -R vagrant:vagrant /home/vagrant/.ssh
}

# eth0 by DHCP; the other interfaces get their files from the first provisioning step.
set_up_network() {
  local tree=$1

  mkdir -p "$tree/etc/network/interfaces.d"
  cat >"$tree/etc/network/interfaces" <<'CONF'
source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback

# the access network, which Vagrant and ssh use
auto eth0
iface eth0 inet dhcp
CONF
  # Without an answer at its boot, as on a busy host, a machine asks again only after five minutes: dhclient.conf(5).
  # Debian 13 has another client, which asks again by itself.
  if [[ -e $tree/etc/dhcp/dhclient.conf ]]; then
    printf '\nretry 10;\n' >>"$tree/etc/dhcp/dhclient.conf"
  fi
  printf 'localhost\n' >"$tree/etc/hostname"
  printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >"$tree/etc/hosts"
  : >"$tree/etc/resolv.conf"
}

# No name look-ups and only the host keys that are quick to make: an RSA key takes long on an emulated CPU.
set_up_ssh() {
  local tree=$1

  mkdir -p "$tree/etc/ssh/sshd_config.d"
  cat >"$tree/etc/ssh/sshd_config.d/lab.conf" <<'CONF'
UseDNS no
GSSAPIAuthentication no
PasswordAuthentication no
PrintMotd no
MaxSessions 64
MaxStartups 64
HostKey /etc/ssh/ssh_host_ed25519_key
HostKey /etc/ssh/ssh_host_ecdsa_key
CONF
  printf '%s' "$BOX_SSHD" >>"$tree/etc/ssh/sshd_config.d/lab.conf"
  rm -f "$tree"/etc/ssh/ssh_host_*
  cat >"$tree/etc/systemd/system/lab-first-boot.service" <<'CONF'
[Unit]
Description=Make this machine's own ssh host keys
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
Before=ssh.service

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -q -t ecdsa -N "" -f /etc/ssh/ssh_host_ecdsa_key
ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key

[Install]
WantedBy=multi-user.target
CONF
  chroot "$tree" systemctl --quiet enable lab-first-boot.service
}

# Tell whether a unit is in the list of those that stay enabled. `getty@` stands for each of its instances.
stays_enabled() {
  local unit=$1
  local word

  for word in $BOX_ENABLED; do
    case $unit in
      "$word" | "$word.service" | "$word"*.service)
        [[ $unit == "$word" || $unit == "$word.service" || $word == *@ ]] && return 0
        ;;
    esac
  done
  return 1
}

# Disable what the packages enabled, in both worlds: unit links and rc?.d links (for which systemd makes units).
quieten() {
  local tree=$1
  local link unit name

  while IFS= read -r link; do
    unit=${link##*/}
    stays_enabled "$unit" || printf '%s\n' "$unit"
  done < <(find "$tree/etc/systemd/system" -path '*.wants/*' -o -path '*.requires/*') |
    sort -u | while IFS= read -r unit; do
    chroot "$tree" systemctl --quiet --no-reload disable "$unit" 2>/dev/null || true
    find "$tree/etc/systemd/system" \( -path '*.wants/*' -o -path '*.requires/*' \) -name "$unit" -delete
  done

  for link in "$tree"/etc/rc[2-5].d/S*; do
    [[ -e $link || -L $link ]] || continue
    name=${link##*/S??}
    stays_enabled "$name" || printf '%s\n' "$name"
  done | sort -u | while IFS= read -r name; do
    chroot "$tree" update-rc.d "$name" disable >/dev/null
  done

  for unit in $BOX_MASKED; do
    ln -sfn /dev/null "$tree/etc/systemd/system/$unit"
  done
}

# The preloaded box gets its packages from a directory of its own, so that `apt-get install` works offline; nothing
# starts during the installation, as in the installed box: an unconfigured service only wastes the machine's time.
set_up_apt() {
  local tree=$1

  rm -rf "$tree"/etc/apt/sources.list.d/*
  cp "$BOX_SOURCES" "$tree/etc/apt/sources.list"
  [[ $BOX_FLAVOUR == preloaded ]] || return 0

  mkdir -p "$tree$REPO"
  cp -r --reflink=auto "$BOX_REPO/." "$tree$REPO/"
  printf 'deb [trusted=yes] file:%s ./\n' "$REPO" >"$tree/etc/apt/sources.list"
  cat >"$tree/usr/sbin/policy-rc.d" <<'CONF'
#!/bin/sh
# Packages do not start their services when they are installed: each is configured first, then enabled and started
# with systemctl, which does not ask this script. Remove the file to get Debian's behaviour.
exit 101
CONF
  chmod 0755 "$tree/usr/sbin/policy-rc.d"
  chroot "$tree" apt-get -qq update
}

set_up_boot() {
  local tree=$1

  printf 'LABEL=root / ext4 noatime 0 1\n' >"$tree/etc/fstab"
  printf 'LANG=C.UTF-8\n' >"$tree/etc/default/locale"
  # Empty, not absent: systemd makes an id, but does not take it for a first boot, which would enable every unit.
  : >"$tree/etc/machine-id"
  # RabbitMQ makes its secret at its first start: one of the box would be shared by all labs.
  rm -f "$tree/var/lib/rabbitmq/.erlang.cookie"
  rm -f "$tree/var/lib/dbus/machine-id" "$tree/var/lib/systemd/random-seed"
  mkdir -p "$tree/usr/share/compute-lab"
  cp -r "$BOX_SHARE/." "$tree/usr/share/compute-lab/"
}

main() {
  local tree=$1

  add_user "$tree"
  set_up_network "$tree"
  set_up_ssh "$tree"
  set_up_boot "$tree"
  set_up_apt "$tree"
  quieten "$tree"
}

main "$@"
