# shellcheck shell=bash
#
# Packages, from whatever the node's apt sources name: a mirror, or the repository inside a preloaded box.

# missing_packages NAME…: those that are not installed, one per line.
missing_packages() {
  local name status
  local -A installed=()
  while read -r status name; do
    [[ $status == installed ]] && installed[$name]=1
  done < <(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
  for name in "$@"; do
    [[ -n ${installed[$name]:-} ]] || printf '%s\n' "$name"
  done
}

# install_packages NAME…: the guide's `apt-get install`, when one of them is missing.
# Deviation: --no-install-recommends, because the recommended packages double the download and no step uses them.
# Deviation: no service starts during the installation (policy-rc.d), because each would start on an unconfigured
# system, and some packages fail when it does not come up.
#
# An installation that was cut short (a kill, a power cut) is finished first.
install_packages() {
  local missing lock policy=${LAB_POLICY_RC_D:-/usr/sbin/policy-rc.d} begun=$LAB_STATE/installing
  missing=$(missing_packages "$@")
  if [[ -z $missing && ! -f $begun ]]; then
    say "packages: all installed ($*)"
    return 0
  fi
  # shellcheck disable=SC2086
  say "packages to install:" ${missing:-"(to finish an installation that was cut short)"}
  mkdir -p "$LAB_RUN" "$LAB_STATE"
  (
    # One installation at a time on a node; the policy file belongs to the holder.
    exec {lock}>"$LAB_RUN/apt.lock"
    flock -w "$(scaled 300)" "$lock"
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    export DEBIAN_FRONTEND=noninteractive
    finish_installation "$begun" {lock}>&- || exit
    cat /proc/sys/kernel/random/boot_id >"$begun"
    sync "$begun"
    if [[ ! -f $LAB_RUN/apt-updated ]]; then
      apt-get -q update {lock}>&- || exit
      touch "$LAB_RUN/apt-updated"
    fi
    apt_install "$@" {lock}>&- || cannot_install $? "$missing" || exit
    # D-Bus reads who may offer which service again only when it is told to, and the policy file kept the packages from
    # telling it. Then polkit, which libvirt asks about its clients, could not start, and nova-compute would end.
    systemctl reload dbus {lock}>&- || exit
    # dpkg does not wait for the disk here.
    sync
    rm -f "$begun"
  )
}

apt_install() {
  apt-get -q -y -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 install --no-install-recommends "$@"
}

# cannot_install CODE PACKAGES: say what a user can do about it, and give the code on. A box has all packages of its lab;
# a machine that was made from an older one may lack those that a step asks for since, and a lab has no way to a mirror.
cannot_install() {
  # shellcheck disable=SC2086
  say "cannot install" $2
  say "if this machine is older than the steps: \`lab down\`, then \`lab up\` makes it again, from a box that has them"
  return "$1"
}

# finish_installation BEGUN: what an earlier installation left half-way. BEGUN is there when one was cut short, and holds
# the boot that it ran in: when that was another one, the power was cut, and files of the packages that were unpacked
# since may never have reached the disk: these packages are installed again.
finish_installation() {
  local begun=$1 doubtful
  if [[ -f $begun || -n $(dpkg --audit) ]]; then
    say 'an earlier installation was cut short: finishing it'
    dpkg --force-confold --configure -a || say 'not all of it can be configured yet'
    if [[ -f $begun && $(cat "$begun") != "$(cat /proc/sys/kernel/random/boot_id)" ]]; then
      doubtful=$(find "${LAB_DPKG_INFO:-/var/lib/dpkg/info}" -name '*.list' -newer "$begun" -printf '%f\n' |
        sed 's/\.list$//' | sort)
      if [[ -n $doubtful ]]; then
        # shellcheck disable=SC2086
        say 'after a power cut, installed again:' $doubtful
        # shellcheck disable=SC2086
        apt_install --reinstall $doubtful || return
      fi
    fi
    apt_install --fix-broken
  fi
}
