#!/usr/bin/env bash
#
# Environment, to the letter of the guide: names, addresses, time, and the packages of the release.
#
# Guide: Installation Guide, "Environment" - Host networking, Network Time Protocol (NTP), OpenStack packages.

set -euo pipefail
source "${LAB_DIR:-/opt/lab}/lib/common.sh"

# Deviation: on an emulated processor the processes get long turns, and every program its own fixed address
# (lib/emulated.sh says why).
long_turns

heading 'Name resolution: /etc/hostname, /etc/hosts'
put_file /etc/hosts <"$LAB_DIR/hosts"
put_file /etc/hostname <<<"$LAB_NODE"
hostname "$LAB_NODE"

heading 'Interfaces: management (static) and provider (no address)'
put_file /etc/network/interfaces.d/lab.cfg <<EOF
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
ifup --force "$MANAGEMENT_INTERFACE" "$PROVIDER_INTERFACE"

heading 'OpenStack packages'
# Deviation: no dist-upgrade, which would change the kernel under the running machine. A box that has the archive and
# the packages already needs no way out of the lab.
# Deviation: with packages of virtualenvs there is no archive of the release: the box has them.
if ((! LAB_HAS_VIRTUALENVS)) && ! grep -qs cloud-archive /etc/apt/sources.list.d/*; then
  apt-get -q -y install software-properties-common
  add-apt-repository -y "$LAB_ARCHIVE"
  apt-get -q update
fi
# shellcheck disable=SC2086
install_packages $LAB_PACKAGES
# Here and in the other steps: units of the guide's packages start at boot; those of a box are off until their step.
# shellcheck disable=SC2086
enable_units $LAB_UNITS

heading 'Network Time Protocol'
# Deviation: no outside time source, because nothing leaves the lab: the controller's own clock is the lab's time.
if [[ $LAB_ROLE == controller ]]; then
  set_line /etc/chrony/chrony.conf '^(pool|server) ' '#pool: none, the clock of this node is the lab'"'"'s time'
  set_line /etc/chrony/chrony.conf '^#?local stratum' 'local stratum 10'
  set_line /etc/chrony/chrony.conf '^#?allow ' "allow $MANAGEMENT_CIDR"
else
  set_line /etc/chrony/chrony.conf '^(pool|server) ' 'server controller iburst'
fi
service chrony restart
