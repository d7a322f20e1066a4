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
install_packages() {
  local missing lock policy=${LAB_POLICY_RC_D:-/usr/sbin/policy-rc.d}
  missing=$(missing_packages "$@")
  if [[ -z $missing ]]; then
    say "packages: all installed ($*)"
    return 0
  fi
  # shellcheck disable=SC2086
  say "packages to install:" $missing
  mkdir -p "$LAB_RUN"
  (
    # One installation at a time on a node; the policy file belongs to the holder.
    exec {lock}>"$LAB_RUN/apt.lock"
    flock -w "$(scaled 300)" "$lock"
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    export DEBIAN_FRONTEND=noninteractive
    if [[ ! -f $LAB_RUN/apt-updated ]]; then
      dpkg --configure -a --force-confold {lock}>&-
      apt-get -q update {lock}>&-
      touch "$LAB_RUN/apt-updated"
    fi
    apt-get -q -y -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 \
      install --no-install-recommends "$@" {lock}>&-
  )
}
