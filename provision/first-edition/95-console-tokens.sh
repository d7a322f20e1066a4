#!/usr/bin/env bash
#
# The tokens of the consoles: the Compute API gives one to the user with the address of a console, and nova-consoleauth
# remembers it. The proxies ask nova-consoleauth for each token that they are shown.
#
# Guide: Compute service overview, "nova-consoleauth daemon".

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

heading 'How long a token is good'
# Deviation: a minute and a half instead of ten, so that the suite can see that a token is refused after its time.
crudini --merge /etc/nova/nova.conf <<EOF
[consoleauth]
token_ttl = 90
EOF
restart_if_changed nova-consoleauth /etc/nova/nova.conf

heading 'Show the addresses of the consoles'
# An instance that was launched before the chapter spice has no SPICE server; a hard reboot makes one.
for compute in $LAB_COMPUTES; do
  printf 'console url show --novnc {server:instance-%s}\n' "$compute"
  if ((LAB_HAS_XVPVNC)); then
    printf 'console url show --xvpvnc {server:instance-%s}\n' "$compute"
  fi
  if ((LAB_HAS_SPICE)); then
    printf 'console url show --spice {server:instance-%s} || server reboot --hard {server:instance-%s}\n' \
      "$compute" "$compute"
    printf 'await 60 ACTIVE server show --format value --column status {server:instance-%s}\n' "$compute"
  fi
done | "$LAB_DIR/lib/openstack-batch" | sed 's/token=[0-9a-f-]*/token=…/'
