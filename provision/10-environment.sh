#!/usr/bin/env bash
#
# Environment: names, addresses and time of a node.
#
# Guide: Installation Guide, "Environment" — Host networking, Network Time Protocol (NTP).
#
# Every node has three interfaces: eth0, through which Vagrant reaches it; eth1, the management network, on which the
# services talk to each other; eth2, the provider network, without an address, on which the instances will be.
# Name resolution comes before everything else: the message queue names itself after the host, and every URL that the
# guide writes says `controller`.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

# shellcheck disable=SC2086
install_packages $LAB_PACKAGES

# Deviation: on an emulated processor the processes get long turns, and every program its own fixed address
# (lib/emulated.sh says why).
heading 'An emulated processor: long turns, and every program at its own address'
long_turns

heading 'Name resolution: /etc/hostname, /etc/hosts'
# No line "127.0.1.1 <hostname>": the guide asks to remove it, because services would bind to it.
put_file /etc/hosts <"$LAB_DIR/hosts"
put_file /etc/hostname <<<"$LAB_NODE"
if [[ $(hostname) != "$LAB_NODE" ]]; then
  hostname "$LAB_NODE"
fi

heading 'Interfaces: management (static) and provider (no address)'
interfaces=/etc/network/interfaces.d/lab
before=$(cat "$interfaces" 2>/dev/null || true)
put_file "$interfaces" <<EOF
# The management network
auto $MANAGEMENT_INTERFACE
iface $MANAGEMENT_INTERFACE inet static
    address $MANAGEMENT_INTERFACE_IP_ADDRESS
    netmask $MANAGEMENT_NETMASK

# The provider network interface
auto $PROVIDER_INTERFACE
iface $PROVIDER_INTERFACE inet manual
    up ip link set dev \$IFACE up
    down ip link set dev \$IFACE down
EOF

# interface_is_right NAME TEXT: NAME is up, and `ip` shows TEXT of it.
interface_is_right() {
  local shown
  shown=$(ip -oneline address show dev "$1" && ip -oneline link show dev "$1" up)
  [[ $shown == *"$2"* && $shown == *"<"*"UP"*">"* ]]
}
for pair in "$MANAGEMENT_INTERFACE= inet $MANAGEMENT_INTERFACE_IP_ADDRESS/" "$PROVIDER_INTERFACE="; do
  name=${pair%%=*}
  if [[ $before != "$(cat "$interfaces")" ]] || ! interface_is_right "$name" "${pair#*=}"; then
    say "bringing up $name"
    ifdown --force "$name" 2>/dev/null || true
    ip address flush dev "$name" scope global
    ifup --force "$name"
  fi
  wait_for "interface $name" 5 interface_is_right "$name" "${pair#*=}"
done

heading 'Network Time Protocol'
# Deviation: no outside time source, because nothing leaves the lab. The controller's own clock is the lab's time
# (stratum 10); the other nodes take theirs from the controller, as in the guide.
set_line /etc/chrony/chrony.conf '^#?(pool|server) .*debian' '#pool 2.debian.pool.ntp.org iburst'
if [[ $LAB_ROLE == controller ]]; then
  put_file /etc/chrony/conf.d/lab.conf <<EOF
local stratum 10
allow $MANAGEMENT_CIDR
EOF
else
  # Deviation: a short polling interval, and steps at any time, because a virtual machine's clock jumps when the
  # machine was paused or restored from a checkpoint.
  put_file /etc/chrony/conf.d/lab.conf <<EOF
server controller iburst minpoll 2 maxpoll 6
makestep 1 -1
EOF
fi
enable_units chrony
restart_if_changed chrony /etc/chrony/chrony.conf /etc/chrony/conf.d/lab.conf /etc/hosts

# time_is_taken: chrony has chosen a source, or is the source.
time_is_taken() {
  chronyc -n tracking | grep -Eq '^Stratum +: +1[01]$'
}
wait_for 'time from the controller' 15 time_is_taken
chronyc -n sources
